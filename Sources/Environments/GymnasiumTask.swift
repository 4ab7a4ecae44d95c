/// A task whose environment is a Gymnasium one, which runs in Python.
public struct GymnasiumTask: Sendable, Equatable {
  /// Whose names are used.
  public enum Source: String, Sendable, CaseIterable {
    /// OGBench's dataset names: `cube-single-play-singletask-v0`.
    case ogbench
    /// Ids of Gymnasium's registry: `HalfCheetah-v5`, `module:Name-v0`.
    case gymnasium
    /// Ids of Minari's datasets, which know their environment: `D4RL/pen/human-v2`.
    case minari
  }

  /// Whose names are used.
  public let source: Source
  /// The name there.
  public let name: String

  /// The task called `SOURCE:NAME`, or nil if it is not called so.
  init?(prefixed name: String) {
    let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let source = Source(rawValue: String(parts[0])), !parts[1].isEmpty else {
      return nil
    }
    self.source = source
    self.name = String(parts[1])
  }

  /// A task by the name it has in OGBench, which marks the tasks that come with rewards by a word.
  init?(ogbench name: String) {
    guard name.split(separator: "-").contains("singletask") else { return nil }
    (source, self.name) = (.ogbench, name)
  }
}

/// A task by the name that `--env` gives it.
public enum NamedTask: Sendable {
  /// A maze that needs no Python.
  case embedded(PointMazeTask)
  /// Everything else.
  case gymnasium(GymnasiumTask)

  /// The task called `name`: an embedded one, `ogbench:NAME`, `gymnasium:ID`, `minari:ID`, or one of OGBench's
  /// names as it is. Throws `UnknownTask`.
  public init(name: String) throws(UnknownTask) {
    if let task = GymnasiumTask(prefixed: name) {
      self = .gymnasium(task)
    } else if !PointMazeTask.claims(name), let task = GymnasiumTask(ogbench: name) {
      self = .gymnasium(task)
    } else {
      self = .embedded(try PointMazeTask(name: name))
    }
  }

  /// The embedded task, if it is one.
  public var embedded: PointMazeTask? {
    if case .embedded(let task) = self { task } else { nil }
  }

  /// Whether its name says which Python module to import: `gymnasium:MODULE:ID`.
  public var importsModule: Bool {
    if case .gymnasium(let task) = self {
      task.source == .gymnasium && task.name.contains(":")
    } else {
      false
    }
  }

  /// Whether its name is also that of a dataset.
  public var hasDataset: Bool {
    switch self {
    case .embedded: true
    case .gymnasium(let task): task.source != .gymnasium
    }
  }

  /// Whether its project computes the rewards of data that have none.
  public var computesRewards: Bool {
    switch self {
    case .embedded: true
    case .gymnasium(let task): task.source == .ogbench
    }
  }

  /// Its environment.
  ///
  /// - Parameters:
  ///   - episodes: how many are going to be played.
  ///   - workers: how Gymnasium environments are run.
  ///   - isCancelled: asked while waiting; yes ends the wait with a failure.
  public func environment(
    seed: UInt32, episodes: Int, workers: GymnasiumEnvironment.Options,
    isCancelled: @escaping () -> Bool = { false }
  ) -> any VectorEnvironment {
    switch self {
    case .embedded(let task): PointMazeEpisodes(task, seed: seed, capacity: min(episodes, 1000))
    case .gymnasium(let task):
      GymnasiumEnvironment(task, workers, seed: seed, episodes: episodes, isCancelled: isCancelled)
    }
  }
}
