import Kernels
import MPI

/// The parameters of a run in memory, and the step that turns every rank's gradient into new parameters.
///
/// The ranks of a node form a group that shares one block of memory:
///
///     parameters | target | first moment | second moment | gradient slab of rank 0 | … of rank p − 1
///
/// Backward passes write straight into the rank's own slab. Rank r owns the r-th of p parts of the flat vector:
/// in a step it sums the p slabs over its part (into slab 0, in rank order), exchanges that with the owners of
/// the same part in other groups, and moves target and parameters there. Nothing is gathered: the group's
/// parameters are one vector. A group of one rank without others trains alone; groups of one rank on many ranks
/// are plain all-reduce.
public final class ParameterExchange {
  /// Trained parameters, one vector a group.
  public let parameters: UnsafeMutablePointer<Float>
  /// The target network's parameters, one vector a group.
  public let target: UnsafeMutablePointer<Float>
  /// Adam's moments, one vector each a group.
  public let moments: (first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>)
  /// Where this rank's backward pass writes.
  public let gradients: UnsafeMutablePointer<Float>
  /// After a step: the gradient summed over all ranks, until the group's first rank begins its next backward pass.
  public let reducedGradient: UnsafeMutablePointer<Float>
  /// Length of the flat vector, gradient and moments.
  public let count: Int
  /// Adam steps taken; differs from the number of updates by those that were skipped.
  public var optimiserSteps = 0
  /// Seconds spent exchanging and waiting for others, since the start.
  public private(set) var communicationSeconds = 0.0
  /// Bytes of parameters, moments and gradients that the group holds.
  public let byteCount: Int

  private let world: Communicator
  /// Ranks that share memory with this one.
  private let group: Communicator
  /// The ranks of all groups that own the same part as this one.
  private let peers: Communicator
  private let memory: SharedMemory
  /// What this rank sums and optimises.
  private let part: Range<Int>
  /// Where the network that the target follows lies in the flat vector.
  private let followed: Range<Int>
  private let learningRate: Double
  private let tau: Float

  /// Memory for `count` parameters, all zero, and the groups of ranks. Collective over `world`.
  ///
  /// - Parameters:
  ///   - followed: the part of the vector that the target follows.
  ///   - ranksPerNode: how many ranks share memory; nil for all of a node.
  public init(
    world: Communicator, count: Int, followed: Range<Int>, learningRate: Double, tau: Double,
    ranksPerNode: Int? = nil
  ) throws(MPIError) {
    self.world = world
    self.count = count
    self.followed = followed
    self.learningRate = learningRate
    self.tau = Float(tau)
    group = try Self.group(world, ranksPerNode: ranksPerNode)
    peers = try world.split(colour: group.rank)
    let slab = Self.aligned(count)
    let targetLength = Self.aligned(followed.count)
    byteCount = (slab * (3 + group.size) + targetLength) * MemoryLayout<Float>.stride
    memory = try SharedMemory(group, byteCount: byteCount)
    parameters = memory.base.assumingMemoryBound(to: Float.self)
    target = parameters + slab
    moments = (target + targetLength, target + targetLength + slab)
    reducedGradient = moments.second + slab
    gradients = reducedGradient + group.rank * slab
    part = Self.part(group.rank, of: group.size, count: count)
  }

  /// Number of ranks that share the memory.
  public var groupSize: Int { group.size }

  /// Whether this rank is the one that fills its group's memory at the start.
  public var leadsGroup: Bool { group.rank == 0 }

  /// What came out of a step.
  public struct Outcome {
    /// ‖gradient‖ over all parameters.
    public let gradientNorm: Double
    /// Whether the step was taken: not when the gradient was not finite.
    public let isFinite: Bool
    /// Whether some rank asked to stop.
    public let stops: Bool
  }

  /// Exchanges gradients and moves parameters, on all ranks alike. Collective over all ranks.
  ///
  /// - Parameter stop: this rank's wish to stop after this step.
  public func step(stop: Bool) throws(MPIError) -> Outcome {
    try communicate { () throws(MPIError) in try memory.synchronise() }
    sumSlabs()
    if peers.size > 1 {
      try communicate { () throws(MPIError) in
        try peers.allReduce(reducedGradient + part.lowerBound, count: part.count)
      }
    }
    var summary = SIMD2<Double>(
      // Every group holds the whole sum; the first one's counts.
      peers.rank == 0 ? Float.sumOfSquares(reducedGradient + part.lowerBound, count: part.count) : 0,
      stop ? 1 : 0)
    try sumOverRanks(&summary)
    let isFinite = summary.x.isFinite
    if isFinite {
      optimiserSteps += 1
      move(AdamStep(number: optimiserSteps, learningRate: learningRate))
    }
    try communicate { () throws(MPIError) in try memory.synchronise() }
    return Outcome(gradientNorm: summary.x.squareRoot(), isFinite: isFinite, stops: summary.y > 0)
  }

