import Basics
import Kernels
import MPI
import Optimisation
import Profiling

/// Sums the gradients of all ranks.
///
/// Between `begin` and `end` no rank writes gradients, and each may ask for the sum over its owned piece of the
/// vector. Within a group the slabs are added in rank order, block by block, at the moment when a block is needed, so
/// that the sum never leaves the cache. With several groups the sum is first exchanged with the peers, through slab
/// 0, and so is what the group's ranks say about their gradients. One rank without others trains alone; groups of one
/// rank on many ranks are plain all-reduce.
///
/// Gradients that were summed by chunks are added in the order of the tree of chunks instead, also over groups.
public final class GradientExchange {
  /// What all ranks know once they have met.
  public struct Meeting {
    /// Whether the gradients of all ranks are finite.
    public let isFinite: Bool
    /// Whether some rank asked to stop.
    public let stops: Bool
  }

  /// Seconds spent exchanging and waiting for others, since the start.
  public private(set) var communicationSeconds = 0.0

  private let ranks: RankGroups
  private let memory: ParameterMemory
  private let profile: Profile
  /// The sum of the slabs of this rank's group.
  private let slabs: SpanSum
  /// The sum over several groups by chunks; nil if there is one group, or no chunks.
  private let groupSums: GroupSums?

  /// Elements of a block that is summed and used while it stays in the first-level cache.
  static let blockLength = 2048

  /// An exchange of the gradients in a group's memory.
  ///
  /// - Parameters:
  ///   - chunks: how the batch is cut if sums over its rows are made by chunks.
  ///   - profile: where the time of exchanging and waiting is noted.
  public init(
    _ ranks: RankGroups, _ memory: ParameterMemory, chunks: BatchChunks? = nil, profile: Profile = Profile()
  ) {
    self.ranks = ranks
    self.memory = memory
    self.profile = profile
    let tree =
      chunks.map { SpanTree.ofGroup(ranks.members[ranks.number], $0) } ?? SpanTree(ranks: ranks.group.size)
    slabs = SpanSum(tree) { memory.slab($0.holder, span: $0.number) }
    groupSums =
      ranks.areSeveral && ranks.owns ? chunks.map { GroupSums(ranks, memory, $0, ofGroup: tree) } : nil
  }

  /// Waits until all ranks have their gradients, and exchanges them between groups. Collective over all ranks.
  ///
  /// - Parameters:
  ///   - isFinite: whether every element of this rank's gradient is finite.
  ///   - stop: this rank's wish to stop after this update.
  public func begin(isFinite: Bool, stop: Bool) throws(MPIError) -> Meeting {
    let group = ranks.group
    memory.notes[group.rank] = SIMD8(isFinite ? 0 : 1, stop ? 1 : 0, 0, 0, 0, 0, 0, 0)
    try synchronise()
    var sums = (0..<group.size).reduce(SIMD2<Double>.zero) { $0 + memory.notes[$1].lowHalf.lowHalf }
    if ranks.areSeveral {
      if ranks.owns { try exchangeWithPeers(&sums) }
      if ranks.areUneven { try tellOthers(&sums) }
    }
    return Meeting(isFinite: sums.x == 0, stops: sums.y > 0)
  }

  /// Sums the owned piece over all ranks, and two values that each rank of a group has alike over the groups.
  private func exchangeWithPeers(_ sums: inout SIMD2<Double>) throws(MPIError) {
    profile.time(.exchange) { slabs.addInPlace(memory.owned) }
    // Who measures wants to know how long the messages take, and not how late a peer is.
    if profile.isOn { try communicate(.waiting) { () throws(MPIError) in try ranks.peers.barrier() } }
    try communicate(.exchange) { () throws(MPIError) in
      if let groupSums { return try groupSums.sumOverPeers() }
      try ranks.peers.allReduce(memory.slab(0) + memory.owned.lowerBound, count: memory.owned.count)
    }
    try sum(&sums, over: ranks.peers)
  }

