/// What success costs, where runs of several agents are compared.
func cost(_ groups: [RunGroup]) -> Markup {
  guard Set(groups.compactMap { $0.runs.first?["agent"] }).count > 1,
    let measure = Measure.known(in: groups).first
  else { return "" }
  let items = groups.compactMap { group -> ScatterChart.Item? in
    guard var point = measure.curve(group).last, !group.updateRates.isEmpty else { return nil }
    point.x = 1000 / median(group.updateRates)
    return ScatterChart.Item(name: group.name, style: group.style, point: point)
  }
  guard items.count > 1 else { return "" }
  let chart = ScatterChart(
    description: "\(measure.name) of the last evaluation against milliseconds an update",
    x: "milliseconds an update", y: measure.name, items: items, including: measure.limits)
  let numbers = DataTable(
    header: ["", "ms an update", measure.name],
    rows: items.map {
      [.init($0.name, style: $0.style), .init(short($0.point.x)), .init(interval($0.point))]
    })
  return section(
    "Cost",
    """
    The \(measure.name) of the last evaluation, with its 95 % bootstrap interval over seeds, against the time of an \
    update in these runs. Up and to the left is better.
    """,
    [figure(chart.svg, numbers: numbers)])
}
