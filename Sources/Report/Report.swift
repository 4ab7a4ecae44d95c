import Basics
import Foundation

/// One page about some runs: how they learned, what they cost, what they were set to.
///
/// The same runs give the same page, byte for byte. Runs may be unfinished; what is missing or damaged is noted on
/// the page.
public struct Report {
  /// The page.
  public let html: String
  /// Number of runs on it.
  public let runCount: Int
  /// One line for each thing that was missing or damaged.
  public let notes: [String]

  /// Reads runs.
  ///
  /// - Parameter paths: run directories, or directories that contain some, such as a sweep's.
  /// - Throws: `Failure` for a path that is neither.
  public init(paths: [String]) throws {
    let runs = try paths.flatMap(Self.directories).map(RecordedRun.init)
    let groups = RunGroup.groups(of: runs)
    runCount = runs.count
    let policies = PolicySection(groups)
    notes = runs.flatMap { run in run.notes.map { "\(run.name): \($0)" } } + policies.notes
    html = page(
      title: "fan-dist: \(Self.title(runs))",
      """
      \(Self.head(runs, groups))\(summary(groups))\(learning(groups))\(policies.markup)\(cost(groups))\
      \(values(groups))\(losses(groups))\(time(groups))\(settings(groups))\(list(of: runs))
      """)
  }

  /// Writes the page.
  public func write(to path: String) throws { try save(html, to: path) }

  /// The run at a path, or the runs right inside it, by name.
  private static func directories(_ path: String) throws -> [String] {
    if RecordedRun.isRun(path) { return [path] }
    let names = try? FileManager.default.contentsOfDirectory(atPath: path)
    let runs = (names ?? []).map { "\(path)/\($0)" }.filter(RecordedRun.isRun)
    guard !runs.isEmpty else {
      let problem =
        names == nil ? "no such directory" : "no run here: nothing has a config.yaml or a train.csv"
      throw Failure(.noInput, "\(path): \(problem); give run directories, or one that contains some")
    }
    return runs.sorted { $0.compare($1, options: .numeric) == .orderedAscending }
  }

  private static func title(_ runs: [RecordedRun]) -> String {
    let tasks = runs.compactMap { $0["env"] }.unique()
    return tasks.isEmpty ? "runs" : tasks.prefix(3).joined(separator: ", ") + (tasks.count > 3 ? ", …" : "")
  }

  private static func head(_ runs: [RecordedRun], _ groups: [RunGroup]) -> Markup {
    let kinds = groups.count == 1 ? "one setting" : "\(groups.count) settings"
    let runsText = runs.count == 1 ? "One run" : "\(runs.count) runs of \(kinds)"
    return """
      <header><h1>\(title(runs))</h1><p class="lead">\(runsText)</p></header>

      """
  }
}

extension Array where Element: Hashable {
  /// Each element where it comes first.
  func unique() -> [Element] {
    var seen = Set<Element>()
    return filter { seen.insert($0).inserted }
  }
}
