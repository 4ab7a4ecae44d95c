import Kernels
import Randomness

/// A random input of an update or of a step.
public struct Draw: Sendable, Equatable {
  /// What every element is.
  public enum Distribution: Sendable, Equatable {
    /// N(0, 1).
    case normal
    /// Uniform on [0, 1).
    case uniform
    /// Uniform on [−1, 1).
    case symmetric
    /// Uniform on the whole numbers from 0 up to, but not including, this one.
    case below(Int)
  }

  /// Its name in parity cases, such as `critic/next_action_noise`.
  public let name: String
  /// Its distribution.
  public let distribution: Distribution
  /// Columns, such as the action size for noise and 1 for times.
  public let width: Int
  /// Rows that the whole batch shares, the same on all ranks; nil when every sample has a row of its own.
  public let sharedRows: Int?

  /// A draw of `width` numbers for each sample, or of `sharedRows` × `width` for all of them.
  public init(_ name: String, _ distribution: Distribution, width: Int, sharedRows: Int? = nil) {
    self.name = name
    self.distribution = distribution
    self.width = width
    self.sharedRows = sharedRows
  }

  /// A draw whose name says what it is: `…_noise` is normal, as wide as an action; `…_time` is uniform.
  init(noiseOrTime name: String, _ spec: DataSpec) {
    let isTime = name.hasSuffix("_time")
    self.init(name, isTime ? .uniform : .normal, width: isTime ? 1 : spec.actionSize)
  }

  /// Memory for up to `rows` samples.
  func matrix<T>(rows: Int, _ workspace: Workspace<T>) -> Matrix<T> {
    workspace.matrix(rows: sharedRows ?? rows, columns: width)
  }

  /// Draws for the first `rows` samples. The numbers depend on key, step and sample only.
  ///
  /// - Parameters:
  ///   - step: the update or the step of an episode.
  ///   - sample: the number of the sample in a row.
  public func fill(
    _ matrix: Matrix<Float>, rows: Int, key: SIMD2<UInt32>, step: Int, sample: (_ row: Int) -> UInt32
  ) {
    let (low, high) = (UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32))
    let shared = sharedRows
    let rows = shared ?? rows
    func counter(_ row: Int) -> SIMD4<UInt32> {
      SIMD4(0, shared == nil ? sample(row) : UInt32(row), low, high)
    }
    if distribution == .normal { return CounterNoise.normal(matrix, rows: rows, key: key, counter: counter) }
    CounterNoise.uniform(matrix, rows: rows, key: key, counter: counter)
    switch distribution {
    case .normal, .uniform: break
    case .symmetric: matrix.rows(0..<rows).replaceEach { 2 * $0 - 1 }
    case .below(let count): matrix.rows(0..<rows).replaceEach { ($0 * Float(count)).rounded(.down) }
    }
  }
}

/// One rank's rows of a batch, with the noise that belongs to them.
public final class Batch<T: Real> {
  /// Number of the update, from 0.
  public var update = 0
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
  /// One matrix per draw of the agent, in the order of its `draws`.
  public let noise: [Matrix<T>]
  /// Rows there is room for.
  public let capacity: Int

  private let isShared: [Bool]
  private let workspace = Workspace<T>()

  /// Memory for up to `capacity` rows.
  public init(capacity: Int, _ spec: DataSpec, draws: [Draw]) {
    let workspace = workspace
    self.capacity = capacity
    rows = capacity
    globalRows = capacity
    observations = workspace.matrix(rows: capacity, columns: spec.observationSize)
    actions = workspace.matrix(rows: capacity, columns: spec.actionSize)
    nextObservations = workspace.matrix(rows: capacity, columns: spec.observationSize)
    nextActions = workspace.matrix(rows: capacity, columns: spec.actionSize)
    rewards = workspace.vector(capacity)
    masks = workspace.vector(capacity)
    noise = draws.map { $0.matrix(rows: capacity, workspace) }
    isShared = draws.map { $0.sharedRows != nil }
  }

  /// The rows in use of a draw, by its number in the agent's `draws`; all rows of one that the batch shares.
  subscript<Number: RawRepresentable>(draw: Number) -> Matrix<T> where Number.RawValue == Int {
    let matrix = noise[draw.rawValue]
    return isShared[draw.rawValue] ? matrix : matrix.rows(0..<rows)
  }
}
