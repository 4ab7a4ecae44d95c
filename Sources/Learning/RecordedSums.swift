import Kernels

/// The sums over ranks of one computation of the losses, given again in others. An agent computes the scales of
/// normalised losses from them, and nothing else: the same sums give the same scales.
public final class RecordedSums {
  private var sums: [ExactSums] = []
  private var next = 0

  /// Nothing noted yet.
  public init() {}

  /// Forgets all sums.
  public func clear() { sums.removeAll(keepingCapacity: true) }

  /// Notes a sum over all ranks.
  public func record(_ sum: inout ExactSums) { sums.append(sum) }

  /// Begins again with the first sum.
  public func rewind() { next = 0 }

  /// Replaces a sum by the one that was noted in its place.
  public func replay(_ sum: inout ExactSums) {
    sum = sums[next]
    next += 1
  }
}
