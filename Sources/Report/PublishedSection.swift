import Agents
import Basics
import Settings

/// The section that puts runs beside what papers report of the same tasks.
func published(_ runs: [RecordedRun]) -> Markup {
  let results = PublishedResults.all
  let tables = results.groups.compactMap { group -> Markup? in
    let rows = PublishedRow.rows(of: group, runs)
    return rows.contains { !$0.runs.isEmpty } ? table(group, rows, results) : nil
  }
  guard !tables.isEmpty else {
    return section("Beside published figures", "None of these runs is of a task that papers report.", [""])
  }
  let sources = results.sources.map { "<li>\($0.name): \($0.place)</li>" as Markup }
  return section(
    "Beside published figures",
    """
    100 × success; of D4RL's tasks the normalised score, where there is one. “here” is the mean over tasks of the means over seeds \
    and, in brackets, its 95 % bootstrap interval over seeds. The last column says where settings differ from the \
    published ones; it cannot say whether the data are the same.
    """,
    tables + ["<ul class=\"small\">\(sources)</ul>"])
}

private func table(
  _ group: PublishedResults.Group, _ rows: [PublishedRow], _ results: PublishedResults
) -> Markup {
  let rule = group.last == 1 ? "last evaluation" : "mean of the last \(group.last) evaluations"
  let table = DataTable(
    header: ["", "here", "tasks", "seeds"] + group.figures.map(\.source) + ["what differs here"],
    rows: rows.map { row in
      [.init(row.title), .init(row.figure(group)), .init(row.tasks(group)), .init(row.seeds(group))]
        + group.figures.map { source in .init(source.agents.first { $0.agent == row.agent }?.figure ?? "–") }
        + [.init(row.runs.isEmpty ? "–" : row.remarks(group))]
    })
  let tasks = group.tasks.count == 1 ? "1 task" : "\(group.tasks.count) tasks"
  return
    "<h3>\(group.name)</h3><p class=\"small\">\(tasks); the \(rule) of each run; published with \(group.seeds) seeds.</p>\(table.markup)"
}

/// The runs of one agent whose settings differ alike from the published ones, or an agent without runs.
private struct PublishedRow {
  let agent: String
  /// Settings that differ, as text.
  let differences: [String]
  var runs: [RecordedRun]

  var title: String { AgentKind(rawValue: agent)?.title ?? agent }

  /// The agents of a group: first those that can be trained here, then others that papers report.
  static func rows(of group: PublishedResults.Group, _ runs: [RecordedRun]) -> [PublishedRow] {
    var rows: [PublishedRow] = []
    for run in runs where group.index(of: run.task) != nil {
      let (agent, differences) = (run["agent"] ?? "?", differences(run))
      if let index = rows.firstIndex(where: { $0.agent == agent && $0.differences == differences }) {
        rows[index].runs.append(run)
      } else {
        rows.append(PublishedRow(agent: agent, differences: differences, runs: [run]))
      }
    }
    let reported = group.figures.flatMap { $0.agents.map(\.agent) }.unique()
    let agents = (AgentKind.allCases.map(\.rawValue) + reported + rows.map(\.agent)).unique()
    return agents.flatMap { agent -> [PublishedRow] in
      let own = rows.filter { $0.agent == agent }
      guard own.isEmpty, reported.contains(agent) else { return own }
      return [PublishedRow(agent: agent, differences: [], runs: [])]
    }
  }

  // MARK: Cells

  /// The figures of the runs, by task; runs without an evaluation have none.
  private func figures(_ group: PublishedResults.Group) -> [[Double]] {
    var byTask = [[Double]](repeating: [], count: group.tasks.count)
    for run in runs {
      if let index = group.index(of: run.task), let figure = run.figure(group) {
        byTask[index].append(figure)
      }
    }
    return byTask.filter { !$0.isEmpty }
  }

  func figure(_ group: PublishedResults.Group) -> String {
    let figures = figures(group)
    guard !figures.isEmpty else { return "–" }
    let text = fixed(mean(figures.map(mean)), 1)
    return plottableInterval(ofGroups: figures).map { "\(text) [\(fixed($0.low, 1)), \(fixed($0.high, 1))]" }
      ?? text
  }

