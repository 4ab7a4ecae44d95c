import Basics

/// What came out of each group, in a table.
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
    The last evaluation: the mean over seeds and, in brackets, the interval that it lies in (95 %, bootstrap over \
    seeds; of few seeds it is too narrow).
    """
  return section("Outcome", introduction, [table.markup])
}

/// A figure of an evaluation that people ask for.
struct Measure {
  /// What people call it.
  let name: String
  /// The column of eval.csv.
  let column: String
  /// Values that an axis for it spans at least.
  let limits: [Double]

  static let all = [
    Measure(name: "success", column: "success", limits: [0, 1]),
    Measure(name: "normalised score", column: "normalised_score", limits: [0]),
    Measure(name: "return", column: "return", limits: []),
    Measure(name: "episode length", column: "length", limits: [0]),
  ]

  /// Those that some runs have evaluated.
  static func known(in groups: [RunGroup]) -> [Measure] {
    all.filter { measure in groups.contains { !measure.curve($0).points.isEmpty } }
  }

  /// It over the updates of a group.
  func curve(_ group: RunGroup) -> Curve { Curve(group.runs.compactMap(\.evaluations), column) }
}

/// A mean with its interval.
func interval(_ point: LineChart.Point) -> String {
  guard let low = point.low, let high = point.high else { return short(point.y) }
  return "\(short(point.y)) [\(short(low)), \(short(high))]"
}

/// How far a group's runs are.
private func progress(_ group: RunGroup) -> String {
  let steps = group.runs.map(\.lastStep)
  guard let least = steps.min(), let most = steps.max() else { return "–" }
  return least == most ? grouped(most) : "\(grouped(least)) to \(grouped(most))"
}
