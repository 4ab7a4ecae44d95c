import Basics
import Kernels
import MPI
import Optimisation
import Profiling

/// The parameters of a run in memory, and the step that turns every rank's gradient into new parameters.
///
/// The ranks of a node form a group that shares one block of memory:
///
///     parameters | target | first moment | second moment | gradient slabs of ranks 0 … p − 1 | notes of each rank
///
/// Backward passes write straight into the rank's own slab. Rank r owns the r-th of p parts of the flat vector:
/// in a step it sums the p slabs over its part in rank order and moves target and parameters there, block by
/// block, so that the sum never leaves the cache. With several groups the sum is first exchanged with the owners
/// of the same part in the others, through slab 0. Nothing is gathered: the group's parameters are one vector. A
/// group of one rank without others trains alone; groups of one rank on many ranks are plain all-reduce.
public final class ParameterExchange {
  /// Trained parameters, one vector a group.
  public let parameters: UnsafeMutablePointer<Float>
  /// The targets' parameters, one vector a group.
  public let target: UnsafeMutablePointer<Float>
  /// Adam's moments, one vector each a group.
  public let moments: (first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>)
  /// Where this rank's backward pass writes.
  public let gradients: UnsafeMutablePointer<Float>
  /// Length of the flat vector, gradient and moments.
  public let count: Int
  /// Where the time of steps is noted.
  public var profile = Profile()
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
  /// Slab 0; the others follow at distances of `slab` elements.
  private let slabs: UnsafeMutablePointer<Float>
  private let slab: Int
  /// What each rank of the group says about its gradient before a step, a cache line each.
  private let notes: UnsafeMutablePointer<SIMD8<Double>>
  /// The block of the summed gradient that is being used.
  private let block = Buffer<Float>(count: ParameterExchange.blockLength)
  /// What this rank sums and optimises.
  private let part: Range<Int>
  /// The parts of the flat vector that targets follow, and where the target of each starts.
  private let followed: [(range: Range<Int>, target: Int)]
  private let learningRate: Double
  private let tau: Float

  /// Memory for `count` parameters, all zero, and the groups of ranks. Collective over `world`.
  ///
  /// - Parameters:
  ///   - followed: the parts of the vector that targets follow, as in `ParameterLayout`.
  ///   - ranksPerNode: how many ranks share memory; nil for all of a node.
  public init(
    world: Communicator, count: Int, followed: [Range<Int>], learningRate: Double, tau: Double,
    ranksPerNode: Int? = nil
  ) throws(MPIError) {
    self.world = world
    self.count = count
    var targetCount = 0
    self.followed = followed.map { range in
      defer { targetCount += range.count }
      return (range, targetCount)
    }
    self.learningRate = learningRate
    self.tau = Float(tau)
    group = try Self.group(world, ranksPerNode: ranksPerNode)
    peers = try world.split(colour: group.rank)
    slab = Self.aligned(count)
    let targetLength = Self.aligned(targetCount)
    let floats = slab * (3 + group.size) + targetLength
    byteCount = floats * MemoryLayout<Float>.stride + group.size * MemoryLayout<SIMD8<Double>>.stride
    memory = try SharedMemory(group, byteCount: byteCount)
    parameters = memory.base.assumingMemoryBound(to: Float.self)
    target = parameters + slab
    moments = (target + targetLength, target + targetLength + slab)
    slabs = moments.second + slab
    gradients = slabs + group.rank * slab
    notes = UnsafeMutableRawPointer(parameters + floats).assumingMemoryBound(to: SIMD8<Double>.self)
    part = Self.part(group.rank, of: group.size, count: count)
  }

