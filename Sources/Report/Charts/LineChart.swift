/// Lines over a common x axis, with bands around them and names at their ends.
package struct LineChart {
  /// One line.
  struct Series {
    var name: String
    /// The index of the line's colour; lines that belong together have the same one.
    var style: Int
    var points: [Point]
    /// Whether the line is drawn dotted: for values that are less certain, or that are only there for
    /// comparison.
    var isDashed = false
    /// Whether the line's name is written at its end and its points have tooltips.
    var isMain = true
  }

  /// A point and the interval around its y; without an interval, `low` and `high` are nil.
  package struct Point {
    package var x: Double
    package var y: Double
    package var low: Double?
    package var high: Double?
  }

  /// The style of lines that are only there for comparison.
  static let neutral = -1

  var description: String
  var x: String
  var y: String
  var series: [Series]
  /// Values that the y axis must include, such as 0 and 1 for a rate.
  var including: [Double] = []
  /// Values of x that a vertical line marks.
  var marks: [Double] = []
  var isLogarithmic = false
  var width = 960.0
  var height = 320.0
  /// Whether the names of lines are written at their ends. Small charts beside a large one leave them out.
  var hasLabels = true

  var svg: Markup {
    let drawn = series.filter { !$0.points.isEmpty }
    let plot = plot(drawn)
    return picture(
      width, height, description,
      """
      \(plot.axes)<g class="plot" data-x="\(plot.x.low) \(plot.x.high) \(plot.left) \(plot.right)" \
      data-y="\(plot.y.low) \(plot.y.high) \(plot.bottom) \(plot.top)">\(marks.map { mark($0, plot) })\
      \(drawn.map { band($0, plot) })\(drawn.map { line($0, plot) })</g>\
      \(hasLabels ? labels(drawn, plot) : "")
      """)
  }

  private func plot(_ drawn: [Series]) -> Plot {
    let points = drawn.flatMap(\.points)
    let values = points.flatMap { [$0.y, $0.low ?? $0.y, $0.high ?? $0.y] }
    let margin = hasLabels ? (drawn.filter(\.isMain).map { nameWidth($0.name) }.max() ?? 0) + 24 : 16
    let isSmall = width < 500
    return Plot(
      x: Axis(x, over: points.map(\.x), including: [0], isRounded: false, ticks: isSmall ? 3 : 8),
      y: isLogarithmic
        ? Axis(y, logarithmicOver: values)
        : Axis(y, over: values, including: including, ticks: isSmall ? 4 : 5),
      width: width, height: height, margin: min(margin, width / 3))
  }

  private func mark(_ x: Double, _ plot: Plot) -> Markup {
    guard (plot.x.low...plot.x.high).contains(x) else { return "" }
    return """
      <line class="switch" x1="\(plot.across(x))" x2="\(plot.across(x))" y1="\(plot.top)" y2="\(plot.bottom)"/>
      """
  }

  // MARK: Lines and bands

  /// The sequences of consecutive points that can be drawn; other points make gaps between them.
  private func stretches(_ points: [Point]) -> [ArraySlice<Point>] {
    points.split { !$0.x.isPlottable || !$0.y.isPlottable || (isLogarithmic && $0.y <= 0) }
  }

  private func line(_ series: Series, _ plot: Plot) -> Markup {
    let paths = stretches(series.points).map { stretch -> Markup in
      "<path class=\"line\" d=\"\(path(stretch.map { (plot.across($0.x), plot.up($0.y)) }))\"/>"
    }
    let dots =
      series.isMain && series.points.count <= 40
      ? stretches(series.points).joined().map { dot($0, series, plot) } : []
    let dashed = series.isDashed ? " dashed" : ""
    return
      "<g class=\"\(styleClass(series.style))\(dashed)\" data-name=\"\(series.name)\">\(paths)\(dots)</g>"
  }

  /// A dot whose tooltip gives the point's values.
  private func dot(_ point: Point, _ series: Series, _ plot: Plot) -> Markup {
    let interval = point.low.flatMap { low in point.high.map { " [\(short(low)), \(short($0))]" } } ?? ""
    return """
      <circle class="dot" cx="\(plot.across(point.x))" cy="\(plot.up(point.y))" r="2.5">\
      <title>\(series.name): \(short(point.y))\(interval) at \(short(point.x))</title></circle>
      """
  }

  private func band(_ series: Series, _ plot: Plot) -> Markup {
    let bands = stretches(series.points).compactMap { stretch -> Markup? in
      let points = stretch.filter { $0.low?.isPlottable ?? false && $0.high?.isPlottable ?? false }
      guard points.count > 1 else { return nil }
      let upper = points.map { (plot.across($0.x), height($0.high!, plot)) }
      let lower = points.reversed().map { (plot.across($0.x), height($0.low!, plot)) }
      return "<path class=\"band\" d=\"\(path(upper + lower))Z\"/>"
    }
    return bands.isEmpty ? "" : "<g class=\"\(styleClass(series.style))\">\(bands)</g>"
  }

  /// The vertical position of an end of a band. On a logarithmic axis, ends below the axis are drawn at its
  /// lower end.
  private func height(_ value: Double, _ plot: Plot) -> Double {
    plot.up(isLogarithmic ? max(value, plot.y.low) : value)
  }

  private func path(_ points: [(Double, Double)]) -> Markup {
    let parts = points.enumerated().map { index, point -> Markup in
      "\(index == 0 ? "M" : "L")\(point.0) \(point.1)"
    }
    // A path of no length is drawn as a dot, by the round ends of its stroke.
    return points.count == 1 ? "\(parts)h0" : parts.joined
  }

  // MARK: Names

  private func labels(_ drawn: [Series], _ plot: Plot) -> Markup {
    let ends = drawn.filter(\.isMain).compactMap { series in
      stretches(series.points).last?.last.map { End(series: series, x: plot.across($0.x), y: plot.up($0.y)) }
    }.sorted { $0.y < $1.y }
    let heights = spread(ends.map(\.y), distance: 16, within: plot.top...plot.bottom)
    return zip(ends, heights).map { name($0, at: $1, plot) }.joined
  }

  /// The position of a line's end.
  private struct End {
    let series: Series
    let x: Double
    let y: Double
  }

  /// A line's name in the margin. If the name is not next to the line's end, a leader connects them.
  private func name(_ end: End, at y: Double, _ plot: Plot) -> Markup {
    let x = plot.right + 14
    let leader: Markup =
      "<path class=\"leader\" d=\"M\(end.x + 4) \(end.y)H\(max(plot.right, end.x + 4))L\(x - 3) \(y)\"/>"
    let isMoved = abs(end.y - y) > 3 || plot.right - end.x > 3
    return """
      <g class="\(styleClass(end.series.style))">\(isMoved ? leader : "")\
      <text class="name" x="\(x)" y="\(y + 4)">\(shortened(end.series.name, to: width - x))</text></g>
      """
  }
}

/// The CSS class with the colour of a style: eight colours, then the same ones dotted.
func styleClass(_ index: Int) -> String {
  index == LineChart.neutral ? "neutral" : "s\(index % 8)" + (index >= 8 ? " dotted" : "")
}

/// The sorted `positions`, moved apart so that neighbours are at least `distance` apart. Their order is kept.
/// They are moved downwards (to larger values) unless they would leave `limits`.
package func spread(_ positions: [Double], distance: Double, within limits: ClosedRange<Double>) -> [Double] {
  var moved = positions
  for i in moved.indices.dropFirst() { moved[i] = max(moved[i], moved[i - 1] + distance) }
  var ceiling = limits.upperBound
  for i in moved.indices.reversed() {
    moved[i] = min(moved[i], ceiling)
    ceiling = moved[i] - distance
  }
  return moved
}
