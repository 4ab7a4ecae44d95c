import ArgumentParser
import Kernels
import Networks

/// How the values of an ensemble become one.
public enum Aggregation: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// Their mean.
  case mean
  /// The smallest.
  case min
}

/// Widths of a network's hidden layers, written `512,512,512,512`.
public struct HiddenDims: ExpressibleByArgument, Equatable, Sendable, CustomStringConvertible {
  /// Width of each hidden layer, first to last.
  public var widths: [Int]

  /// Layers of these widths.
  public init(_ widths: [Int]) { self.widths = widths }

  /// Parses positive whole numbers separated by commas; nil when the text is anything else.
  public init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map {
      Int($0.filter { $0 != " " })
    }
    guard !parts.isEmpty, parts.allSatisfy({ $0 != nil && $0! > 0 && $0! <= 65_536 }) else { return nil }
    widths = parts.compactMap(\.self)
  }

  /// The widths separated by commas.
  public var description: String { widths.map(String.init).joined(separator: ",") }
  /// The same, for help texts.
  public var defaultValueDescription: String { description }
}

/// The settings of all agents. Each agent reads some of them and has published defaults of its own; those shown here
/// are FAN's, or those of the agents that read them.
public struct Hyperparameters: ParsableArguments, Sendable {
  @Option(
    help: ArgumentHelp(
      "What to train.", discussion: "Its published defaults take the place of those that this help shows."))
  public var agent = AgentKind.fan

  @Option(help: "Adam's learning rate.")
  public var lr = 3e-4

  @Option(help: "Samples per update, over all ranks.")
  public var batchSize = 256

  @Option(help: "Hidden layers of the policy and the behaviour flow.")
  public var actorHiddenDims = HiddenDims([512, 512, 512, 512])

  @Option(help: "Hidden layers of the critics.")
  public var valueHiddenDims = HiddenDims([512, 512, 512, 512])

  @Option(
    help: ArgumentHelp(
      "Encoder that every network has for images: impala_small, impala, impala_large or impala_debug; none for vectors.",
      valueName: "name"))
  public var encoder: EncoderKind?

  @Flag(inversion: .prefixedNo, exclusivity: .chooseLast, help: "Layer norm in the critics.")
  public var layerNorm = true

  @Flag(
    inversion: .prefixedNo, exclusivity: .chooseLast, help: "Layer norm in the policy and the behaviour flow."
  )
  public var actorLayerNorm = false

  @Option(help: "Discount factor.")
  public var discount = 0.995

  @Option(help: "Share of the critic that the target critic takes over in each update.")
  public var tau = 0.005

  @Option(help: "Expectile of Q over the noise that Z estimates.")
  public var expectile = 0.9

  @Option(help: "How the ensemble's Z of the next state becomes one value: mean or min.")
  public var zAgg = Aggregation.mean

  @Option(help: "How the ensemble's Q of the next state becomes one value: mean or min.")
  public var qAgg = Aggregation.mean

  @Option(help: "Weight of the constraint to the data in the actor loss.")
  public var alpha1 = 10.0

  @Option(help: "Weight of the constraint to the data in the critic's target.")
  public var alpha2 = 10.0

  @Option(help: "Weight of the distance between the policy and the integrated behaviour flow.")
  public var alpha = 10.0

  @Option(help: "Euler steps of the integration of the behaviour flow.")
  public var flowSteps = 10

  @Flag(
    inversion: .prefixedNo, exclusivity: .chooseLast,
    help: "Scale the actor's value losses by one over their mean magnitude.")
  public var normalizeValueLoss = false

  @Flag(
    inversion: .prefixedNo, exclusivity: .chooseLast,
    help: "Scale the actor's Q loss by one over its mean magnitude.")
  public var normalizeQLoss = false

  @Option(help: "Weight of the distance to the data's actions in the actor loss.")
  public var alphaActor = 0.0

  @Option(help: "Weight of the distance to the data's next actions in the critic's target.")
  public var alphaCritic = 0.0

  @Option(help: "Updates between those that train the actor and move the targets.")
  public var actorFreq = 2

  @Option(help: "Deviation of the noise on the next action.")
  public var actorNoise = 0.2

  @Option(help: "Limit of that noise.")
  public var actorNoiseClip = 0.5

  @Flag(inversion: .prefixedNo, exclusivity: .chooseLast, help: "Bound the policy's actions with tanh.")
  public var tanhSquash = true

  @Option(help: "Quantiles of the return for each sample.")
  public var numQuantiles = 16

  @Option(help: "How the ensemble's quantiles become one: mean or min.")
  public var quantileAgg = Aggregation.mean

  @Option(help: "Error up to which the quantile loss is quadratic.")
  public var kappa = 0.9

  @Option(help: "Cosines that a quantile's level is given to the critic as.")
  public var numCosines = 64