  /// Parameters, targets and moments, one behind the other: all that is carried from update to update.
  public var carried: UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: parameters, count: slabs - parameters)
  }

  /// Number of ranks that share the memory.
  public var groupSize: Int { group.size }

  /// Whether this rank is the one that fills its group's memory at the start.
  public var leadsGroup: Bool { group.rank == 0 }

  /// What came out of a step.
  public struct Outcome {
    /// Whether the step was taken: not when the gradient was not finite.
    public let isFinite: Bool
    /// Whether some rank asked to stop.
    public let stops: Bool
    /// ‖gradient‖² of the parameters that this rank owns, once over all groups: the ranks' parts add up.
    public let gradientSquares: Double
  }

  /// Exchanges gradients and moves parameters, on all ranks alike. Collective over all ranks.
  ///
  /// - Parameters:
  ///   - gradientIsFinite: whether every element of this rank's `gradients` is finite; if not on all ranks, no
  ///     rank takes the step.
  ///   - movesTarget: whether the targets follow in this step; the same on all ranks.
  ///   - stop: this rank's wish to stop after this step.
  public func step(gradientIsFinite: Bool, movesTarget: Bool, stop: Bool) throws(MPIError) -> Outcome {
    notes[group.rank] = SIMD8(gradientIsFinite ? 0 : 1, stop ? 1 : 0, 0, 0, 0, 0, 0, 0)
    try communicate(.waiting) { () throws(MPIError) in try memory.synchronise() }
    var summary = (0..<group.size).reduce(SIMD2<Double>.zero) { $0 + notes[$1].lowHalf.lowHalf }
    if peers.size > 1 {
      profile.time(.exchange) { sumSlabs() }
      try communicate(.exchange) { () throws(MPIError) in
        try peers.allReduce(slabs + part.lowerBound, count: part.count)
      }
      try sumOverRanks(&summary)
    }
    var squares = 0.0
    if summary.x == 0 {
      optimiserSteps += 1
      profile.time(.optimiser) {
        squares = move(
          AdamStep(number: optimiserSteps, learningRate: learningRate), movesTarget: movesTarget)
      }
    }
    try communicate(.waiting) { () throws(MPIError) in try memory.synchronise() }
    return Outcome(
      isFinite: summary.x == 0, stops: summary.y > 0, gradientSquares: peers.rank == 0 ? squares : 0)
  }

  /// Some elements of the last step's gradient, summed over all ranks, until any rank of the group begins its next
  /// backward pass.
  public func reducedGradient(_ range: Range<Int>) -> [Float] {
    (0..<slabsToSum).reduce([Float](repeating: 0, count: range.count)) { sum, rank in
      zip(sum, range).map { $0 + slabs[rank * slab + $1] }
    }
  }

  /// Replaces two values by their sums over all ranks. Collective over all ranks.
  public func sumOverRanks(_ values: inout SIMD2<Double>) throws(MPIError) {
    guard world.size > 1 else { return }
    try communicate(.waiting) { () throws(MPIError) in
      try withUnsafeMutableBytes(of: &values) { (bytes) throws(MPIError) in
        try world.allReduce(bytes.baseAddress!.assumingMemoryBound(to: Double.self), count: 2)
      }
    }
  }

  /// Gives every group what rank 0's group holds: parameters, target, moments, steps. Collective over all ranks.
  public func distribute() throws(MPIError) {
    try memory.synchronise()
    if leadsGroup {
      let length = UnsafeRawPointer(slabs) - UnsafeRawPointer(parameters)
      try peers.broadcast(parameters, count: length)
    }
    var steps = Int64(optimiserSteps)
    try world.broadcast(&steps, count: 8)
    optimiserSteps = Int(steps)
    try memory.synchronise()
  }

  /// Elements of a block that is summed and used while it stays in the first-level cache.
  private static let blockLength = 2048

  /// How many slabs make the gradient: with several groups, slab 0 alone, after the exchange with the others.
  private var slabsToSum: Int { peers.size > 1 ? 1 : group.size }

  /// The slabs of this rank's part, summed in rank order into slab 0.
  private func sumSlabs() {
    guard group.size > 1 else { return }
    for start in stride(from: part.lowerBound, to: part.upperBound, by: Self.blockLength) {
      let length = min(Self.blockLength, part.upperBound - start)
      for rank in 1..<group.size { Float.add(slabs + rank * slab + start, to: slabs + start, count: length) }
    }
  }

  /// The gradient of a block of parameters: the sum of the slabs, in rank order.
  private func gradient(_ start: Int, _ length: Int) -> UnsafePointer<Float> {
    guard slabsToSum > 1 else { return UnsafePointer(slabs + start) }
    block.base.update(from: slabs + start, count: length)
    for rank in 1..<slabsToSum { Float.add(slabs + rank * slab + start, to: block.base, count: length) }
    return UnsafePointer(block.base)
  }

  /// Moves targets and parameters of this rank's part, the targets toward the parameters from before the step.
  /// Returns the sum of squares of the gradient there.
  private func move(_ step: AdamStep<Float>, movesTarget: Bool) -> Double {
    var squares = 0.0
    for start in stride(from: part.lowerBound, to: part.upperBound, by: Self.blockLength) {
      let range = start..<min(start + Self.blockLength, part.upperBound)
      let gradient = gradient(start, range.count)
      squares += Float.sumOfSquares(gradient, count: range.count)
      if movesTarget { moveTargets(range) }
      Float.adam(
        parameters + start, gradient: gradient, firstMoment: moments.first + start,
        secondMoment: moments.second + start, step, count: range.count)
    }
    return squares
  }

  /// Moves the targets of some parameters.
  private func moveTargets(_ range: Range<Int>) {
    for (followed, start) in followed {
      let moved = range.clamped(to: followed)
      guard !moved.isEmpty else { continue }
      Float.moveTarget(
        target + start + (moved.lowerBound - followed.lowerBound), toward: parameters + moved.lowerBound,
        tau: tau, count: moved.count)
    }
  }

  private func communicate(
    _ part: Profile.Part, _ body: () throws(MPIError) -> Void
  ) throws(MPIError) {
    guard world.size > 1 else { return }
    let start = ContinuousClock.now
    try profile.time(part, body)
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
