import Kernels

/// Sampling that does not depend on the number of ranks.
///
/// The transitions are cut into K equal parts, K fixed. Sample i of update t has the global number g = t·B + i and
/// is drawn uniformly from part g mod K; rank r of p holds the parts k with k mod p = r and draws only from
/// those. Which transition a sample is thus depends on seed, update and sample number alone.
public struct VirtualShards: Sendable {
  /// K: the configured number, or fewer when batch or data are smaller.
  public let parts: Int
  /// Most rows that this rank has in a batch.
  public let maximumRows: Int
  private let transitions: Int
  private let batch: Int
  private let ranks: Int
  private let rank: Int

  /// More ranks than parts.
  public struct TooManyRanks: Error, CustomStringConvertible {
    let ranks: Int
    let parts: Int
    /// One line.
    public var description: String {
      "\(ranks) ranks for \(parts) parts of batch and data: use fewer ranks, or raise --virtual-shards and --batch-size"
    }
  }

  /// - Parameters:
  ///   - transitions: size of the dataset, positive.
  ///   - batch: B, samples of an update over all ranks.
  ///   - shards: K, unless batch or data are smaller.
  public init(transitions: Int, batch: Int, shards: Int, ranks: Int, rank: Int) throws(TooManyRanks) {
    parts = min(shards, batch, transitions)
    self.transitions = transitions
    self.batch = batch
    self.ranks = ranks
    self.rank = rank
    if ranks > parts { throw TooManyRanks(ranks: ranks, parts: parts) }
    let held = (parts - rank + ranks - 1) / ranks
    maximumRows = (batch + parts - 1) / parts * held
  }

  /// Calls `body` with each sample of this rank in update `step`: its number in the batch and its transition.
  public func samples(step: Int, seed: UInt32, _ body: (_ sample: Int, _ transition: Int) -> Void) {
    let key = SIMD2(seed, RandomStream.sampling.rawValue)
    let (low, high) = (UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32))
    for sample in 0..<batch {
      let part = (step * batch + sample) % parts
      guard part % ranks == rank else { continue }
      let start = part * transitions / parts
      let end = (part + 1) * transitions / parts
      let words = Philox.words(counter: SIMD4(0, UInt32(sample), low, high), key: key)
      let random = UInt64(words.x) << 32 | UInt64(words.y)
      let offset = random.multipliedFullWidth(by: UInt64(end - start)).high
      body(sample, start + Int(offset))
    }
  }
}