  /// Replaces two values by their sums over all ranks. Collective over all ranks.
  public func sumOverRanks(_ values: inout SIMD2<Double>) throws(MPIError) {
    guard world.size > 1 else { return }
    try communicate { () throws(MPIError) in
      try withUnsafeMutableBytes(of: &values) { (bytes) throws(MPIError) in
        try world.allReduce(bytes.baseAddress!.assumingMemoryBound(to: Double.self), count: 2)
      }
    }
  }

  /// Gives every group what rank 0's group holds: parameters, target, moments, steps. Collective over all ranks.
  public func distribute() throws(MPIError) {
    try memory.synchronise()
    if leadsGroup {
      let length = byteCount - group.size * Self.aligned(count) * MemoryLayout<Float>.stride
      try peers.broadcast(parameters, count: length)
    }
    var steps = Int64(optimiserSteps)
    try world.broadcast(&steps, count: 8)
    optimiserSteps = Int(steps)
    try memory.synchronise()
  }

  /// The slabs of this rank's part, summed in rank order into the first.
  private func sumSlabs() {
    let slab = Self.aligned(count)
    // Blocks small enough to stay in the cache until the last slab is added.
    for start in stride(from: part.lowerBound, to: part.upperBound, by: 4096) {
      let length = min(4096, part.upperBound - start)
      for other in 1..<max(group.size, 1) {
        Float.add(reducedGradient + other * slab + start, to: reducedGradient + start, count: length)
      }
    }
  }

  /// Target and parameters of this rank's part. The target moves toward the parameters from before the step.
  private func move(_ step: AdamStep<Float>) {
    for start in stride(from: part.lowerBound, to: part.upperBound, by: 4096) {
      let block = start..<min(start + 4096, part.upperBound)
      let moved = block.clamped(to: followed)
      if !moved.isEmpty {
        Float.moveTarget(
          target + (moved.lowerBound - followed.lowerBound), toward: parameters + moved.lowerBound, tau: tau,
          count: moved.count)
      }
      Float.adam(
        parameters + start, gradient: reducedGradient + start, firstMoment: moments.first + start,
        secondMoment: moments.second + start, step, count: block.count)
    }
  }

  private func communicate(_ body: () throws(MPIError) -> Void) throws(MPIError) {
    guard world.size > 1 else { return }
    let start = ContinuousClock.now
    try body()
    communicationSeconds += (ContinuousClock.now - start).seconds
  }

  /// The ranks that share memory: `ranksPerNode` neighbours of a node, or as many as fit all nodes evenly.
  private static func group(_ world: Communicator, ranksPerNode: Int?) throws(MPIError) -> Communicator {
    let node = try world.splitByNode()
    var sizes = [Int64](repeating: 0, count: world.size)
    sizes[world.rank] = Int64(node.size)
    try world.allReduce(&sizes, count: sizes.count)
    // Owners of a part need a peer in every group, so groups are equally large.
    var size = sizes.reduce(0) { greatestCommonDivisor($0, Int($1)) }
    if let ranksPerNode { size = greatestCommonDivisor(size, ranksPerNode) }
    return try node.split(colour: node.rank / size)
  }

  private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : greatestCommonDivisor(b, a % b)
  }

  /// The r-th of p parts of the vector; boundaries are multiples of 16, whole cache lines.
  private static func part(_ r: Int, of p: Int, count: Int) -> Range<Int> {
    let lines = aligned(count) / 16
    return min(count, lines * r / p * 16)..<min(count, lines * (r + 1) / p * 16)
  }

  private static func aligned(_ count: Int) -> Int { (count + 15) / 16 * 16 }
}

/// Memory of a group of ranks: a shared window, or ordinary memory when the group is one rank.
final class SharedMemory {
  let base: UnsafeMutableRawPointer
  private let window: SharedWindow?
  private let own: Buffer<Float>?

  init(_ group: Communicator, byteCount: Int) throws(MPIError) {
    window = group.size > 1 ? try SharedWindow(group, byteCount: byteCount) : nil
    own = group.size > 1 ? nil : Buffer(count: (byteCount + 3) / 4)
    base = window?.base ?? UnsafeMutableRawPointer(own!.base)
  }

  func synchronise() throws(MPIError) { try window?.synchronise() }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
