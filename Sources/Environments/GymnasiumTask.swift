import Basics

/// A task in a Gymnasium environment, which runs in Python.
public struct GymnasiumTask: Sendable, Equatable {
  /// The project in which a task is looked up.
  public enum Source: String, Sendable, CaseIterable {
    /// OGBench's dataset names: `cube-single-play-singletask-v0`.
    case ogbench
    /// Ids in Gymnasium's registry: `HalfCheetah-v5`, `module:Name-v0`.
    case gymnasium
    /// Ids of Minari's datasets, which name their environment: `D4RL/pen/human-v2`.
    case minari
  }

  /// The project in which the task is looked up.
  public let source: Source
  /// The name of the task in that project.
  public let name: String

  /// Arguments by name for the environment's constructor, a JSON object; nil for none.
  public var arguments: String?
  /// The number of steps after which an episode is cut off; nil for the environment's own limit.
  public var limit: Int?
  /// The Python class that the environment is wrapped in, `MODULE:CLASS`; nil for none.
  public var wrapper: String?
  /// Whether people say which returns score 0 and 100, so that the environment's own do not count.
  public var hasGivenReferences = false
  /// Whether its environment takes actions in its own units, not in [−1, 1].
  var takesOwnUnits = false

  /// The task called `SOURCE:NAME`; nil if `name` does not have this form.
  init?(prefixed name: String) {
    let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let source = Source(rawValue: String(parts[0])), !parts[1].isEmpty,
      source != .ogbench || !parts[1].contains(":")
    else { return nil }
    self.source = source
    self.name = String(parts[1])
  }

  /// The task that OGBench calls `name`; nil if the name lacks the word `singletask`, which marks OGBench's
  /// tasks with rewards, or has a colon: OGBench would import the module before it.
  init?(ogbench name: String) {
    guard name.split(separator: "-").contains("singletask"), !name.contains(":") else { return nil }
    (source, self.name) = (.ogbench, name)
  }
}

/// A task that `--env` can name.
public enum NamedTask: Sendable {
  /// A task in an embedded maze, which needs no Python.
  case embedded(PointMazeTask)
  /// A task in a Gymnasium environment.
  case gymnasium(GymnasiumTask)

  /// The task called `name`: an embedded task, `ogbench:NAME`, `gymnasium:ID`, `minari:ID`, or a name of
  /// OGBench's without the prefix. Throws `UnknownTask`.
  public init(name: String) throws(UnknownTask) {
    if let task = GymnasiumTask(prefixed: name) {
      self = .gymnasium(task)
    } else if !PointMazeTask.claims(name), let task = GymnasiumTask(ogbench: name) {
      self = .gymnasium(task)
    } else {
      self = .embedded(try PointMazeTask(name: name))
    }
  }

  /// The embedded task; nil for a Gymnasium task.
  public var embedded: PointMazeTask? {
    if case .embedded(let task) = self { task } else { nil }
  }

  /// Whether the task's name says which Python module to import: `gymnasium:MODULE:ID`.
  public var importsModule: Bool {
    if case .gymnasium(let task) = self {
      task.source == .gymnasium && task.name.contains(":")
    } else {
      false
    }
  }

  /// Whether the task's name also names a dataset.
  public var hasDataset: Bool {
    switch self {
    case .embedded: true
    case .gymnasium(let task): task.source != .gymnasium
    }
  }

  /// Whether rewards can be computed for data of this task that have none.
  public var computesRewards: Bool {
    switch self {
    case .embedded: true
    case .gymnasium(let task): task.source == .ogbench
    }
  }

  /// Makes the task's environment. Gymnasium workers are started later, when they are first needed.
  ///
  /// - Parameters:
  ///   - seed: determines all episodes.
  ///   - episodes: the number of episodes that will be played.
  ///   - frames: how many successive observations the policy sees.
  ///   - scales: how the data that the policy learned from were scaled; nil if they were not, and the policy's actions
  ///     in [−1, 1] stand for the bounds of the environment's.
  ///   - workers: how to run Gymnasium environments.
  ///   - isCancelled: polled while waiting; true ends the wait with a failure.
  public func environment(
    seed: UInt32, episodes: Int, frames: Int, scales: DataScales?,
    workers: GymnasiumEnvironment.Options, isCancelled: @escaping () -> Bool = { false }
  ) -> any VectorEnvironment {
    let single = environment(
      seed: seed, episodes: episodes, takesOwnUnits: scales?.actions != nil, workers, isCancelled)
    let stacked: any VectorEnvironment = frames > 1 ? StackedFrames(single, frames: frames) : single
    guard let scales else { return stacked }
    return ScaledEnvironment(stacked, scales)
  }

  private func environment(
    seed: UInt32, episodes: Int, takesOwnUnits: Bool, _ workers: GymnasiumEnvironment.Options,
    _ isCancelled: @escaping () -> Bool
  ) -> any VectorEnvironment {
    switch self {
    case .embedded(let task): return PointMazeEpisodes(task, seed: seed, capacity: min(episodes, 1000))
    case .gymnasium(var task):
      task.takesOwnUnits = takesOwnUnits
      return GymnasiumEnvironment(task, workers, seed: seed, episodes: episodes, isCancelled: isCancelled)
    }
  }
}
