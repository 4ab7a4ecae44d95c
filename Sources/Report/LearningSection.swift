/// The section on evaluations, over updates and over time.
func learning(_ groups: [RunGroup]) -> Markup {
  let measures = Measure.known(in: groups)
  guard let first = measures.first else { return "" }
  let rest = measures.dropFirst().map { chart($0, groups, isSmall: true) }
  let small: Markup = rest.isEmpty ? "" : "<div class=\"charts\">\(Array(rest))</div>"
  return section(
    "Learning",
    """
    Means over seeds; bands are their 95 % bootstrap intervals. A line is dotted where some runs of its setting have \
    not got that far yet.
    """,
    [chart(first, groups, isSmall: false), byTime(first, groups), small])
}

/// The chart of a measure over updates.
private func chart(_ measure: Measure, _ groups: [RunGroup], isSmall: Bool) -> Markup {
  let curves = groups.map { ($0, measure.curve($0)) }
  var chart = LineChart(
    description: "\(measure.name) over updates, for \(groups.map(\.name).joined(separator: "; "))",
    x: isSmall ? "" : "updates", y: measure.name, series: curves.flatMap { series($0, $1) },
    including: measure.limits)
  chart.marks = onlineMarks(groups)
  if isSmall { (chart.width, chart.height, chart.hasLabels) = (300, 190, false) }
  let imitation = imitation(measure, groups)
  if !isSmall, let imitation { chart.series.append(reference(imitation, over: chart.series)) }
  let caption: Markup =
    isSmall
    ? ""
    : "\(imitation == nil ? "" : "Dotted grey: behaviour cloning, at the end.")\(chart.marks.isEmpty ? "" : " Vertical line: from here on runs also learn from what they collect in the environment.")"
  return figure(chart.svg, caption, numbers: numbers(curves, x: "updates"))
}

/// The updates after which runs go on online.
func onlineMarks(_ groups: [RunGroup]) -> [Double] {
  groups.flatMap(\.runs).compactMap(\.onlineFrom).unique().map(Double.init)
}

/// The lines of one group's curve: one for all runs, and a dotted one where only some runs have the figure.
func series(_ group: RunGroup, _ curve: Curve) -> [LineChart.Series] {
  [
    LineChart.Series(name: group.name, style: group.style, points: curve.points),
    LineChart.Series(
      name: group.name, style: group.style, points: curve.partial, isDashed: true,
      isMain: curve.points.isEmpty),
  ]
}

/// A table of curves: their means and intervals at each x.
func numbers(_ curves: [(RunGroup, Curve)], x: String) -> DataTable {
  let points = curves.map { Dictionary($1.points.map { ($0.x, $0) }) { $1 } }
  return DataTable(
    header: [x] + curves.map(\.0.name),
    rows: Set(points.flatMap(\.keys)).sorted().map { step in
      [.init(grouped(Int(step)))] + points.map { .init($0[step].map(interval) ?? "–") }
    })
}

/// The measure that behaviour cloning reaches at the end, averaged over all runs; nil if it was not
/// evaluated.
private func imitation(_ measure: Measure, _ groups: [RunGroup]) -> Double? {
  let values = groups.flatMap(\.runs).compactMap { measure.imitation($0)?.values(measure.column).last?.value }
    .filter(\.isPlottable)
  return values.isEmpty ? nil : mean(values)
}

/// A horizontal line across the chart.
private func reference(_ level: Double, over series: [LineChart.Series]) -> LineChart.Series {
  let last = series.flatMap(\.points).map(\.x).max() ?? 1
  return LineChart.Series(
    name: "behaviour cloning", style: LineChart.neutral,
    points: [.init(x: 0, y: level), .init(x: last, y: level)], isDashed: true, isMain: false)
}

/// The chart of a measure over the time that the updates took.
private func byTime(_ measure: Measure, _ groups: [RunGroup]) -> Markup {
  let curves = groups.map { ($0, atTimes($0, measure.curve($0))) }
  guard curves.contains(where: { $1.count > 1 }) else { return "" }
  let chart = LineChart(
    description: "\(measure.name) over training time, for \(groups.map(\.name).joined(separator: "; "))",
    x: "training time in seconds", y: measure.name,
    series: curves.map { .init(name: $0.name, style: $0.style, points: $1) }, including: measure.limits)
  return figure(
    chart.svg,
    "The same measure over the time that the updates took, without evaluations; times are means over runs.")
}

/// The points of a curve, with x the seconds that the group's runs took on average for the updates.
private func atTimes(_ group: RunGroup, _ curve: Curve) -> [LineChart.Point] {
  let clocks = group.runs.compactMap(\.clock)
  guard !clocks.isEmpty else { return [] }
  return curve.points.compactMap { point in
    let seconds = clocks.compactMap { $0(point.x) }
    guard !seconds.isEmpty else { return nil }
    return LineChart.Point(x: mean(seconds), y: point.y, low: point.low, high: point.high)
  }
}
