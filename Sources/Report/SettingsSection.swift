/// The section on settings: those that differ between groups, those that all runs share, and facts about the
/// data.
func settings(_ groups: [RunGroup]) -> Markup {
  let differing = groups.first?.differing.map(\.name) ?? []
  let common =
    groups.first?.runs.first?.settings.filter { !differing.contains($0.name) && $0.name != "seed" } ?? []
  let list: Markup =
    "<dl>\(common.map { "<div><dt>\($0.name)</dt><dd>\($0.value)</dd></div>" as Markup })</dl>"
  return section(
    "Settings", "", [differences(groups), common.isEmpty ? "" : "<h3>In all runs</h3>\(list)", facts(groups)])
}

private func differences(_ groups: [RunGroup]) -> Markup {
  guard groups.count > 1, let names = groups.first?.differing.map(\.name) else { return "" }
  let table = DataTable(
    header: [""] + names,
    rows: groups.map { group in
      [.init(group.name, style: group.style)] + group.differing.map { .init($0.value, isMarked: true) }
    })
  return "<h3>What differs</h3>\(table.markup)"
}

/// The comments at the head of the runs' config.yaml, each shown once.
private func facts(_ groups: [RunGroup]) -> Markup {
  let lines = groups.flatMap(\.runs).flatMap(\.facts).unique().prefix(40)
  guard !lines.isEmpty else { return "" }
  return "<h3>Data and machines</h3><ul class=\"small\">\(lines.map { "<li>\($0)</li>" as Markup })</ul>"
}

/// The section that lists all runs, with notes on what is missing or damaged.
func list(of runs: [RecordedRun], notes: [String]) -> Markup {
  let table = DataTable(
    header: ["", "seed", "updates", "of", "last evaluation", "success", "return"],
    rows: runs.map { run in
      let evaluation = run.evaluations?.rows.last?.first.flatMap { Double($0) }
      func last(_ column: String) -> String {
        run.evaluations?.values(column).last.map { short($0.value) } ?? "–"
      }
      return [
        .init(run.name), .init(run["seed"] ?? "–"), .init(grouped(run.lastStep)),
        .init(run.steps.map(grouped) ?? "–"), .init(evaluation.map { grouped(Int($0)) } ?? "–"),
        .init(last("success")), .init(last("return")),
      ]
    })
  let items = notes.map { "<li>\($0)</li>" as Markup }
  return section("Runs", "", [table.markup, items.isEmpty ? "" : "<ul class=\"notes\">\(items)</ul>"])
}