  func tasks(_ group: PublishedResults.Group) -> String {
    runs.isEmpty ? "–" : "\(figures(group).count) of \(group.tasks.count)"
  }

  func seeds(_ group: PublishedResults.Group) -> String {
    let counts = figures(group).map(\.count)
    guard let least = counts.min(), let most = counts.max() else { return "–" }
    return least == most ? "\(least)" : "\(least) to \(most)"
  }

  /// What a reader should know before comparing.
  func remarks(_ group: PublishedResults.Group) -> String {
    let unfinished = runs.count { $0.lastStep < $0.steps ?? 0 }
    let unknown = runs.count { $0.figure(group) == nil }
    let short = runs.count { $0.scores(group).count < group.last }
    let remarks =
      differences
      + (unfinished > 0 ? ["\(unfinished) of \(runs.count) runs not finished"] : [])
      + (unknown > 0 ? ["\(unknown) without evaluation"] : [])
      + (short > unknown ? ["\(short - unknown) with fewer evaluations than \(group.last)"] : [])
    return remarks.isEmpty ? "nothing" : remarks.joined(separator: "; ")
  }

  // MARK: Differences

  /// Where a run's settings are not the published ones for its task and agent, as text.
  private static func differences(_ run: RecordedRun) -> [String] {
    let preset = Preset.named(run.task)
    guard let agent = run["agent"].flatMap(AgentKind.init(rawValue:)),
      let published = try? Configuration.layered(["--env=\(run.task)", "--agent=\(agent)"])
    else { return ["its settings cannot be compared"] }
    let remarks = [
      preset?.source(for: agent) == nil ? "no settings published; compared with the agent's defaults" : nil,
      preset?.notes[agent],
      run.task.hasPrefix("minari:D4RL/") ? "Minari's data and environment, not D4RL's" : nil,
    ]
    // Where it computes, how often it reports, and how it is played by the rules of the task do not count.
    let passed: Set = ["env", "agent", "seed", "virtual-shards", "success"]
    let protocolNames: Set = ["steps", "eval-interval", "eval-episodes"]
    let compared =
      published.identity.filter { !passed.contains($0.name) }
      + published.allSettings.filter { protocolNames.contains($0.name) }
    return compared.compactMap { setting in
      let name = setting.name.replacing("-", with: "_")
      guard let value = run[name], !isSame(value, setting.value) else { return nil }
      return "\(name) \(value), published \(setting.value)"
    } + remarks.compactMap(\.self)
  }

  private static func isSame(_ a: String, _ b: String) -> Bool {
    if let a = Double(a), let b = Double(b) { return a == b }
    return a == b
  }
}

extension RecordedRun {
  /// The name of the run's task.
  fileprivate var task: String {
    benchmarkTask(
      env: self["env"] ?? "", kwargs: self["env_kwargs"].flatMap { try? EnvironmentArguments($0) })
  }

  /// What a group reports, of all evaluations: normalised scores if there are any, or 100 × success.
  fileprivate func scores(_ group: PublishedResults.Group) -> [Double] {
    let table = evaluationsOnTime
    let scores = group.isScored ? table?.values("normalised_score").map(\.value) ?? [] : []
    return scores.isEmpty ? table?.values("success").map { 100 * $0.value } ?? [] : scores
  }

  /// The evaluations after each interval and at the end. A run that was made longer has another at its former end.
  private var evaluationsOnTime: CSVTable? {
    let interval = self["eval_interval"].flatMap(Double.init) ?? 0
    return evaluations?.filtered { update in
      interval <= 0 || update.truncatingRemainder(dividingBy: interval) == 0 || update == Double(steps ?? 0)
    }
  }

  /// The mean over a group's number of last evaluations, or as many as there are.
  fileprivate func figure(_ group: PublishedResults.Group) -> Double? {
    let scores = scores(group)
    return scores.isEmpty ? nil : mean(Array(scores.suffix(group.last)))
  }
}
