import Agents
import Basics
import Exchange
import Kernels
import MPI
import Networks
import Profiling

/// An agent that learns: its parameters, targets and Adam's moments, and the one function that is an update.
///
/// Every rank of a run has one; the ranks of a node share the parameters.
public final class Learner {
  /// The outcome of an update.
  public struct Outcome {
    /// Whether the gradients of all ranks were finite. Otherwise no rank has moved parameters.
    public let isFinite: Bool
    /// The first tensor whose gradient was not finite.
    public let nonFiniteTensor: String?
    /// Whether some rank asked to stop.
    public let stops: Bool
    /// The agent's figures and the norm of the gradient over the whole batch; empty unless they were asked for.
    public let figures: [NamedFigure]
  }

  /// A figure's name and its value over the whole batch.
  public typealias NamedFigure = (name: String, value: Double)

  /// The name of the norm of the gradient among the figures.
  private static let gradientNorm = "grad/norm"

  /// Parameters, targets, moments and gradients.
  public let memory: ParameterMemory
  /// Where the time of updates goes, once a benchmark turns it on.
  public let profile = Profile()
  /// Whether this rank is the one that fills the memory at the start, for all that share it.
  public var leadsGroup: Bool { ranks.leadsGroup }
  /// Ranks that share the memory.
  public var groupSize: Int { ranks.group.size }
  /// Seconds spent exchanging and waiting for others, since the start.
  public var communicationSeconds: Double { exchange.communicationSeconds }
  /// Adam steps taken; differs from the number of updates by those that were skipped.
  public var optimiserSteps: Int {
    get { optimiser.steps }
    set { optimiser.steps = newValue }
  }
  /// Where the tensors lie in the flat vector of parameters, and which of them have a target.
  public let layout: ParameterLayout
  /// Updates from one that moves the targets to the next.
  public var targetPeriod: Int { objective.targetPeriod }
  /// The names of the figures of losses, in their order.
  public let lossNames: [String]
  /// The names of the figures of an update, in their order.
  public var figureNames: [String] { lossNames + [Self.gradientNorm] }

  private var objective: Objective<Float>
  private let spec: DataSpec
  private let rows: Int
  private let ranks: RankGroups
  private let exchange: GradientExchange
  private let optimiser: OwnedOptimiser
  /// The chunks of this rank's rows, if sums over the batch are made by chunks.
  private let chunks: RowChunks?
  /// The sums over ranks of the update at hand.
  private let sums = RecordedSums()

  /// Memory and networks; all parameters are zero. Collective over `world`.
  ///
  /// - Parameters:
  ///   - rows: the most rows of a batch that this rank has.
  ///   - ranksPerNode: how many ranks share memory; nil for all of a node.
  ///   - chunks: how the batch is cut if all that is learned and logged is to have the same bits on any number of ranks.
  ///     Then each rank's rows are the samples of its chunks.
  public init(
    _ hyperparameters: Hyperparameters, _ spec: DataSpec, rows: Int, world: Communicator,
    ranksPerNode: Int? = nil, chunks: BatchChunks? = nil
  ) throws(MPIError) {
    (self.spec, self.rows) = (spec, rows)
    self.chunks = chunks.map { RowChunks($0, rank: world.rank) }
    objective = Objective(hyperparameters, spec, rows: rows, chunks: self.chunks, profile: profile)
    layout = objective.layout
    lossNames = objective.figures.map(\.name)
    ranks = try RankGroups(world, ranksPerNode: ranksPerNode)
    memory = try ParameterMemory(
      ranks.group, owners: ranks.owners, count: layout.count, followed: layout.followed, chunks: chunks)
    exchange = GradientExchange(ranks, memory, chunks: chunks, profile: profile)
    optimiser = OwnedOptimiser(
      memory, learningRate: hyperparameters.lr, tau: hyperparameters.tau, profile: profile)
  }

  // MARK: Start and end

  /// Starts with the initial parameters of a seed. Collective over all ranks.
  public func start(seed: UInt32) throws(MPIError) {
    if ranks.leadsGroup {
      layout.initialise(memory.parameters, seed: seed)
      layout.copyFollowed(of: memory.parameters, to: memory.target)
    }
    try distribute()
  }

  /// Gives all ranks what rank 0 has: parameters, targets, moments and Adam's steps. Collective over all ranks.
  public func distribute() throws(MPIError) {
    try exchange.distribute()
    var steps = Int64(optimiser.steps)
    try ranks.all.broadcast(&steps, count: MemoryLayout.size(ofValue: steps))
    optimiser.steps = Int(steps)
  }

