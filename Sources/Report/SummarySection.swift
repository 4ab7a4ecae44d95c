import Basics

/// The section with a table of each group's last evaluation.
func summary(_ groups: [RunGroup]) -> Markup {
  let measures = Measure.known(in: groups)
  let table = DataTable(
    header: ["", "seeds", "updates"] + measures.map(\.name) + ["updates/s"],
    rows: groups.map { group in
      [DataTable.Cell(group.name, style: group.style), "\(group.runs.count)", .init(progress(group))]
        + measures.map { .init($0.curve(group).last.map(interval) ?? "–") }
        + [.init(short(median(group.updateRates)))]
    })
  let introduction: Markup = """
    The last evaluation: the mean over seeds and, in brackets, its 95 % bootstrap interval over seeds, which is too \
    narrow if there are few.
    """
  return section("Outcome", introduction, [table.markup])
}

/// A figure of an evaluation that is shown in tables and charts.
struct Measure {
  /// The name on the page.
  let name: String
  /// The column of the table.
  let column: String
  /// Values that an axis of this measure must include.
  let limits: [Double]
  /// The table of the policy.
  var table: @Sendable (RecordedRun) -> CSVTable? = { $0.evaluations }
  /// The table of behaviour cloning.
  var imitation: @Sendable (RecordedRun) -> CSVTable? = { $0.behaviour }

  static let all = [
    Measure(name: "success", column: "success", limits: [0, 1]),
    Measure(name: "normalised score", column: "normalised_score", limits: [0]),
    Measure(name: "return", column: "return", limits: []),
    Measure(name: "episode length", column: "length", limits: [0]),
    Measure(
      name: "value by recorded episodes", column: "value", limits: [], table: { $0.judgements },
      imitation: { $0.judgedBehaviour }),
  ]

  /// The measures that evaluations of some group contain.
  static func known(in groups: [RunGroup]) -> [Measure] {
    all.filter { measure in groups.contains { !measure.curve($0).points.isEmpty } }
  }

  /// The curve of this measure over the updates of a group.
  func curve(_ group: RunGroup) -> Curve { Curve(group.runs.compactMap(table), column) }
}

/// The text of a mean and its interval: `0.30 [0.10, 0.50]`.
func interval(_ point: LineChart.Point) -> String {
  guard let low = point.low, let high = point.high else { return short(point.y) }
  return "\(short(point.y)) [\(short(low)), \(short(high))]"
}

/// The number of updates that a group's runs have done, as text.
private func progress(_ group: RunGroup) -> String {
  let steps = group.runs.map(\.lastStep)
  guard let least = steps.min(), let most = steps.max() else { return "–" }
  return least == most ? grouped(most) : "\(grouped(least)) to \(grouped(most))"
}
