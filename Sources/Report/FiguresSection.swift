/// The section on the values that critics give the samples of a batch.
func values(_ groups: [RunGroup]) -> Markup {
  let columns = trainingColumns(groups)
  let critics = columns.filter { $0.hasPrefix("critic/") && $0.hasSuffix("_mean") }.map {
    String($0.dropLast(5))
  }
  let charts = groups.compactMap { group -> Markup? in
    let series = critics.enumerated().flatMap { valueLines($1, group, style: $0) }
    guard !series.isEmpty else { return nil }
    var chart = LineChart(
      description: "values that the critics of \(group.name) give the batch, over updates", x: "",
      y: groups.count == 1 ? "" : group.name, series: series)
    (chart.width, chart.height) = groups.count == 1 ? (960, 260) : (300, 190)
    return figure(chart.svg)
  }
  guard !charts.isEmpty else { return "" }
  return section(
    "Values",
    "The values that the critics give a batch: the mean and, dotted, the smallest and the largest. Means over seeds.",
    groups.count == 1 ? charts : ["<div class=\"charts\">\(charts)</div>"])
}

/// Lines of the mean, the smallest and the largest value that a critic gives the samples of a batch.
private func valueLines(_ critic: String, _ group: RunGroup, style: Int) -> [LineChart.Series] {
  ["mean", "min", "max"].compactMap { part in
    let points = Curve(group.runs.compactMap(\.training), "\(critic)_\(part)").points.map {
      LineChart.Point(x: $0.x, y: $0.y)
    }
    guard !points.isEmpty else { return nil }
    return LineChart.Series(
      name: critic.dropFirst("critic/".count).uppercased(), style: style, points: points,
      isDashed: part != "mean", isMain: part == "mean")
  }
}

/// The section on losses and the other figures of train.csv, with a small chart for each.
func losses(_ groups: [RunGroup]) -> Markup {
  let columns = trainingColumns(groups).filter { column in
    !["time/", "validation/"].contains(where: column.hasPrefix)
      && !["_mean", "_min", "_max"].contains(where: column.hasSuffix)
  }
  let drawn = columns.compactMap { column in chart(column, groups).map { (column, $0) } }
  guard !drawn.isEmpty else { return "" }
  return section(
    "Losses",
    """
    The figures of train.csv, named as in the published code: means over seeds with 95 % bootstrap intervals. Dotted: \
    the same figures on validation data. Where values span more than two powers of ten, the scale is logarithmic.
    """,
    [
      legend(groups), "<div class=\"charts\">\(drawn.map(\.1))</div>",
      DataTable(
        header: ["", ""] + quarters, rows: drawn.flatMap { column, _ in rows(column, groups) }
      ).folded,
    ])
}

private let quarters = ["first", "¼", "½", "¾", "last"]

/// The means of a column at five points of the training, one row for each group.
private func rows(_ column: String, _ groups: [RunGroup]) -> [[DataTable.Cell]] {
  groups.compactMap { group in
    let points = Curve(group.runs.compactMap(\.training), column).points
    guard !points.isEmpty else { return nil }
    return [.init(column), .init(group.name, style: group.style)]
      + (0..<5).map { .init(short(points[(points.count - 1) * $0 / 4].y)) }
  }
}

private func chart(_ column: String, _ groups: [RunGroup]) -> Markup? {
  let series = groups.flatMap { group -> [LineChart.Series] in
    let tables = group.runs.compactMap(\.training)
    let validation = Curve(tables, "validation/" + column).points.map { LineChart.Point(x: $0.x, y: $0.y) }
    return [
      .init(
        name: group.name, style: group.style, points: validation, isDashed: true, isMain: false),
      .init(name: group.name, style: group.style, points: Curve(tables, column).points, isMain: false),
    ]
  }
  let values = series.flatMap(\.points).map(\.y).filter(\.isPlottable)
  guard let least = values.min(), let most = values.max() else { return nil }
  var chart = LineChart(description: "\(column) over updates", x: "", y: column, series: series)
  chart.isLogarithmic = least > 0 && most > 100 * least
  (chart.width, chart.height, chart.hasLabels) = (300, 190, false)
  chart.marks = onlineMarks(groups)
  return figure(chart.svg)
}

/// The columns of train.csv in all runs, in the order in which they first appear.
private func trainingColumns(_ groups: [RunGroup]) -> [String] {
  groups.flatMap(\.runs).flatMap { $0.training?.columns.dropFirst().map(\.self) ?? [] }.unique()
}
