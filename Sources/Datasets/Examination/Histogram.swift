/// Counts of values in bins of equal width. The range of the bins is not known before: when a value lies outside, the bins
/// are put together in pairs until their range includes it.
package struct Histogram: Sendable {
  /// The number of bins.
  package static let binCount = 64

  private var counts = [Int](repeating: 0, count: binCount)
  private var low = 0.0
  /// The width of a bin; 0 as long as there is no value.
  private var width = 0.0

  /// A histogram of no values.
  package init() {}

  /// Adds a finite value.
  mutating func add(_ value: Double, count: Int = 1) {
    if width == 0 {
      width = max(abs(value) * 1e-6, 1e-9)
      low = value - width / 2
    }
    var place = (value - low) / width
    while !(place >= 0 && place < Double(Self.binCount)) {
      grow(downwards: place < 0)
      place = (value - low) / width
    }
    counts[Int(place)] += count
  }

  private mutating func grow(downwards: Bool) {
    let half = Self.binCount / 2
    var merged = [Int](repeating: 0, count: Self.binCount)
    for bin in 0..<half { merged[downwards ? half + bin : bin] = counts[2 * bin] + counts[2 * bin + 1] }
    if downwards { low -= width * Double(Self.binCount) }
    counts = merged
    width *= 2
  }

  /// The bins from the first to the last one that is not empty, in their order.
  package var bins: [(low: Double, high: Double, count: Int)] {
    guard let first = counts.firstIndex(where: { $0 > 0 }), let last = counts.lastIndex(where: { $0 > 0 })
    else { return [] }
    return (first...last).map { bin in
      (low + Double(bin) * width, low + Double(bin + 1) * width, counts[bin])
    }
  }
}
