/// Named points with the intervals around their y.
struct ScatterChart {
  /// A point.
  struct Item {
    var name: String
    var style: Int
    var point: LineChart.Point
  }

  var description: String
  var x: String
  var y: String
  var items: [Item]
  /// Values that the y axis must include.
  var including: [Double] = []
  var width = 960.0
  var height = 340.0

  var svg: Markup {
    let drawn = items.filter { $0.point.x.isPlottable && $0.point.y.isPlottable }
    let values = drawn.flatMap { [$0.point.y, $0.point.low ?? $0.point.y, $0.point.high ?? $0.point.y] }
    let margin = (drawn.map { nameWidth($0.name) }.max() ?? 0) + 24
    let plot = Plot(
      x: Axis(x, over: drawn.map(\.point.x), including: [0], ticks: 6),
      y: Axis(y, over: values, including: including), width: width, height: height,
      margin: min(margin, width / 4))
    return picture(
      width, height, description,
      """
      \(plot.axes)<g class="plot" data-x="\(plot.x.low) \(plot.x.high) \(plot.left) \(plot.right)" \
      data-y="\(plot.y.low) \(plot.y.high) \(plot.bottom) \(plot.top)">\(marks(drawn, plot))</g>
      """)
  }

  /// Points with their names to the right, moved up or down where they would cover another name.
  private func marks(_ drawn: [Item], _ plot: Plot) -> [Markup] {
    var taken: [(x: ClosedRange<Double>, y: Double)] = []
    return drawn.map { item in
      let (x, y) = (plot.across(item.point.x), plot.up(item.point.y))
      let span = x...x + 17 + nameWidth(item.name)
      func isFree(_ height: Double) -> Bool {
        taken.allSatisfy { abs($0.y - height) >= 16 || !$0.x.overlaps(span) }
      }
      // Names move away from the nearer edge: downwards in the upper half, upwards in the lower half.
      let step = y < (plot.top + plot.bottom) / 2 ? 4.0 : -4
      let height = stride(from: y, to: y + 100 * step, by: step).first(where: isFree) ?? y
      taken.append((span, height))
      return mark(item, plot, x, y, nameHeight: height)
    }
  }

  private func mark(_ item: Item, _ plot: Plot, _ x: Double, _ y: Double, nameHeight: Double) -> Markup {
    let interval = item.point.low.flatMap { low in
      item.point.high.map { high -> Markup in
        "<path class=\"interval\" d=\"M\(x) \(plot.up(low))V\(plot.up(high))\"/>"
      }
    }
    let leader: Markup = "<path class=\"leader\" d=\"M\(x + 6) \(y)L\(x + 14) \(nameHeight)\"/>"
    return """
      <g class="\(styleClass(item.style))" data-name="\(item.name)">\(interval ?? "")\
      \(abs(nameHeight - y) > 3 ? leader : "")<circle class="point" cx="\(x)" cy="\(y)" r="5">\
      <title>\(item.name): \(short(item.point.y)) at \(short(item.point.x))</title></circle>\
      <text class="name" x="\(x + 17)" y="\(nameHeight + 4)">\(shortened(item.name, to: width / 4))</text></g>
      """
  }
}
