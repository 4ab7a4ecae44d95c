import Agents
import ArrayFiles
import Datasets
import Environments
import Foundation
import MPI

/// A dataset of which each node holds one copy, shared by its ranks.
struct SharedDataset {
  let transitions: TransitionDataset
  /// What the data look like; on the first rank of each node.
  let statistics: DatasetStatistics?
  /// What an agent needs to know about them.
  let problem: Problem
  /// Identifies the data, hexadecimal.
  let digest: String
  /// Bytes of this node's copy over the node's ranks.
  let bytesPerRank: Int
  private let memory: SharedMemory

  /// The data of a configuration: its dataset, or what the embedded task generates. Collective.
  init(_ configuration: Configuration, task: PointMazeTask, world: Communicator) throws {
    try self.init(world: world, task: task) {
      guard let path = configuration.dataset else { return try recorded(task, validation: false) }
      return try OGBenchSource(path: path)
    }
    if let expected = configuration.datasetDigest, expected != digest {
      throw Failure(
        .configuration, "the dataset has digest \(digest), not \(expected) as --dataset-digest asks")
    }
  }

  /// The validation data that belong to those, if there are any. Collective.
  static func validation(
    _ configuration: Configuration, task: PointMazeTask, world: Communicator
  ) throws -> SharedDataset? {
    guard let path = configuration.dataset else {
      return try SharedDataset(world: world, task: task) { try recorded(task, validation: true) }
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
  ///   - open: opens the data; called on the first rank of each node only.
  private init(world: Communicator, task: PointMazeTask, open: () throws -> OGBenchSource) throws {
    let node = try world.splitByNode()
    let source = try world.together {
      let source = node.rank == 0 ? try open() : nil
      try source.map { try requireFit($0, task) }
      return source
    }
    var words = source?.plan.words ?? [Int64](repeating: 0, count: DatasetPlan.wordCount)
    try node.broadcast(&words, count: words.count * MemoryLayout<Int64>.stride)
    let plan = DatasetPlan(words: words)
    let memory = try SharedMemory(node, byteCount: plan.byteCount)
    statistics = try world.together {
      try source?.load(
        into: UnsafeMutableRawBufferPointer(start: memory.base, count: plan.byteCount),
        rewards: rewardRule(task))
    }
    try memory.synchronise()
    self.memory = memory
    transitions = TransitionDataset(plan: plan, base: UnsafeRawPointer(memory.base))
    let spread = statistics?.reward
    var rewards = SIMD2(spread?.minimum ?? 0, spread?.maximum ?? 0)
    try node.broadcast(&rewards, count: MemoryLayout.size(ofValue: rewards))
    problem = Problem(
      observationSize: plan.observationSize, actionSize: plan.actionSize, rewards: rewards.x...rewards.y)
    digest = String(decoding: try node.broadcast(Array((statistics?.digest ?? "").utf8)), as: UTF8.self)
    bytesPerRank = plan.byteCount / node.size
    try world.requireAgreement(
      on: "the dataset", UInt64(digest, radix: 16) ?? 0, advice: "give all nodes the same file")
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
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: source.plan.byteCount, alignment: 64)
  defer { memory.deallocate() }
  return try source.load(into: memory, rewards: task.map(rewardRule))
}

private func rewardRule(_ task: PointMazeTask) -> RewardRule {
  { task.environment.rewardAndMask(observation: SIMD2($0[0], $0[1])) }
}

/// The behaviour dataset of an embedded task, always the same one, by way of a file as everybody's data come.
private func recorded(_ task: PointMazeTask, validation: Bool) throws -> OGBenchSource {
  let path = NSTemporaryDirectory() + "/fan-dist-\(getpid())-\(task.datasetName).npz"
  try BehaviourDataset(task: task, seed: 0, validation: validation).write(to: path)
  // The opened file stays readable without its name.
  defer { unlink(path) }
  return try OGBenchSource(path: path)
}

private func requireFit(_ source: OGBenchSource, _ task: PointMazeTask) throws {
  for (member, size, expected) in [
    ("observations", source.plan.observationSize, PointMazeTask.observationSize),
    ("actions", source.plan.actionSize, PointMazeTask.actionSize),
  ] where size != expected {
    throw FileError(
      .malformed, file: source.path, member: member,
      reason: "has \(size) numbers a row, but the task \(task.name) has \(expected)")
  }
}
