/// Where the time of updates goes. Off unless a benchmark turns it on; then every measured piece costs two
/// readings of the clock.
public enum Profile {
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
  nonisolated(unsafe) public static var isOn = false
  /// Seconds spent in each part since the last reset. Read and written by the thread that trains.
  nonisolated(unsafe) public private(set) static var seconds = SIMD8<Double>.zero
  /// Floating-point operations of the measured matrix products.
  nonisolated(unsafe) public private(set) static var productOperations = 0

  /// Forgets what was measured.
  public static func reset() {
    seconds = .zero
    productOperations = 0
  }

  /// Seconds spent in one part.
  public static func seconds(_ part: Part) -> Double { seconds[part.rawValue] }

  /// Runs `body` as a piece of `part`.
  @inlinable @inline(__always)
  public static func time<E: Error>(_ part: Part, _ body: () throws(E) -> Void) throws(E) {
    guard isOn else { return try body() }
    let start = ContinuousClock.now
    try body()
    add((ContinuousClock.now - start), to: part)
  }

  /// Notes a product of m × k by k × n.
  @inlinable @inline(__always)
  public static func countProduct(_ m: Int, _ n: Int, _ k: Int) {
    if isOn { addOperations(2 * m * n * k) }
  }

  @usableFromInline static func addOperations(_ count: Int) { productOperations += count }

  @usableFromInline static func add(_ duration: Duration, to part: Part) {
    seconds[part.rawValue] += duration.seconds
  }
}

extension Duration {
  /// The duration in seconds.
  public var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
