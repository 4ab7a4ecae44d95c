/// A sum whose bits do not depend on the order in which values are added, nor on who adds which of them.
///
/// Each value is cut into whole multiples of 2¹⁰, 2⁻²⁶, 2⁻⁶² and 2⁻⁹⁸, and these are added apart, as whole numbers, without
/// rounding: for up to 2¹⁸ values, while the sum stays below 2⁶³. What is smaller than 2⁻⁹⁸ is rounded away.
public struct ExactSum: BitwiseCopyable, Sendable {
  fileprivate var parts = SIMD4<Double>.zero

  /// Zero, or one value.
  public init(_ value: Double = 0) { add(value) }

  /// Adds a value.
  public mutating func add(_ value: Double) { parts += Self.cut(value) }

  /// The sum, rounded; not finite if a value was not.
  public var value: Double {
    ((parts[3] * 0x1p-98 + parts[2] * 0x1p-62) + parts[1] * 0x1p-26) + parts[0] * 0x1p10
  }

  private static func cut(_ value: Double) -> SIMD4<Double> {
    guard value.isFinite else { return SIMD4(value, 0, 0, 0) }
    var rest = value
    func take(_ unit: Double) -> Double {
      let number = (rest / unit).rounded(.toNearestOrEven)
      rest -= number * unit
      return number
    }
    return SIMD4(take(0x1p10), take(0x1p-26), take(0x1p-62), take(0x1p-98))
  }
}

/// Two such sums, which ranks add up together.
public struct ExactSums: BitwiseCopyable, Sendable {
  /// The first sum.
  public var first: ExactSum
  /// The second sum.
  public var second: ExactSum

  /// A pair of sums.
  public init(_ first: ExactSum, _ second: ExactSum = ExactSum()) {
    (self.first, self.second) = (first, second)
  }

  /// Adds other sums, without rounding.
  public static func += (sums: inout ExactSums, others: ExactSums) {
    sums.first.parts += others.first.parts
    sums.second.parts += others.second.parts
  }

  /// Both sums, rounded.
  public var values: SIMD2<Double> { SIMD2(first.value, second.value) }
}
