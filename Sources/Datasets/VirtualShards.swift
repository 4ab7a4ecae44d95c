import Kernels
import Randomness

/// Decides which transition each sample of a batch is, and which rank supplies the sample. The transition
/// does not depend on the rank, so any number of ranks draws the same batches.
///
/// The N transitions are divided into K virtual shards of equal size up to rounding: shard k has the
/// transitions ⌊kN/K⌋ ..< ⌊(k+1)N/K⌋. Sample i of the batch of B in step t has the global number g = tB + i
/// and is drawn uniformly from shard g mod K. Rank r holds the shards k with k mod ranks = r. K ≤ B, so every
/// shard supplies a sample in every step. A rank may instead hold fixed samples of the batch.
public struct VirtualShards: Sendable {
  /// K, the number of virtual shards: the configured number, but at most the batch size and the number of
  /// transitions.
  public let parts: Int
  /// An upper bound on the samples that this rank supplies in one step.
  public let maximumRows: Int
  private var transitions: Int
  private let batch: Int
  private let ranks: Int
  private let rank: Int
  /// The samples that this rank supplies, whatever their shards; nil for those of its shards.
  private let held: Range<Int>?

  /// One line that says why the given numbers cannot be used together; nil if they can.
  public static func problem(transitions: Int, batch: Int, shards: Int = 64, ranks: Int) -> String? {
    guard transitions >= 1, batch >= 1, shards >= 1, ranks >= 1 else {
      return
        "transitions (\(transitions)), batch (\(batch)), shards (\(shards)) and ranks (\(ranks)) must be positive"
    }
    guard batch <= Int(UInt32.max) else { return "a batch of \(batch) is too large" }
    let parts = min(shards, batch, transitions)
    guard ranks <= parts else {
      return "\(ranks) ranks share \(parts) virtual shards (at most \(shards), batch \(batch), transitions "
        + "\(transitions)), so some would have no data; use at most \(parts) ranks"
    }
    return nil
  }

  /// The shards and samples of `rank` among `ranks`. The numbers must have no
  /// ``problem(transitions:batch:shards:ranks:)``.
  ///
  /// - Parameter held: the samples that this rank supplies; nil for those of its shards.
  public init(
    transitions: Int, batch: Int, shards: Int = 64, ranks: Int, rank: Int, held: Range<Int>? = nil
  ) {
    let problem = Self.problem(transitions: transitions, batch: batch, shards: shards, ranks: ranks)
    precondition(problem == nil, problem ?? "")
    precondition((0..<ranks).contains(rank), "no such rank")
    let parts = min(shards, batch, transitions)
    self.parts = parts
    self.transitions = transitions
    self.batch = batch
    self.ranks = ranks
    self.rank = rank
    self.held = held
    maximumRows = held?.count ?? Self.mostRows(batch: batch, parts: parts) { $0 % ranks == rank }
  }

  /// Divides more transitions among the same shards, after the data have grown.
  public mutating func grow(to transitions: Int) {
    precondition(transitions >= self.transitions, "transitions do not go away")
    self.transitions = transitions
  }

  /// The most samples among any `batch` consecutive global numbers whose shard is `owned`. The consecutive
  /// numbers go around all K shards batch / K times and then over a window of batch mod K shards; the best
  /// window counts.
  private static func mostRows(batch: Int, parts: Int, _ owned: (Int) -> Bool) -> Int {
    let rest = batch % parts
    var inWindow = (0..<rest).count(where: owned)
    var most = inWindow
    for start in 0..<parts {
      inWindow += (owned((start + rest) % parts) ? 1 : 0) - (owned(start) ? 1 : 0)
      most = max(most, inWindow)
    }
    return batch / parts * (0..<parts).count(where: owned) + most
  }

  /// Calls `body` with each sample that this rank supplies in `step` (from 0): its number in the batch,
  /// ascending, and its transition. Makes at most ``maximumRows`` calls and allocates nothing.
  ///
  /// The transition's place in its shard is the upper half of the 128-bit product of 64 random bits and the
  /// shard's size; its distribution is uniform to within size / 2⁶⁴. The bits are the first two words of
  /// Philox with key (seed, `RandomStream.sampling`) and counter (i, lower word of t, upper word of t, 0).
  ///
  /// - Parameter range: transitions that a sample is drawn from instead of its shard; nil for its shard.
  @inlinable
  public func samples<Failure: Error>(
    step: Int, seed: UInt32, in range: (_ sample: Int) -> Range<Int>? = { _ in nil },
    _ body: (_ sample: Int, _ transition: Int) throws(Failure) -> Void
  ) throws(Failure) {
    let numbers = batchAndParts
    var shard = firstShard(step: step)
    for sample in 0..<numbers.batch {
      if isHeld(sample, shard) {
        let choice = range(sample) ?? bound(shard)..<bound(shard + 1)
        try body(sample, transition(sample, step, seed, choice))
      }
      shard += 1
      if shard == numbers.parts { shard = 0 }
    }
  }

  @usableFromInline var batchAndParts: (batch: Int, parts: Int) { (batch, parts) }

  @usableFromInline func isHeld(_ sample: Int, _ shard: Int) -> Bool {
    held?.contains(sample) ?? (shard % ranks == rank)
  }

  /// The shard of sample 0, tB mod K, computed so that no step overflows.
  @usableFromInline func firstShard(step: Int) -> Int { (step % parts) * (batch % parts) % parts }

  @usableFromInline
  func transition(_ sample: Int, _ step: Int, _ seed: UInt32, _ range: Range<Int>) -> Int {
    let counter = SIMD4(
      UInt32(sample), UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32), 0)
    let words = Philox.words(counter: counter, key: SIMD2(seed, RandomStream.sampling.rawValue))
    let bits = UInt64(words.y) << 32 | UInt64(words.x)
    return range.lowerBound + Int(bits.multipliedFullWidth(by: UInt64(range.count)).high)
  }

  /// The first transition of a shard: ⌊shard · N / K⌋.
  @usableFromInline func bound(_ shard: Int) -> Int { shard * transitions / parts }
}
