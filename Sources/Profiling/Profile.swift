import Basics

/// Measures where the time of updates goes. It is off unless a benchmark turns it on; then each measurement
/// reads the clock twice.
///
/// A learner has one profile, which its networks and its exchange share. Only one thread may use it.
public final class Profile {
  /// The kinds of work in an update.
  public enum Part: Int, CaseIterable, Sendable {
    /// Matrix products.
    case products
    /// Convolutions of images, with their pooling.
    case convolutions
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

  /// Whether time is measured.
  public var isOn = false
  /// The seconds spent on each kind of work since the last reset, indexed by its raw value.
  private var seconds = SIMD8<Double>.zero
  /// The floating-point operations of the matrix products and convolutions that were measured.
  public private(set) var productOperations = 0
  /// The products that networks were asked for while the profile was on.
  public var work = Work()

  /// Makes a profile that is off.
  public init() {}

  /// Sets all measurements to zero.
  public func reset() {
    seconds = .zero
    productOperations = 0
    work = Work()
  }

  /// The seconds spent on one kind of work since the last reset.
  public func seconds(_ part: Part) -> Double { seconds[part.rawValue] }

  /// Runs `body` and, if the profile is on, adds its time to `part`.
  @inlinable @inline(__always)
  public func time<E: Error>(_ part: Part, _ body: () throws(E) -> Void) throws(E) {
    guard isOn else { return try body() }
    let start = ContinuousClock.now
    try body()
    add(ContinuousClock.now - start, to: part)
  }

  /// Counts the 2·m·n·k operations of an m × k by k × n product if the profile is on.
  @inlinable @inline(__always)
  public func countProduct(_ m: Int, _ n: Int, _ k: Int) {
    countOperations(2 * m * n * k)
  }

  /// Counts operations if the profile is on.
  @inlinable @inline(__always)
  public func countOperations(_ count: Int) {
    if isOn { addOperations(count) }
  }

  @usableFromInline func addOperations(_ count: Int) { productOperations += count }

  @usableFromInline func add(_ duration: Duration, to part: Part) {
    seconds[part.rawValue] += duration.seconds
  }
}