  /// Gives the memory back; the learner is of no use afterwards. Collective over all ranks; `Releases` says when.
  public func free() throws(MPIError) { try memory.free() }

  /// Goes on with other weights in its losses. The networks must be the same.
  public func use(_ hyperparameters: Hyperparameters) {
    objective = Objective(hyperparameters, spec, rows: rows, chunks: chunks, profile: profile)
    precondition(objective.layout.count == layout.count, "other networks")
  }

  // MARK: Learning

  /// One update, the same on all ranks: this rank's losses and gradient, their exchange, and a step of parameters and
  /// targets. Collective over all ranks.
  ///
  /// - Parameters:
  ///   - batch: this rank's rows.
  ///   - logging: whether figures are wanted; the same on all ranks.
  ///   - stop: this rank's wish to stop after this update.
  public func update(_ batch: Batch<Float>, logging: Bool = false, stop: Bool = false) throws -> Outcome {
    try compute(batch, logging: logging, gradients: memory.gradients)
    var figures = logging ? try reducedFigures(batch) : []
    let meeting = try exchange.begin(isFinite: objective.gradientIsFinite, stop: stop)
    var squares = ExactSum()
    var nonFinite: String?
    if meeting.isFinite {
      squares = optimiser.step(exchange, movesTarget: objective.movesTarget(update: batch.update))
    } else {
      try exchange.waitForSums()
      nonFinite = firstNonFiniteTensor
    }
    try exchange.end()
    if logging {
      // The owned pieces of one group make the whole vector.
      var sums = ExactSums(ranks.isInFirstGroup ? squares : ExactSum())
      try exchange.sumOverRanks(&sums)
      figures.append((Self.gradientNorm, meeting.isFinite ? sums.first.value.squareRoot() : .nan))
    }
    return Outcome(
      isFinite: meeting.isFinite, nonFiniteTensor: nonFinite, stops: meeting.stops, figures: figures)
  }

  /// The figures of a batch at the parameters as they are. Collective over all ranks.
  public func losses(_ batch: Batch<Float>) throws -> [NamedFigure] {
    try compute(batch, logging: true, gradients: nil)
    return try reducedFigures(batch)
  }

  /// Computes the gradient of this rank's rows without the other ranks, for a benchmark. Nothing learns from it.
  public func computeGradientAlone(_ batch: Batch<Float>) throws {
    try objective.compute(
      memory.parameters, target: memory.target, batch, logging: false, gradients: memory.gradients
    ) { _ in }
  }

  /// The exchange of gradients between groups without an update, for a benchmark. Nothing learns from it. Collective over
  /// all ranks. Returns the bytes of this rank's message.
  public func exchangeAlone() throws(MPIError) -> Int { try exchange.exchangeAlone() }

  /// Some elements of the last update's gradient, summed over all ranks, until any rank of the group begins its next
  /// update.
  public func gradient(of range: Range<Int>) -> [Float] { exchange.gradient(of: range) }

  private func compute(
    _ batch: Batch<Float>, logging: Bool, gradients: UnsafeMutablePointer<Float>?
  ) throws {
    sums.clear()
    try objective.compute(
      memory.parameters, target: memory.target, batch, logging: logging, gradients: gradients
    ) { (values) throws(MPIError) in
      try exchange.sumOverRanks(&values)
      sums.record(&values)
    }
  }

  /// The figures of the batch whose losses were just computed.
  private func reducedFigures(_ batch: Batch<Float>) throws -> [NamedFigure] {
    let values =
      if let chunks {
        try reduce(
          try (0..<chunks.count).map { try figures(of: Batch(chunks.rows(of: $0), of: batch)) }, of: chunks,
          figures: objective.figures, over: ranks.all)
      } else {
        try reduce(objective.values, of: objective.figures, over: ranks.all)
      }
    return zip(lossNames, values).map { ($0, $1) }
  }

  /// The figures of a chunk as if it stood alone, but for the scales of losses, which are those of the whole batch.
  private func figures(of chunk: Batch<Float>) throws -> [Double] {
    sums.rewind()
    try objective.compute(
      memory.parameters, target: memory.target, chunk, logging: true, gradients: nil,
      sumOverRanks: sums.replay)
    return objective.values
  }

  /// The first tensor whose gradient is not finite. Called between the exchange's `waitForSums` and `end`, while no rank
  /// writes gradients.
  private var firstNonFiniteTensor: String? {
    layout.slots.first { !exchange.gradient(of: $0.range).allSatisfy(\.isFinite) }?.name
  }
}
