import Agents
import Basics
import Foundation
import Kernels
import Learning
import MPI
import Profiling

/// Times updates on made-up data, between measurements of what the machine can do.
public final class UpdateBenchmark {
  /// Medians over the rounds. Times are in milliseconds.
  public struct Result: Codable, Sendable {
    /// Ranks.
    public var ranks: Int
    /// Threads of each rank's matrix products.
    public var threads: Int
    /// Samples of an update over all ranks.
    public var batchSize: Int
    /// Kernels and BLAS in use.
    public var blas: String
    /// One update.
    public var update: Double
    /// Updates a second.
    public var updatesPerSecond: Double
    /// Operations that an update needs, over all ranks, in 10⁹.
    public var gigaOperations: Double
    /// Operations that the kernels counted, over all ranks, in 10⁹.
    public var countedGigaOperations: Double
    /// Rate at which updates do what they need, over all ranks, in 10⁹ a second.
    public var rate: Double
    /// Rate of sgemm at the update's shapes, all ranks at once, summed over them.
    public var productRate: Double
    /// Rate at the same shapes of the kernels that an update uses.
    public var kernelRate: Double
    /// Time of the needed operations at sgemm's rate.
    public var limit: Double
    /// The limit over the time of an update.
    public var shareOfLimit: Double
    /// Time of each part of an update, the mean over the ranks.
    public var parts: [String: Double]
    /// One all-reduce of the bytes that groups of ranks exchange in an update, alone; 0 with one group.
    public var allReduce: Double
    /// Those bytes, of a rank, in 10⁶.
    public var allReduceMegabytes: Double
    /// Memory bandwidth of the ranks together, reading and writing, in 10⁹ bytes a second.
    public var memoryBandwidth: Double
    /// Calls for heap memory in an update, on the rank with most; on several nodes, those of MPI's own buffers.
    public var allocations: Double
    /// Peak resident memory of the largest rank, in 10⁶ bytes.
    public var residentMegabytes: Double
    /// Memory of a rank for a sample of its share of the batch, in 10⁶ bytes: activations, batch and scratch, beyond
    /// parameters, moments and gradients.
    public var megabytesPerSample: Double
    /// Images that the networks encode in an update, over all ranks.
    public var encodings: Double
    /// One action of the policy for one observation.
    public var action: Double
    /// Actions for a batch of observations at once, on each rank.
    public var actions: Double
    /// Rate of the products in those, of one rank, in 10⁹ a second.
    public var actionRate: Double
    /// Losses and gradients of a few rows of a rank's share of the batch, and of all of them.
    public var gradients: [GradientTime]
    /// What these take at least: the time to read parameters and targets once, as forward passes do, and the parameters
    /// once more and to write the gradient, as backward passes do, from the caches or the memory that they are in.
    public var gradientLimit: Double
  }

  /// The time of losses and gradients for some rows of a batch, in milliseconds, without exchange and optimiser.
  public struct GradientTime: Codable, Sendable {
    public var rows: Int
    public var time: Double
  }

  /// Updates before the first measurement, after which caches are as they stay.
  private static let warmUp = 3
  /// Updates that the constants of the scaling model are profiled in.
  private static let profiledUpdates = 20
  /// Actions of a measurement.
  private static let actions = 100
  /// Rows that gradients are timed for, beside all of them: those of a rank when many share a batch.
  private static let fewRows = [1, 8, 16]
  /// Passes through the parameters of a measurement.
  private static let passes = 20
  /// All-reduces of a measurement.
  private static let allReduces = 5
  /// Barriers of a measurement.
  private static let barriers = 1000

  private let world: Communicator
  private let hyperparameters: Hyperparameters
  private let threads: Int
  private let subject: TimedLearner

  /// Networks and data of the given sizes. Collective over all ranks.
  ///
  /// - Parameters:
  ///   - chunks: chunks of the batch for reproducible updates; nil for others.
  ///   - releases: is told what to free at the end.
  public init(
    world: Communicator, hyperparameters: Hyperparameters, _ observation: ObservationSpace, actionSize: Int,
    threads: Int, ranksPerNode: Int?, chunks: Int? = nil, _ releases: Releases
  ) throws {
    self.world = world
    self.hyperparameters = hyperparameters
    self.threads = threads
    BLAS.setThreads(threads)
    try hyperparameters.requireFit(observation, of: "the made-up data")
    subject = try TimedLearner(
      hyperparameters, MadeUpTransitions(observation, actionSize: actionSize),
      world: world, ranksPerNode: ranksPerNode, chunks: chunks, releases)
  }

