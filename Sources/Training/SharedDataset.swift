import ArrayFiles
import Datasets
import Environments
import MPI

/// A dataset of which each node holds one copy, shared by its ranks.
struct SharedDataset {
  let transitions: TransitionDataset
  let statistics: DatasetStatistics
  /// Bytes of this node's copy over the node's ranks.
  let bytesPerRank: Int
  private let memory: SharedMemory

  /// The data of a configuration: its dataset, or what the embedded task generates.
  init(_ configuration: Configuration, task: PointMazeTask, world: Communicator) throws {
    try self.init(world: world, task: task) {
      guard let path = configuration.dataset else { return recorded(task, validation: false) }
      return try OGBenchSource(path: path)
    }
    if let expected = configuration.datasetDigest, expected != statistics.digest {
      throw Failure(
        .configuration,
        "the dataset has digest \(statistics.digest), not \(expected) as --dataset-digest asks")
    }
  }

  /// The validation data that belong to those, if there are any.
  static func validation(
    _ configuration: Configuration, task: PointMazeTask, world: Communicator
  ) throws -> SharedDataset? {
    guard let path = configuration.dataset else {
      return try SharedDataset(world: world, task: task) { recorded(task, validation: true) }
    }
    let companion = OGBenchSource.companionPath(of: path)
    // The first rank decides whether there is one, in case the others look at another disk.
    guard try world.broadcast([companion == nil ? 0 : 1])[0] == 1 else { return nil }
    return try SharedDataset(world: world, task: task) { try OGBenchSource(path: companion ?? path) }
  }

  /// Reads a dataset. Collective; a failure on one rank is thrown by all.
  ///
  /// - Parameters:
  ///   - task: what the data must fit, and the rewards when they hold none.
  ///   - makeSource: opens the data; called on the first rank of each node only.
  private init(
    world: Communicator, task: PointMazeTask, makeSource: () throws -> any DatasetSource
  ) throws {
    let node = try world.splitByNode()
    let source = try world.together {
      let source = node.rank == 0 ? try makeSource() : nil
      try source.map { try requireFit($0, task) }
      return source
    }
    var words = source?.plan.words ?? [Int64](repeating: 0, count: DatasetPlan.wordCount)
    try node.broadcast(&words, count: words.count * MemoryLayout<Int64>.stride)
    let plan = DatasetPlan(words: words)
    memory = try SharedMemory(node, byteCount: plan.byteCount)
    let base = memory.base
    let loaded = try world.together {
      try source?.load(
        into: UnsafeMutableRawBufferPointer(start: base, count: plan.byteCount), rewards: rewardRule(task))
    }
    try memory.synchronise()
    transitions = TransitionDataset(plan: plan, base: UnsafeRawPointer(base))
    statistics = loaded ?? DatasetStatistics(of: transitions)
    bytesPerRank = plan.byteCount / node.size
  }
}

/// The embedded task of this name.
///
/// - Throws: `Failure` that lists the names there are.
public func embeddedTask(_ name: String) throws -> PointMazeTask {
  do { return try PointMazeTask(name: name) } catch { throw Failure(.usage, "--env: \(error)") }
}

/// Loads a dataset file or directory on this process alone and looks at all of it.
///
/// - Parameter task: gives rewards and masks when the data hold none.
public func describe(path: String, task: PointMazeTask?) throws -> DatasetStatistics {
  let source = try OGBenchSource(path: path)
  if let task { try requireFit(source, task) }
  let plan = source.plan
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: plan.byteCount, alignment: 64)
  defer { memory.deallocate() }
  return try source.load(into: memory, rewards: task.map(rewardRule) ?? { _ in (.nan, .nan) })
}

private func rewardRule(_ task: PointMazeTask) -> RewardRule {
  { task.environment.rewardAndMask(observation: SIMD2($0[0], $0[1])) }
}

/// The behaviour dataset of an embedded task; always the same one.
private func recorded(_ task: PointMazeTask, validation: Bool) -> RecordedSource {
  let data = BehaviourDataset(task: task, seed: 0, validation: validation)
  return RecordedSource(
    name: task.datasetName, observations: data.observations, actions: data.actions, terminals: data.terminals)
}

private func requireFit(_ source: any DatasetSource, _ task: PointMazeTask) throws {
  for (field, size, expected) in [
    (DatasetField.observations, source.observationSize, PointMazeTask.observationSize),
    (.actions, source.actionSize, PointMazeTask.actionSize),
  ] where size != expected {
    throw FileError(
      .malformed, file: source.name, member: field.rawValue,
      reason: "has \(size) features, but the task \(task.name) has \(expected)")
  }
}
