import Basics
import Datasets
import MPI
import Settings

/// A replay buffer on all ranks. Each node holds what was collected once, in memory that its ranks share and that is
/// reserved at the start, beside the node's copy of the dataset or the dataset's files.
public final class SharedReplayBuffer {
  /// The buffer, which this rank draws from.
  public let buffer: ReplayBuffer
  /// What the memory is, in words for people.
  public let place: String
  private let node: Communicator
  private let memory: SharedMemory

  /// Reserves the memory of a run's online phase. Collective.
  ///
  /// - Parameter releases: is told what to free at the end.
  /// - Throws: the same `Failure` on all ranks when the data are images, or a node has too little memory.
  init(
    _ data: SharedDataset, _ online: OnlineSettings, world: Communicator, _ releases: Releases
  ) throws {
    guard case .vector(let observationSize) = data.spec.observation else {
      throw Failure(
        .usage,
        "--online-steps: observations that are images cannot be trained on online; leave it out, or choose a task with vectors"
      )
    }
    let plan = ReplayPlan(
      online, dataset: data.transitions.transitionCount, observationSize: observationSize,
      actionSize: data.spec.actionSize)
    node = try world.splitByNode()
    try world.together { [node] in if node.rank == 0 { try Self.requireRoom(plan) } }
    memory = try SharedMemory(node, byteCount: plan.byteCount)
    releases.add(memory.free)
    buffer = ReplayBuffer(
      data.transitions, plan, memory: memory.base, offlineRatio: online.offlineRatio)
    place =
      "buffer of \(plan.capacity) transitions, with \(megabytes(plan.byteCount)) MB on each node for \(plan.storedRows) that are collected"
  }

  private static func requireRoom(_ plan: ReplayPlan) throws(Failure) {
    guard let available = MachineShare().freeMemory, plan.byteCount > available else { return }
    throw Failure(
      .system,
      "the buffer needs \(megabytes(plan.byteCount)) MB of memory for \(plan.storedRows) collected transitions, and \(MPI.processorName) has \(megabytes(available)) MB left: lower --buffer-size or --online-steps"
    )
  }

  /// Takes further transitions, which all ranks have. Collective: none draws before all of its node are here.
  public func append(_ transitions: UnsafePointer<Float>, count: Int) throws(MPIError) {
    buffer.append(transitions, count: count, writes: node.rank == 0)
    try memory.synchronise()
  }
}

extension ReplayPlan {
  /// The sizes of a run's buffer.
  ///
  /// - Parameter dataset: transitions of the dataset.
  init(_ online: OnlineSettings, dataset: Int, observationSize: Int, actionSize: Int) {
    self.init(
      dataset: dataset, size: online.bufferSize, keepsDataset: online.offlineRatio != nil,
      mostCollected: online.mostCollected, environments: online.onlineEnvironments,
      observationSize: observationSize, actionSize: actionSize)
  }
}