  /// Measures in `rounds` rounds of `updates` updates each (nil: about half a second). Collective.
  ///
  /// - Parameter allocations: gives the number of calls for heap memory so far.
  public func run(rounds: Int, updates: Int?, allocations: () -> Int) throws -> Result {
    for _ in 0..<Self.warmUp { try subject.update() }
    let count = try updates ?? automaticCount()
    // Read before the limits are measured, with matrices that training does not have.
    let resident = peakResidentBytes()
    let crowd = Crowd(subject, rows: hyperparameters.batchSize)
    var measured = try measure(rounds, updates: count, crowd, allocations)
    // The clock readings of a profile cost time, so it is taken apart from the timed updates. It covers whole periods
    // of the targets, as updates that move them may take more operations.
    let period = subject.learner.targetPeriod
    let profiledCount = (count + period - 1) / period * period
    var profiled = 0.0
    try subject.profiled {
      profiled =
        try seconds { for _ in 0..<profiledCount { try subject.update() } } / Double(profiledCount)
    }
    let parts = try parts(of: profiled, updates: profiledCount)
    measured.gradients = try (Self.fewRows.filter { $0 < subject.capacity } + [subject.capacity]).map {
      GradientTime(rows: $0, time: 1e3 * (try world.allReduce(try gradientSeconds(rows: $0), .max)))
    }
    measured.passes = try passSeconds()
    return try summarise(
      measured, crowdOperations: crowd.operations, parts: parts, resident: resident, count: profiledCount)
  }

  /// What was measured, one value for each round: seconds, and operations or bytes a second.
  private struct Rounds {
    var updates: [Double] = []
    var allocations: [Double] = []
    var productRates: [[Double]] = []
    var kernelRates: [[Double]] = []
    var bandwidths: [Double] = []
    var allReduces: [Double] = []
    var allReduceBytes = 0
    var actions: [Double] = []
    var crowds: [Double] = []
    var gradients: [GradientTime] = []
    var passes = 0.0
  }

  private func measure(
    _ rounds: Int, updates: Int, _ crowd: Crowd, _ allocations: () -> Int
  ) throws -> Rounds {
    let limits = MachineLimits(
      rows: subject.capacity, width: hyperparameters.valueHiddenDims.widths.max() ?? 1)
    var measured = Rounds()
    for _ in 0..<rounds {
      try world.barrier()
      measured.productRates.append(limits.productRates(.openBLAS))
      try world.barrier()
      measured.kernelRates.append(limits.productRates(.chosen))
      try world.barrier()
      let before = allocations()
      let time = try seconds { for _ in 0..<updates { try subject.update() } }
      measured.allocations.append(Double(allocations() - before) / Double(updates))
      measured.updates.append(time / Double(updates))
      try world.barrier()
      measured.allReduces.append(
        try seconds {
          for _ in 0..<Self.allReduces { measured.allReduceBytes = try subject.learner.exchangeAlone() }
        } / Double(Self.allReduces))
      try world.barrier()
      measured.bandwidths.append(limits.bandwidth())
      measured.actions.append(
        seconds { for _ in 0..<Self.actions { subject.act() } } / Double(Self.actions))
      measured.crowds.append(seconds { crowd.act() })
    }
    return measured
  }

  /// Measures the constants of the scaling model. Collective.
  public func scalingModel() throws -> ScalingModel {
    for _ in 0..<Self.warmUp { try subject.update() }
    let rows = sequence(first: 1) { 2 * $0 }.prefix { $0 <= subject.capacity }
    let compute = try rows.map { try world.allReduce(try gradientSeconds(rows: $0), .max) }
    try subject.profiled { for _ in 0..<Self.profiledUpdates { try subject.update() } }
    let optimiser =
      try world.allReduce(subject.profile.seconds(.optimiser), .max) / Double(Self.profiledUpdates)
    let memory = subject.learner.memory
    let groupSize = subject.learner.groupSize
    let moved = ScalingModel.movedBytes(
      parameters: memory.count, followed: memory.targetCount, ranks: groupSize)
    return ScalingModel(
      compute: compute, bytesPerSecond: moved / Double(groupSize) / optimiser,
      barrier: try barrierSeconds(), parameters: memory.count, followed: memory.targetCount)
  }

