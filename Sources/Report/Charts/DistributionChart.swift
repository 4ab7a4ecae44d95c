/// Histograms of distributions, one per row over a common axis, with marks at single values.
struct DistributionChart {
  /// A distribution.
  struct Row {
    var name: String
    var style: Int
    /// Equally likely values; may be empty.
    var samples: [Double]
    /// Named values to mark on the axis.
    var marks: [(name: String, value: Double)]
  }

  var description: String
  var x: String
  var rows: [Row]
  var width = 960.0

  private static let pitch = 92.0
  private static let binCount = 80

  var svg: Markup {
    let height = Double(rows.count) * Self.pitch + 46
    let axis = Axis(x, over: rows.flatMap { $0.samples + $0.marks.map(\.value) }, ticks: width < 500 ? 4 : 8)
    let names = min(width / 3, (rows.map { nameWidth($0.name) }.max() ?? 0) + 14)
    let area = (left: names, right: width - 16, bottom: height - 42)
    func across(_ value: Double) -> Double { area.left + axis.fraction(value) * (area.right - area.left) }
    let ticks = axis.ticks.map { tick -> Markup in
      """
      <line class="grid" x1="\(across(tick))" x2="\(across(tick))" y1="0" y2="\(area.bottom)"/>\
      <text class="tick" x="\(across(tick))" y="\(area.bottom + 18)" text-anchor="middle">\(axis.label(tick))</text>
      """
    }
    let drawn = rows.enumerated().map { index, row -> Markup in
      let base = Double(index + 1) * Self.pitch
      return """
        <g class="\(styleClass(row.style))" data-name="\(row.name)">\(bars(row, axis, base, across))\
        <line class="base" x1="\(area.left)" x2="\(area.right)" y1="\(base)" y2="\(base)"/>\
        <text class="name" x="\(names - 10)" y="\(base - 4)" text-anchor="end">\
        \(shortened(row.name, to: names - 10))</text>\(marks(row, base, across))</g>
        """
    }
    return picture(
      width, height, description,
      """
      <g class="axes">\(ticks)<text class="axis" x="\(area.right)" y="\(height - 6)" text-anchor="end">\(axis.title)\
      </text></g>\(drawn)
      """)
  }

  /// The bars of a histogram. The highest one leaves room for the names of the marks.
  private func bars(
    _ row: Row, _ axis: Axis, _ base: Double, _ across: (Double) -> Double
  ) -> [Markup] {
    var counts = [Int](repeating: 0, count: Self.binCount)
    for value in row.samples where value.isPlottable {
      counts[min(Int(axis.fraction(value) * Double(Self.binCount)), Self.binCount - 1)] += 1
    }
    let (most, size) = (Double(counts.max() ?? 1), (axis.high - axis.low) / Double(Self.binCount))
    return counts.indices.filter { counts[$0] > 0 }.map { bin in
      let from = across(axis.low + Double(bin) * size)
      let height = (Self.pitch - 44) * Double(counts[bin]) / most
      return """
        <rect class="bar" x="\(from)" y="\(base - height)" width="\(across(axis.low + size) - across(axis.low))" \
        height="\(height)"/>
        """
    }
  }

  /// A vertical line for each mark, from the axis up to its name. Each name is at a height of its own.
  private func marks(_ row: Row, _ base: Double, _ across: (Double) -> Double) -> [Markup] {
    row.marks.enumerated().filter { $1.value.isPlottable }.map { index, mark in
      let (x, top) = (across(mark.value), base - Self.pitch + 20 + 15 * Double(index))
      let text = "\(mark.name) \(short(mark.value))"
      let isLeft = x + 6 + nameWidth(text) > width
      return """
        <path class="pointer" d="M\(x) \(base)V\(top - 9)"/><text class="place" x="\(x + (isLeft ? -6 : 6))" \
        y="\(top)" text-anchor="\(isLeft ? "end" : "start")">\(text)</text>
        """
    }
  }
}
