import Agents
import Kernels
import Networks
import Profiling

/// What training minimises: the losses of an agent on a rank's rows of a batch, at given parameters, with their
/// gradient.
///
/// All that training, benchmarks and checks ask of an agent goes through here.
public final class Objective<T: Real> {
  /// Where the tensors lie in the flat vector of parameters, and which of them have a target.
  public var layout: ParameterLayout { agent.layout }
  /// The figures that the agent logs.
  public var figures: [Figure] { agent.figures.all }

  /// The chunks of this rank's rows that sums over rows are made of; nil if they are made in the order of rows.
  public var chunks: RowChunks? { agent.networks.chunks }

  private let kind: AgentKind
  private let agent: any Agent<T>

  /// The losses of an agent, for up to `rows` rows on this rank.
  ///
  /// - Parameters:
  ///   - chunks: the chunks of this rank's rows, if sums over rows are to be made by chunks. Then the gradient of each span
  ///     of chunks is a flat vector of its own, one behind the other.
  ///   - profile: where the networks note the time and the operations of their passes.
  public init(
    _ hyperparameters: Hyperparameters, _ spec: DataSpec, rows: Int, chunks: RowChunks? = nil,
    profile: Profile = Profile()
  ) {
    agent = hyperparameters.agent.make(spec, hyperparameters, rows: rows)
    kind = hyperparameters.agent
    agent.networks.measure(in: profile)
    if let chunks { agent.networks.sum(by: chunks) }
  }

  /// Computes the losses and the gradient of this rank's rows.
  ///
  /// - Parameters:
  ///   - logging: whether `values` are wanted; what only they need is otherwise not computed.
  ///   - gradients: receives this rank's gradient; the ranks' gradients add up to that of the batch. Nil computes the
  ///     losses alone.
  ///   - sumOverRanks: replaces its argument by its sum over all ranks. Agents call it when they compute the scale of
  ///     a normalised loss, and only then; all ranks call it equally often.
  public func compute(
    _ parameters: UnsafePointer<T>, target: UnsafePointer<T>, _ batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws {
    try agent.compute(
      batch, parameters, target: target, gradients: gradients, logging: logging, sumOverRanks: sumOverRanks)
  }

  /// This rank's value of each figure, from the last call that was logging.
  public var values: [Double] { agent.figures.values }

  /// Whether this rank's gradient is finite in the last call that computed it.
  public var gradientIsFinite: Bool { agent.networks.gradientIsFinite }

  /// The network and layer that gave the first value that is not finite in the last call that was logging, for a batch
  /// as large as the workspaces; nil when all are finite.
  public var firstNonFinite: String? { agent.networks.firstNonFinite }

  /// The loss that a network's parameters descend, from the figures of the last call that was logging.
  public func loss(of network: String) -> Double { agent.figures[kind.lossFigure(of: network)] }

  /// Updates from one that moves the targets to the next.
  public var targetPeriod: Int { agent.targetPeriod }

  /// Whether the targets move in an update, counted from 0.
  public func movesTarget(update: Int) -> Bool { agent.movesTarget(update: update) }
}
