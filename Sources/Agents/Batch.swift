import Kernels

/// A random input of an update: one row per sample.
public struct Draw: Sendable, Equatable {
  /// What is drawn: N(0, 1), or uniform on [0, 1).
  public enum Distribution: Sendable { case normal, uniform }
  /// Its name in parity cases, such as `critic/next_action_noise`.
  public let name: String
  /// Its distribution.
  public let distribution: Distribution
  /// Columns: the action size for noise, 1 for times.
  public let width: Int
}

/// One rank's rows of a batch, with the noise that belongs to them.
public final class Batch<T: Real> {
  /// Number of rows in use; at most the capacity.
  public var rows: Int
  /// Rows of the batch over all ranks: what losses are averaged over.
  public var globalRows: Int
  /// States s, capacity × O.
  public let observations: Matrix<T>
  /// Actions a, capacity × A.
  public let actions: Matrix<T>
  /// Next states s′, capacity × O.
  public let nextObservations: Matrix<T>
  /// The actions stored one row later, capacity × A.
  public let nextActions: Matrix<T>
  /// Rewards r.
  public let rewards: UnsafeMutablePointer<T>
  /// Masks: 0 where the value of s′ does not count.
  public let masks: UnsafeMutablePointer<T>
  /// One matrix per draw of the agent, capacity × width, in the order of its `draws`.
  public let noise: [Matrix<T>]
  /// Rows there is room for.
  public let capacity: Int

  private let workspace = Workspace<T>()

  /// Memory for up to `capacity` rows.
  public init(capacity: Int, observationSize: Int, actionSize: Int, draws: [Draw]) {
    let workspace = workspace
    self.capacity = capacity
    rows = capacity
    globalRows = capacity
    observations = workspace.matrix(rows: capacity, columns: observationSize)
    actions = workspace.matrix(rows: capacity, columns: actionSize)
    nextObservations = workspace.matrix(rows: capacity, columns: observationSize)
    nextActions = workspace.matrix(rows: capacity, columns: actionSize)
    rewards = workspace.vector(capacity)
    masks = workspace.vector(capacity)
    noise = draws.map { workspace.matrix(rows: capacity, columns: $0.width) }
  }
}

/// A logged figure and how the ranks' parts of it become one.
public struct Figure: Sendable, Equatable {
  /// How parts combine.
  public enum Reduction: Sendable { case sum, minimum, maximum }
  /// Its name, such as `critic/q_loss`.
  public let name: String
  /// How parts combine.
  public let reduction: Reduction

  init(_ name: String, _ reduction: Reduction = .sum) {
    self.name = name
    self.reduction = reduction
  }
}
