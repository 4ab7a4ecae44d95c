import Kernels
import Randomness

/// A random input of an update or of a step.
public struct Draw: Sendable, Equatable {
  /// The distribution of every element.
  public enum Distribution: Sendable, Equatable {
    /// N(0, 1).
    case normal
    /// Uniform on [0, 1).
    case uniform
    /// Uniform on [−1, 1).
    case symmetric
    /// Uniform on the whole numbers from 0 up to this one, which is excluded.
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

  /// N(0, 1), as wide as an action.
  static func noise(_ name: String, _ spec: DataSpec) -> Draw {
    Draw(name, .normal, width: spec.actionSize)
  }

  /// A time, U[0, 1).
  static func time(_ name: String) -> Draw { Draw(name, .uniform, width: 1) }

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
