import Basics
import Foundation

/// A page about several runs: how they learned, what they cost, and their settings.
///
/// The same runs give the same page, byte for byte. Runs may be unfinished; the page notes what is missing or
/// damaged.
public struct Report {
  /// The page as HTML.
  public let html: String
  /// The number of runs on the page.
  public let runCount: Int
  /// One line for each thing that was missing or damaged.
  public let notes: [String]

  /// Reads runs and makes the page.
  ///
  /// - Parameters:
  ///   - paths: run directories, or directories that contain run directories, such as a sweep's.
  ///   - showsPublished: whether the page has what papers report of the same tasks.
  /// - Throws: `Failure` for a path that is neither.
  public init(paths: [String], showsPublished: Bool = false) throws {
    // A run that is named twice, also by a directory that contains it, is one run.
    var seen: Set<String> = []
    let directories = try paths.flatMap(Self.directories)
      .filter { seen.insert(URL(fileURLWithPath: $0).resolvingSymlinksInPath().path).inserted }
    let runs = directories.map(RecordedRun.init)
    let groups = RunGroup.groups(of: runs)
    runCount = runs.count
    let policies = PolicySection(groups)
    let runNotes = runs.flatMap { run in run.notes.map { "\(run.name): \($0)" } } + groups.flatMap(\.notes)
    notes = runNotes + policies.notes
    html = page(
      title: "fan-dist: \(Self.title(runs))",
      """
      \(Self.head(runs, groups))\(summary(groups))\(showsPublished ? published(runs) : "")\(learning(groups))\
      \(policies.markup)\(cost(groups))\
      \(values(groups))\(losses(groups))\(time(groups))\(settings(groups))\(list(of: runs, notes: runNotes))
      """)
  }

  /// Writes the page to the file `path`. Throws `Failure` with code 73 if it cannot be written.
  public func write(to path: String) throws { try save(html, to: path) }

  /// The run directory at `path`, or the run directories directly inside it, sorted by name.
  private static func directories(_ path: String) throws -> [String] {
    if RecordedRun.isRun(path) { return [path] }
    let names = try? FileManager.default.contentsOfDirectory(atPath: path)
    let runs = (names ?? []).map { "\(path)/\($0)" }.filter(RecordedRun.isRun)
    guard !runs.isEmpty else {
      let problem =
        names == nil
        ? "no such directory" : "no run here: nothing has a config.yaml, a train.csv or checkpoints"
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
  /// The elements without repetitions, in the order of their first occurrences.
  func unique() -> [Element] {
    var seen = Set<Element>()
    return filter { seen.insert($0).inserted }
  }
}
