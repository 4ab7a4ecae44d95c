/// A group of runs whose settings differ only in the seed.
package struct RunGroup {
  /// A name that tells the group from the others, such as `alpha1 3`.
  package let name: String
  /// The index of the group's colour in all charts.
  let style: Int
  /// The settings in which groups differ, with this group's values.
  package let differing: [(name: String, value: String)]
  /// The group's runs, sorted by seed.
  package let runs: [RecordedRun]

  /// Sorts runs into groups, in the order of each group's first run.
  package static func groups(of runs: [RecordedRun]) -> [RunGroup] {
    var members: [(settings: [String: String], runs: [RecordedRun])] = []
    for run in runs {
      let settings = identity(run)
      if let index = members.firstIndex(where: { $0.settings == settings }) {
        members[index].runs.append(run)
      } else {
        members.append((settings, [run]))
      }
    }
    let order = runs.flatMap { $0.settings.map(\.name) } + [unknown]
    let differing = differingNames(members.map(\.settings), order: order)
    let telling = tellingNames(differing, members.map(\.settings))
    return members.enumerated().map { index, member in
      RunGroup(
        name: name(member.settings, telling, of: members.count), style: index,
        differing: differing.map { ($0, member.settings[$0] ?? "–") },
        runs: member.runs.sorted { seed($0) < seed($1) })
    }
  }

  /// One line for each seed that several runs of the group have.
  var notes: [String] {
    runs.compactMap { $0["seed"] }.unique().compactMap { seed in
      let names = runs.filter { $0["seed"] == seed }.map(\.name)
      guard names.count > 1 else { return nil }
      return "seed \(seed) of the same settings: \(names.joined(separator: ", ")); means count each of them"
    }
  }

  private static func seed(_ run: RecordedRun) -> Int { run["seed"].flatMap { Int($0) } ?? 0 }

  /// What stands for the settings of a run whose settings cannot be read: nobody knows what else has the same.
  private static let unknown = "directory"

  private static func identity(_ run: RecordedRun) -> [String: String] {
    guard !run.settings.isEmpty else { return [unknown: run.directory.path] }
    return Dictionary(run.settings.map { ($0.name, $0.value) }) { $1 }.filter { $0.key != "seed" }
  }

  /// The settings whose values differ, in the order of the configuration files.
  private static func differingNames(_ groups: [[String: String]], order: [String]) -> [String] {
    var seen = Set<String>()
    return order.filter { name in
      seen.insert(name).inserted && Set(groups.map { $0[name] }).count > 1
    }
  }

  /// A small subset of the differing settings that still tells all groups apart. Later settings are dropped
  /// first.
  private static func tellingNames(_ differing: [String], _ groups: [[String: String]]) -> [String] {
    var telling = differing
    for name in differing.reversed() {
      let rest = telling.filter { $0 != name }
      if Set(groups.map { group in rest.map { group[$0] } }).count == groups.count { telling = rest }
    }
    return telling
  }

  private static func name(_ settings: [String: String], _ telling: [String], of count: Int) -> String {
    // An agent's name needs no "agent" before it.
    let parts = telling.map { name in
      let value = settings[name] ?? "–"
      return name == "agent" ? value : "\(name) \(value.hasSuffix(".0") ? String(value.dropLast(2)) : value)"
    }
    return parts.isEmpty ? settings["agent"] ?? "all runs" : parts.joined(separator: ", ")
  }
}
