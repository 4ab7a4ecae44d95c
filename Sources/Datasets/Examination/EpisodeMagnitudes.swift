/// How large something became in each episode, by powers of two, to find a few episodes in which it became far larger
/// than in all others.
struct EpisodeMagnitudes: Sendable {
  /// Episodes that stand out.
  struct Outliers: Sendable {
    /// How many there are.
    let count: Int
    /// The number of the first of them, from 0.
    let first: Int
    /// What the others stay below.
    let others: Double
  }

  /// Zero, then powers of two from 2⁻³¹ to 2³¹; what is smaller or larger counts as these.
  private static let binCount = 64
  private static let largestExponent = 31
  /// Episodes stand out when they are so many powers of two above the others: at least 16 times as large.
  private static let gap = 5
  /// The share of the episodes that do not count as standing out.
  private static let ordinary = 0.9
  /// Of fewer episodes nobody can say what is ordinary.
  private static let fewest = 4

  private var counts = [Int32](repeating: 0, count: binCount)
  private var first = [Int32](repeating: 0, count: binCount)

  mutating func add(_ magnitude: Float, episode: Int) {
    let exponent = min(max(Int(magnitude.exponentOrSmallest), -Self.largestExponent), Self.largestExponent)
    let bin = magnitude == 0 ? 0 : exponent + Self.largestExponent + 1
    if counts[bin] == 0 { first[bin] = Int32(clamping: episode) }
    counts[bin] += 1
  }

  /// The few episodes that stand out; nil if none does, or if nearly all magnitudes are 0.
  var outliers: Outliers? {
    let total = counts.reduce(0) { $0 + Int($1) }
    let ordinary = Int(Self.ordinary * Double(total))
    guard total >= Self.fewest else { return nil }
    var (bin, below) = (0, Int(counts[0]))
    while below < ordinary {
      bin += 1
      below += Int(counts[bin])
    }
    let above = (bin + Self.gap..<max(bin + Self.gap, Self.binCount)).filter { counts[$0] > 0 }
    guard bin > 0, let start = above.map({ Int(first[$0]) }).min() else { return nil }
    // What lies between belongs to the others, too.
    let highest = (bin..<min(bin + Self.gap, Self.binCount)).last { counts[$0] > 0 } ?? bin
    return Outliers(
      count: above.reduce(0) { $0 + Int(counts[$1]) }, first: start,
      others: Double(sign: .plus, exponent: highest - Self.largestExponent, significand: 1))
  }
}

extension Float {
  /// The exponent, and the smallest number for zero, which has none.
  fileprivate var exponentOrSmallest: Int { self == 0 || !isFinite ? Int(Int32.min) : Int(exponent) }
}
