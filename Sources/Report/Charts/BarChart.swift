/// Horizontal bars from zero, one per row, each divided into one or more segments.
struct BarChart {
  /// A bar.
  struct Bar {
    var name: String
    /// The index of the bar's colour; the bar's segments are shades of it.
    var style: Int
    /// The lengths of the segments, from left to right.
    var parts: [Double]
    /// The text to the right of the bar.
    var label: String
  }

  var description: String
  var x: String
  /// The names of the segments, for the legend; empty if bars have only one segment.
  var partNames: [String] = []
  var bars: [Bar]
  var width = 960.0

  private static let pitch = 28.0

  var svg: Markup {
    let legendHeight = partNames.isEmpty ? 0.0 : 26
    let height = legendHeight + Double(bars.count) * Self.pitch + 50
    let x = Axis(x, over: bars.map { $0.parts.reduce(0, +) }, including: [0], isRounded: false, ticks: 6)
    let names = min(width / 3, (bars.map { nameWidth($0.name) }.max() ?? 0) + 14)
    let labels = (bars.map { nameWidth($0.label) }.max() ?? 0) + 20
    let area = (left: names, right: width - labels, top: legendHeight, bottom: height - 42)
    func across(_ value: Double) -> Double { area.left + x.fraction(value) * (area.right - area.left) }
    let ticks = x.ticks.map { tick -> Markup in
      """
      <line class="grid" x1="\(across(tick))" x2="\(across(tick))" y1="\(area.top)" y2="\(area.bottom)"/>\
      <text class="tick" x="\(across(tick))" y="\(area.bottom + 18)" text-anchor="middle">\(x.label(tick))</text>
      """
    }
    let rows = bars.enumerated().map { index, bar -> Markup in
      row(bar, at: area.top + Double(index) * Self.pitch, names: names, across: across)
    }
    return picture(
      width, height, description,
      """
      \(legend(from: area.left))<g class="axes">\(ticks)<text class="axis" x="\(area.right)" y="\(height - 6)" \
      text-anchor="end">\(x.title)</text></g>\(rows)
      """)
  }

  private func row(_ bar: Bar, at y: Double, names: Double, across: (Double) -> Double) -> Markup {
    var start = 0.0
    let parts = bar.parts.enumerated().map { index, length -> Markup in
      defer { start += length }
      let (from, to) = (across(start), across(start + length))
      return """
        <rect class="part\(index)" x="\(from)" y="\(y + 5)" width="\(max(0, to - from))" height="\(Self.pitch - 10)"/>
        """
    }
    return """
      <g class="\(styleClass(bar.style))" data-name="\(bar.name)">\(parts)\
      <text class="name" x="\(names - 8)" y="\(y + 18)" text-anchor="end">\(shortened(bar.name, to: names - 10))</text>\
      <text class="value" x="\(across(start) + 7)" y="\(y + 18)">\(bar.label)</text></g>
      """
  }

  private func legend(from left: Double) -> Markup {
    var x = left
    return partNames.enumerated().map { index, name -> Markup in
      defer { x += textWidth(name) + 40 }
      return """
        <g class="neutral"><rect class="part\(index)" x="\(x)" y="2" width="12" height="12"/>\
        <text class="tick" x="\(x + 18)" y="12">\(name)</text></g>
        """
    }.joined
  }
}
