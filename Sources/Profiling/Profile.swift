import Basics

/// Where the time of updates goes. Off unless a benchmark turns it on; then every measured piece costs two
/// readings of the clock.
///
/// A learner has one, which its networks and its exchange share. One thread uses it.
public final class Profile {
  /// The parts of an update.
  public enum Part: Int, CaseIterable, Sendable {
    /// Matrix products.
    case products
    /// Activations, norms, biases, and their gradients.
    case elementwise
    /// Adam and the target network.
    case optimiser
    /// Summing gradients over ranks.
    case exchange
    /// Waiting for other ranks.
    case waiting
    /// Choosing and copying transitions, and drawing noise.
    case sampling
  }

  /// Whether pieces are measured.
  public var isOn = false
  /// Seconds spent in each part since the last reset.
  private var seconds = SIMD8<Double>.zero
  /// Floating-point operations of the matrix products that were measured.
  public private(set) var productOperations = 0
  /// What the networks were asked for while pieces were measured.
  public var work = Work()

  /// Nothing measured yet.
  public init() {}

  /// Forgets what was measured.
  public func reset() {
    seconds = .zero
    productOperations = 0
    work = Work()
  }

  /// Seconds spent in one part.
  public func seconds(_ part: Part) -> Double { seconds[part.rawValue] }

  /// Runs `body` as a piece of `part`.
  @inlinable @inline(__always)
  public func time<E: Error>(_ part: Part, _ body: () throws(E) -> Void) throws(E) {
    guard isOn else { return try body() }
    let start = ContinuousClock.now
    try body()
    add(ContinuousClock.now - start, to: part)
  }

  /// Notes a product of m × k by k × n.
  @inlinable @inline(__always)
  public func countProduct(_ m: Int, _ n: Int, _ k: Int) {
    if isOn { addOperations(2 * m * n * k) }
  }

  @usableFromInline func addOperations(_ count: Int) { productOperations += count }

  @usableFromInline func add(_ duration: Duration, to part: Part) {
    seconds[part.rawValue] += duration.seconds
  }
}