  @Option(help: "Features of a quantile's level, and of state and action, in the critic.")
  public var embeddingDim = 512

  @Option(help: "Weight of the penalty on values of actions that are not the data's.")
  public var alphaPenalty = 0.1

  @Option(help: "Random actions, and actions of the policy, that the penalty looks at for each sample.")
  public var numLogsumexpSamples = 10

  @Option(help: "How the returns of the two flows become one: mean or min.")
  public var retAgg = Aggregation.mean

  @Flag(
    inversion: .prefixedNo, exclusivity: .chooseLast,
    help: "Clip returns to what the dataset's smallest and largest reward for ever would give.")
  public var clipFlowReturns = true

  @Option(help: "Temperature of the confidence weights: samples of uncertain return weigh more.")
  public var confidenceWeightTemp = 0.3

  @Option(help: "Weight of the bootstrapped flow-matching loss.")
  public var bcfmLambda = 1.0

  @Option(help: "Weight of the distributional flow-matching loss.")
  public var dcfmLambda = 1.0

  @Option(help: "Candidate actions, of which the best is taken.")
  public var numSamples = 16

  @Flag(
    inversion: .prefixedNo, exclusivity: .chooseLast,
    help: "Clip actions after every step of the behaviour flow, not only after the last.")
  public var clipFlowActions = true

  @Option(help: "Initial variance of the policy's last weights, relative to that of the others.")
  public var actorFcScale = 0.01

  /// The defaults; readable only after parsing, as with every `ParsableArguments`.
  public init() {}

  /// Rejects values outside their ranges.
  public func validate() throws {
    for (name, value) in [("lr", lr), ("kappa", kappa)] {
      try require(value > 0 && value.isFinite, "--\(name) must be a finite number above 0")
    }
    for (name, share) in [("discount", discount), ("tau", tau), ("expectile", expectile)] {
      try require((0...1).contains(share), "--\(name) must be between 0 and 1")
    }
    for (name, value) in [
      ("alpha1", alpha1), ("alpha2", alpha2), ("alpha", alpha), ("alpha-actor", alphaActor),
      ("alpha-critic", alphaCritic), ("alpha-penalty", alphaPenalty), ("actor-noise", actorNoise),
      ("actor-noise-clip", actorNoiseClip), ("confidence-weight-temp", confidenceWeightTemp),
      ("bcfm-lambda", bcfmLambda), ("dcfm-lambda", dcfmLambda),
    ] {
      try require(value >= 0 && value.isFinite, "--\(name) must be a finite number, 0 or more")
    }
    for (name, count, limit) in [
      ("batch-size", batchSize, 1_048_576), ("flow-steps", flowSteps, 1000),
      ("actor-freq", actorFreq, 1_000_000), ("num-quantiles", numQuantiles, 1024),
      ("num-cosines", numCosines, 65_536), ("embedding-dim", embeddingDim, 65_536),
      ("num-logsumexp-samples", numLogsumexpSamples, 1024), ("num-samples", numSamples, 1024),
    ] {
      try require((1...limit).contains(count), "--\(name) must be between 1 and \(limit)")
    }
    try require((0...1e6).contains(actorFcScale), "--actor-fc-scale must be between 0 and 1000000")
    try require(
      discount < 1 || !clipFlowReturns || !agent.reads("clip-flow-returns"),
      "--discount must be below 1, or returns have no limits to clip to; see --no-clip-flow-returns")
  }
}

extension Hyperparameters {
  /// The shape of a policy or of a flow of actions: a state and `beside` other numbers go in.
  func actorShape(_ name: String, _ spec: DataSpec, beside: Int = 0, outputs: Int) -> NetworkShape {
    NetworkShape(
      name: name, inputs: stateSize(spec) + beside, hidden: actorHiddenDims.widths, outputs: outputs,
      layerNorm: actorLayerNorm, encoder: encoderShape(spec))
  }

  /// The shape of two critics of a state and `beside` other numbers.
  func valueShape(_ name: String, _ spec: DataSpec, beside: Int, hasTarget: Bool = false) -> NetworkShape {
    var shape = valueShape(name, inputs: stateSize(spec) + beside, hasTarget: hasTarget)
    shape.encoder = encoderShape(spec)
    return shape
  }

  /// The shape of two critics that no state goes into.
  func valueShape(_ name: String, inputs: Int, hasTarget: Bool = false) -> NetworkShape {
    NetworkShape(
      name: name, inputs: inputs, hidden: valueHiddenDims.widths, outputs: 1, layerNorm: layerNorm,
      ensemble: 2, hasTarget: hasTarget)
  }
}

/// Throws a `ValidationError` with `message` unless `condition` holds.
public func require(_ condition: Bool, _ message: String) throws {
  if !condition { throw ValidationError(message) }
}
