import Kernels

/// One rank's rows of a batch, with the noise that belongs to them.
public final class Batch<T: Real> {
  /// Number of the update, from 0.
  public var update = 0
  /// Number of rows in use; at most the capacity.
  public var rows: Int
  /// Rows of the batch over all ranks: what losses are averaged over.
  public var globalRows: Int
  /// States s, one for each row of the capacity.
  public let observations: Observations<T>
  /// Actions a, capacity × A.
  public let actions: Matrix<T>
  /// Next states s′, one for each row of the capacity.
  public let nextObservations: Observations<T>
  /// The actions stored one row later, capacity × A.
  public let nextActions: Matrix<T>
  /// Rewards r.
  public let rewards: UnsafeMutablePointer<T>
  /// Masks: 0 where the value of s′ does not count.
  public let masks: UnsafeMutablePointer<T>
  /// One matrix per draw of the agent, in the order of its `draws`.
  public let noise: [Matrix<T>]
  /// Rows that the memory holds.
  public let capacity: Int

  private let isShared: [Bool]
  /// Keeps the memory of the batch that this one is a part of.
  private let whole: Batch?
  private let workspace = Workspace<T>()

  /// Memory for up to `capacity` rows.
  public init(capacity: Int, _ spec: DataSpec, draws: [Draw]) {
    let workspace = workspace
    self.capacity = capacity
    rows = capacity
    globalRows = capacity
    observations = Observations(spec.observation, rows: capacity, in: workspace)
    actions = workspace.matrix(rows: capacity, columns: spec.actionSize)
    nextObservations = Observations(
      spec.observation, rows: capacity, moment: .next, in: workspace)
    nextActions = workspace.matrix(rows: capacity, columns: spec.actionSize)
    rewards = workspace.vector(capacity)
    masks = workspace.vector(capacity)
    noise = draws.map { $0.matrix(rows: capacity, workspace) }
    isShared = draws.map { $0.sharedRows != nil }
    whole = nil
  }

  /// Some rows of a batch, in the same memory.
  public init(_ rows: Range<Int>, of whole: Batch) {
    (capacity, self.rows, globalRows, update) = (rows.count, rows.count, whole.globalRows, whole.update)
    observations = whole.observations.apart(rows)
    actions = whole.actions.rows(rows)
    nextObservations = whole.nextObservations.apart(rows)
    nextActions = whole.nextActions.rows(rows)
    rewards = whole.rewards + rows.lowerBound
    masks = whole.masks + rows.lowerBound
    isShared = whole.isShared
    noise = zip(whole.noise, whole.isShared).map { $1 ? $0 : $0.rows(rows) }
    self.whole = whole
  }

  /// s, the states of the rows in use.
  var s: Observations<T> { observations.rows(0..<rows) }
  /// a, the dataset's actions in the rows in use, n × A.
  var a: Matrix<T> { actions.rows(0..<rows) }
  /// s′, the next states of the rows in use.
  var sNext: Observations<T> { nextObservations.rows(0..<rows) }

  /// The rows in use of a draw, by its number in the agent's `draws`; all rows of a draw that the batch shares.
  subscript<Number: RawRepresentable>(draw: Number) -> Matrix<T> where Number.RawValue == Int {
    let matrix = noise[draw.rawValue]
    return isShared[draw.rawValue] ? matrix : matrix.rows(0..<rows)
  }
}