  /// Tells the ranks of the group that own nothing what its first rank has learned from its peers.
  private func tellOthers(_ sums: inout SIMD2<Double>) throws(MPIError) {
    if ranks.leadsGroup { memory.notes[0].highHalf = SIMD4(sums.x, sums.y, 0, 0) }
    try synchronise()
    sums = memory.notes[0].highHalf.lowHalf
  }

  /// Exchanges the owned piece between the groups as an update without chunks does, and nothing else; a benchmark
  /// compares. Collective over all ranks; the gradients are lost. Returns how many bytes the piece has.
  public func exchangeAlone() throws(MPIError) -> Int {
    guard ranks.areSeveral && ranks.owns else { return 0 }
    try ranks.peers.allReduce(memory.slab(0) + memory.owned.lowerBound, count: memory.owned.count)
    return memory.owned.count * MemoryLayout<Float>.stride
  }

  /// Waits until the gradients of all ranks are summed over the whole vector, and not only over the owned piece.
  /// Collective over all ranks.
  public func waitForSums() throws(MPIError) { if ranks.areSeveral { try synchronise() } }

  /// Waits until all ranks of the group have finished with the gradients and have written the parameters they own.
  /// Collective over all ranks.
  public func end() throws(MPIError) { try synchronise() }

  /// The gradient of a block of owned parameters, at most `blockLength` of them; until the next call.
  func gradient(_ start: Int, _ length: Int) -> UnsafePointer<Float> {
    // With several groups, slab 0 holds the sum after the exchange with the peers.
    ranks.areSeveral ? UnsafePointer(memory.slab(0) + start) : slabs.block(start, length)
  }

  /// Some elements of the gradient, summed over all ranks: from `waitForSums` or `end` until any rank of the group begins
  /// its next backward pass.
  public func gradient(of range: Range<Int>) -> [Float] {
    let summed =
      ranks.areSeveral
      ? [memory.slab(0)] : slabs.tree.slabs.map { memory.slab($0.holder, span: $0.number) }
    return summed.reduce([Float](repeating: 0, count: range.count)) { sum, slab in
      zip(sum, range).map { $0 + slab[$1] }
    }
  }

  /// Replaces two values by their sums over all ranks. Collective over all ranks.
  public func sumOverRanks(_ values: inout ExactSums) throws(MPIError) {
    guard ranks.all.size > 1 else { return }
    try sum(&values, over: ranks.all)
  }

  /// - Parameter values: numbers in double precision, one behind the other.
  private func sum<Values: BitwiseCopyable>(
    _ values: inout Values, over communicator: Communicator
  ) throws(MPIError) {
    try communicate(.waiting) { () throws(MPIError) in
      try withUnsafeMutableBytes(of: &values) { (bytes) throws(MPIError) in
        try communicator.allReduce(
          bytes.baseAddress!.assumingMemoryBound(to: Double.self), count: bytes.count / 8)
      }
    }
  }

  /// Gives every group what the first group's memory holds of parameters, targets and moments. Collective over all
  /// ranks.
  public func distribute() throws(MPIError) {
    try memory.synchronise()
    if ranks.leadsGroup {
      let bytes = UnsafeMutableRawBufferPointer(memory.carried)
      try ranks.peers.broadcast(bytes.baseAddress!, count: bytes.count)
    }
    try memory.synchronise()
  }

  private func synchronise() throws(MPIError) {
    try communicate(.waiting) { () throws(MPIError) in try memory.synchronise() }
  }

  private func communicate(
    _ part: Profile.Part, _ body: () throws(MPIError) -> Void
  ) throws(MPIError) {
    guard ranks.all.size > 1 else { return }
    let start = ContinuousClock.now
    try profile.time(part, body)
    communicationSeconds += (ContinuousClock.now - start).seconds
  }
}
