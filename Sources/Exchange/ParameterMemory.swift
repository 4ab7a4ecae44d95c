import Kernels
import MPI

/// The parameters of a run, and what belongs to them, in memory that a group of ranks shares:
///
///     parameters | target | first moment | second moment | gradient slabs of ranks 0 … p − 1 | notes of each rank
///
/// A backward pass writes straight into its rank's slab, or into several, one for each span, if it sums by chunks. Rank r
/// owns the r-th piece of the flat vector, where it alone changes parameters, target and moments; there are as many pieces
/// as owners, the first ranks of the group. Nothing is gathered: all ranks read the one vector. Each rank is the first to
/// write to its slabs and its piece, so that they lie in the memory of its own socket.
public final class ParameterMemory {
  /// Length of the flat vector: of parameters, gradient and moments each.
  public let count: Int
  /// Length of the targets' vector.
  public let targetCount: Int
  /// Trained parameters.
  public let parameters: UnsafeMutablePointer<Float>
  /// The targets' parameters.
  public let target: UnsafeMutablePointer<Float>
  /// Adam's moments.
  public let moments: (first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>)
  /// This rank's slab: where its backward pass writes. Further slabs follow at distances of `slabLength` elements.
  public let gradients: UnsafeMutablePointer<Float>
  /// The elements of the flat vector that this rank owns; none for a rank that is no owner.
  public let owned: Range<Int>
  /// The ranges of the flat vector that targets follow, and where the target of each starts.
  let followed: [(range: Range<Int>, target: Int)]
  /// Bytes that the group holds.
  public let byteCount: Int

  private let memory: SharedMemory
  /// Slab 0; the others follow at distances of `slabLength` elements.
  private let slabs: UnsafeMutablePointer<Float>
  private let slabLength: Int
  private let slabsPerRank: Int
  /// What each rank of the group says about its gradient before a step, a cache line each.
  let notes: UnsafeMutablePointer<SIMD8<Double>>

  /// Memory for `count` parameters and the targets of some of them, all zero. Collective over the group.
  ///
  /// - Parameters:
  ///   - owners: the ranks of the group that own a piece; nil for all.
  ///   - followed: the ranges of the vector that targets follow, as in `ParameterLayout`.
  ///   - chunks: how the batch is cut if sums over its rows are made by chunks.
  public init(
    _ group: Communicator, owners: Int? = nil, count: Int, followed: [Range<Int>], chunks: BatchChunks? = nil
  ) throws(MPIError) {
    self.count = count
    var targetCount = 0
    self.followed = followed.map { range in
      defer { targetCount += range.count }
      return (range, targetCount)
    }
    self.targetCount = targetCount
    slabsPerRank = chunks?.mostSpans ?? 1
    let (length, targetLength) = (Self.aligned(count), Self.aligned(targetCount))
    let (first, slabs) = (length + targetLength, 3 * length + targetLength)
    let end = slabs + length * slabsPerRank * group.size
    // Whole blocks, so that what is computed block by block does not depend on the number of owners.
    let unit = chunks == nil ? 16 : GradientExchange.blockLength
    let owned = Self.owned(by: group.rank, of: owners ?? group.size, count: count, unit: unit)
    let ownTargets = self.followed.map { range, start in
      let moved = owned.clamped(to: range)
      return moved.isEmpty ? 0..<0 : moved.shifted(by: start - range.lowerBound + length)
    }
    let own = ownTargets + [0, first, first + length].map { owned.shifted(by: $0) }
    let (slab, note) = (slabs + group.rank * slabsPerRank * length, MemoryLayout<SIMD8<Double>>.stride)
    let noteStart = end * MemoryLayout<Float>.stride + group.rank * note
    byteCount = end * MemoryLayout<Float>.stride + group.size * note
    memory = try SharedMemory(
      group, byteCount: byteCount,
      filling: (own + [slab..<slab + slabsPerRank * length]).map(\.inBytes) + [noteStart..<noteStart + note])
    parameters = memory.base.assumingMemoryBound(to: Float.self)
    target = parameters + length
    moments = (parameters + first, parameters + first + length)
    (self.slabs, slabLength, self.owned) = (parameters + slabs, length, owned)
    gradients = parameters + slab
    notes = UnsafeMutableRawPointer(parameters + end).assumingMemoryBound(to: SIMD8<Double>.self)
  }

  /// Parameters, targets and moments, one behind the other: all that is carried from update to update.
  public var carried: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: parameters, count: slabs - parameters)
  }

  /// Whether all parameters and targets are finite.
  public var isFinite: Bool {
    [(parameters, count), (target, targetCount)].allSatisfy { base, count in
      UnsafeBufferPointer(start: base, count: count).allSatisfy(\.isFinite)
    }
  }

  /// The gradient of a rank of the group, or of one of its spans.
  func slab(_ rank: Int, span: Int = 0) -> UnsafeMutablePointer<Float> {
    slabs + (rank * slabsPerRank + span) * slabLength
  }

  /// Waits for all ranks of the group and makes their writes visible. Collective over the group.
  func synchronise() throws(MPIError) { try memory.synchronise() }

  /// Gives the memory back; nobody may use it afterwards. Collective over the group; `Releases` says when.
  public func free() throws(MPIError) { try memory.free() }

  /// The r-th of p pieces of the vector, nothing from r = p on; boundaries are multiples of `unit`.
  private static func owned(by r: Int, of p: Int, count: Int, unit: Int) -> Range<Int> {
    guard r < p else { return count..<count }
    let units = (count + unit - 1) / unit
    return min(count, units * r / p * unit)..<min(count, units * (r + 1) / p * unit)
  }

  private static func aligned(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}

extension Range<Int> {
  /// The same range of elements in a vector that begins at another element.
  fileprivate func shifted(by distance: Int) -> Self { lowerBound + distance..<upperBound + distance }

  /// Where a range of floats lies, in bytes.
  fileprivate var inBytes: Self {
    lowerBound * MemoryLayout<Float>.stride..<upperBound * MemoryLayout<Float>.stride
  }
}
