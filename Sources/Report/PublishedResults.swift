import Settings
import Yams

/// The figures that papers report, from `published.yaml`.
struct PublishedResults {
  /// Tasks whose mean is reported.
  struct Group {
    let name: String
    /// Patterns of the names of the tasks.
    let tasks: [String]
    /// The number of a run's last evaluations whose mean is its figure.
    let last: Int
    /// Whether it reports normalised scores, not success.
    let isScored: Bool
    /// The number of seeds.
    let seeds: Int
    /// The figures as printed, by source and agent.
    let figures: [(source: String, agents: [(agent: String, figure: String)])]

    /// The index of the pattern that a task fits.
    func index(of task: String) -> Int? { tasks.firstIndex { isTask(task, like: $0) } }
  }

  /// The sources' names and where they were published.
  let sources: [(name: String, place: String)]
  let groups: [Group]

  static let all = PublishedResults(text: String(decoding: PackageResources.published_yaml, as: UTF8.self))

  /// Reads the project's own file; a mistake in it is one of this program.
  private init(text: String) {
    guard let root = (try? Yams.compose(yaml: text))??.mapping, let sources = root["sources"]?.mapping,
      let groups = root["groups"]?.sequence
    else { preconditionFailure("published.yaml has no sources and groups") }
    func pairs(_ mapping: Node.Mapping) -> [(String, String)] {
      mapping.map { ($0.key.string ?? "", $0.value.scalar?.string ?? "") }
    }
    self.sources = pairs(sources).map { (name: $0.0, place: $0.1) }
    self.groups = groups.map { group in
      guard let name = group["name"]?.string, let tasks = group["tasks"]?.array(of: String.self),
        let last = group["last"]?.int, let seeds = group["seeds"]?.int,
        let figures = group["figures"]?.mapping, let measure = group["measure"]?.string
      else { preconditionFailure("published.yaml: a group lacks something") }
      return Group(
        name: name, tasks: tasks, last: last, isScored: measure == "normalised score", seeds: seeds,
        figures: figures.map { source, agents in
          (source.string ?? "", pairs(agents.mapping ?? [:]).map { (agent: $0.0, figure: $0.1) })
        })
    }
  }
}