  /// Seconds of losses and gradients for the first `rows` rows of a batch, alone.
  private func gradientSeconds(rows: Int) throws -> Double {
    let once = try seconds { try subject.computeGradient(rows: rows) }
    let repeats = max(3, min(100, Int(0.1 / once)))
    try world.barrier()
    return median(try (0..<repeats).map { _ in try seconds { try subject.computeGradient(rows: rows) } })
  }

  /// Seconds of what every gradient needs, however few its rows: to read parameters and targets, to read parameters
  /// again, and to write the gradient.
  private func passSeconds() throws -> Double {
    let memory = subject.learner.memory
    try world.barrier()
    return median(
      (0..<Self.passes).map { _ in
        seconds {
          var sum = MachineLimits.sum(memory.parameters, count: memory.count)
          sum += MachineLimits.sum(memory.target, count: memory.targetCount)
          sum += MachineLimits.sum(memory.parameters, count: memory.count)
          // Depends on what was read, so that reading is not left out.
          memory.gradients.update(repeating: sum.isNaN ? 1 : 0, count: memory.count)
        }
      })
  }

  /// Seconds of a barrier between two ranks; on one rank, what it typically is within a node.
  private func barrierSeconds() throws -> Double {
    guard world.size > 1 else { return 1e-6 }
    let time = try seconds { for _ in 0..<Self.barriers { try world.barrier() } } / Double(Self.barriers)
    return time / log2(Double(world.size)).rounded(.up)
  }

  /// As many updates as take about half a second, the same number on all ranks.
  private func automaticCount() throws -> Int {
    let time = try seconds { for _ in 0..<Self.warmUp { try subject.update() } }
    return try updatesOfARound(time / Double(Self.warmUp), world)
  }

  /// Milliseconds of each part of an update, the mean over the ranks, and of the rest. Collective.
  ///
  /// - Parameters:
  ///   - update: seconds of an update while the profile was on.
  ///   - updates: how many the profile has noted.
  private func parts(of update: Double, updates: Int) throws -> [String: Double] {
    var parts: [String: Double] = [:]
    var rest = update
    for part in Profile.Part.allCases {
      let time = subject.profile.seconds(part) / Double(updates)
      rest -= time
      parts["\(part)"] = 1e3 * (try world.allReduce(time)) / Double(world.size)
    }
    parts["rest"] = 1e3 * (try world.allReduce(rest)) / Double(world.size)
    return parts
  }

  /// The medians over the rounds and the ranks. Collective.
  private func summarise(
    _ measured: Rounds, crowdOperations: Double, parts: [String: Double], resident: Double, count: Int
  ) throws -> Result {
    let work = subject.profile.work
    let forms = try [work.forward, work.weights, work.inputs].map {
      try world.allReduce(Double($0)) / Double(count)
    }
    func time(_ rates: [[Double]]) throws -> Double {
      try zip(forms, medians(rates)).reduce(0) { $0 + $1.0 / (try world.allReduce($1.1)) }
    }
    let (update, limit) = (median(measured.updates), try time(measured.productRates))
    let crowd = median(measured.crowds)
    let bytes = try world.allReduce(Int64(measured.allReduceBytes), .max)
    let total = forms.reduce(0, +)
    let counted = try world.allReduce(Double(subject.profile.productOperations)) / Double(count)
    return Result(
      ranks: world.size, threads: threads, batchSize: hyperparameters.batchSize, blas: BLAS.description,
      update: 1e3 * update, updatesPerSecond: 1 / update, gigaOperations: total / 1e9,
      countedGigaOperations: counted / 1e9, rate: total / update / 1e9, productRate: total / limit / 1e9,
      kernelRate: total / (try time(measured.kernelRates)) / 1e9, limit: 1e3 * limit,
      shareOfLimit: limit / update, parts: parts,
      allReduce: bytes == 0 ? 0 : 1e3 * (try world.allReduce(median(measured.allReduces), .max)),
      allReduceMegabytes: Double(bytes) / 1e6,
      memoryBandwidth: try world.allReduce(median(measured.bandwidths)) / 1e9,
      allocations: try world.allReduce(median(measured.allocations), .max),
      residentMegabytes: try world.allReduce(resident, .max) / 1e6,
      megabytesPerSample: try world.allReduce(
        Double(subject.workspaceBytes) / Double(subject.capacity), .max) / 1e6,
      encodings: try world.allReduce(Double(work.encodings)) / Double(count),
      action: 1e3 * median(measured.actions), actions: 1e3 * crowd,
      actionRate: crowdOperations / crowd / 1e9, gradients: measured.gradients,
      gradientLimit: 1e3 * (try world.allReduce(measured.passes, .max)))
  }
}
