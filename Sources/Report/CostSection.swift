import Agents
import Basics

/// The section on the time of an update and on success against that time; empty unless agents are compared.
func cost(_ groups: [RunGroup]) -> Markup {
  let timed = groups.filter { !$0.updateRates.isEmpty }
  guard Set(timed.compactMap { $0.agent }).count > 1,
    let reference = timed.first(where: { $0.agent == AgentKind.fan.rawValue }) ?? timed.first
  else { return "" }
  let measure = Measure.known(in: timed).first
  let success: Markup =
    measure.map {
      """
       The chart below shows the \($0.name) of the last evaluation against this time, with 95 % bootstrap intervals \
      over seeds; up and to the left is better.
      """
    } ?? ""
  return section(
    "Cost", "The time of an update in these runs, relative to \(reference.name).\(success)",
    [
      figure(relativeCosts(timed, to: reference).svg, numbers: table(timed, reference, measure)),
      measure.map { successes($0, timed) } ?? "",
    ])
}

/// Bars of the time of an update, relative to that of `reference`.
private func relativeCosts(_ groups: [RunGroup], to reference: RunGroup) -> BarChart {
  BarChart(
    description: "time of an update relative to \(reference.name)",
    x: "time of an update relative to \(reference.name)",
    bars: groups.map { group in
      let ratio = group.milliseconds / reference.milliseconds
      return BarChart.Bar(
        name: group.name, style: group.style, parts: [ratio],
        label: "\(fixed(ratio, 2)) × (\(short(group.milliseconds)) ms)")
    })
}

private func table(_ groups: [RunGroup], _ reference: RunGroup, _ measure: Measure?) -> DataTable {
  DataTable(
    header: ["", "ms an update", "relative to \(reference.name)"] + (measure.map { [$0.name] } ?? []),
    rows: groups.map { group in
      [
        .init(group.name, style: group.style), .init(short(group.milliseconds)),
        .init(fixed(group.milliseconds / reference.milliseconds, 2)),
      ] + (measure.map { [.init($0.curve(group).last.map(interval) ?? "–")] } ?? [])
    })
}

/// The chart of a measure of the last evaluation against the time of an update.
private func successes(_ measure: Measure, _ groups: [RunGroup]) -> Markup {
  let items = groups.compactMap { group in
    measure.curve(group).last.map { point in
      var point = point
      point.x = group.milliseconds
      return ScatterChart.Item(name: group.name, style: group.style, point: point)
    }
  }
  guard items.count > 1 else { return "" }
  let chart = ScatterChart(
    description: "\(measure.name) of the last evaluation against milliseconds an update",
    x: "milliseconds an update", y: measure.name, items: items, including: measure.limits)
  return figure(chart.svg)
}

extension RunGroup {
  /// The agent of the group's runs.
  fileprivate var agent: String? { runs.first?["agent"] }

  /// The milliseconds an update takes: the median over the group's runs.
  fileprivate var milliseconds: Double { 1000 / median(updateRates) }
}
