import Kernels
import Networks

/// Implicit Quantile Networks (arXiv 1806.06923) for offline data: the critic learns quantiles of the return by
/// quantile regression; the policy takes the best of N actions that a flow of the data's actions gives.
///
/// - `actor_flow`: the velocity field of that flow; there is no other actor.
/// - `critic`: Z(s, a, τ), with a target.
public final class IQN<T: Real>: Agent {
  public static var title: String { "IQN" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.99", "num-quantiles": "16", "quantile-agg": "mean", "kappa": "0.9", "num-cosines": "64",
      "embedding-dim": "512", "num-samples": "16", "flow-steps": "10", "clip-flow-actions": "true",
      "layer-norm": "true", "actor-layer-norm": "true",
    ]
  }

  /// The random inputs of an update.
  private enum Noise: Int {
    case taus, candidates, candidateTaus, nextTaus, flow, flowTime
  }

  public static func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw] {
    let (K, N) = (hyperparameters.numQuantiles, hyperparameters.numSamples)
    return [
      Draw("critic/taus", .uniform, width: K),
      Draw("critic/next_candidate_noise", .normal, width: N * spec.actionSize),
      Draw("critic/next_candidate_taus", .uniform, width: K, sharedRows: N),
      Draw("critic/next_taus", .uniform, width: K),
      Draw(noiseOrTime: "actor/flow_noise", spec), Draw(noiseOrTime: "actor/flow_time", spec),
    ]
  }

  public let layout: ParameterLayout
  public let figures = Figures([
    "critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/actor_loss",
  ])
  public let networks: [MLP<T>]

  private let flow: BehaviourFlow<T>
  private let value: QuantileValue<T>
  private let choice: QuantileChoice<T>
  private let workspace = Workspace<T>()
  /// a′, n × A.
  private let nextAction: Matrix<T>

  public init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    let scratch = hyperparameters.scratch(rows: rows, T.self)
    var layout = ParameterLayout()
    flow = BehaviourFlow(
      BehaviourFlow<T>.shape(spec, hyperparameters, name: "actor_flow"), layout: &layout, rows: rows,
      passesGradient: false, scratch: scratch)
    value = QuantileValue(spec, hyperparameters, layout: &layout, rows: rows)
    choice = QuantileChoice(spec, hyperparameters, rows: rows)
    self.layout = layout
    networks = choice.networks + value.networks + [flow.network]
    nextAction = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  /// It has no scales.
  public var freezesScales = false

  @specialized(where T == Float)
  public func evaluate(
    _ parameters: UnsafePointer<T>, target: UnsafePointer<T>, batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout SIMD2<Double>) throws -> Void
  ) throws {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    let figures = logging ? figures : nil

    choice.choose(
      parameters, batch.nextObservations.rows(0..<n), noise: batch[Noise.candidates],
      taus: batch[Noise.candidateTaus], into: nextAction.rows(0..<n))
    // y_j = r + γ · mask · Z_target(s′, a′, τ′_j), sg.
    value.setTargets(target, batch, nextAction: nextAction, taus: batch[Noise.nextTaus], masks: batch.masks)
    learn(parameters, batch, into: gradients)
    if let figures { value.log(batch, figures) }

    let data = Path(from: batch[Noise.flow], to: batch.actions.rows(0..<n), time: batch[Noise.flowTime])
    flow.place(data, s, rows: 0..<n)
    flow.network.forward(parameters + flow.network.start, rows: 0..<n, gradientRows: 0..<n)
    let flowLoss = flow.squaredError(data, rows: 0..<n, weight: batch.perElement)
    figures?["actor/actor_loss"] = Double(flowLoss * batch.perElement)
    guard let gradients else { return }
    flow.network.backward(
      parameters + flow.network.start, into: gradients + flow.network.start, weightRows: 0..<n)
  }

  /// Quantile regression, tile by tile.
  private func learn(
    _ parameters: UnsafePointer<T>, _ batch: Batch<T>, into gradients: UnsafeMutablePointer<T>?
  ) {
    let (critic, K) = (value.critic, value.quantiles)
    let taus = batch[Noise.taus]
    value.tiling.forEach(0..<batch.rows) { samples in
      value.place(samples, batch, taus: taus)
      critic.embedTaus(parameters + critic.start)
      critic.forward(parameters + critic.start)
      value.regress(samples, batch, taus: taus)
      guard let gradients else { return }
      critic.backward(
        parameters + critic.start, into: gradients + critic.start,
        trained: .init(actions: samples.count, taus: samples.count * K, pairs: samples.count * K),
        accumulate: samples.lowerBound > 0)
    }
  }

  public func lossReaching(_ network: String) -> Double {
    figures[network == "critic" ? "critic/critic_loss" : "actor/actor_loss"]
  }

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Matrix<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    value.returns(parameters, observation, action, count: noise.rows)
  }

  public func operations(rows n: Int) -> Operations {
    let perSample = value.quantiles
    let pairs = QuantileCritic<T>.Capacity(actions: n, taus: n * perSample, pairs: n * perSample)
    var sum = Operations(batch: n)
    choice.addOperations(rows: n, to: &sum)
    value.target.addOperations(pairs, to: &sum)
    value.critic.addOperations(pairs, trained: pairs, to: &sum)
    sum.add(flow.network, rows: n, forward: 1, weights: 1, inputs: 1)
    return sum
  }

  public static func policy(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> any Policy<T> {
    QuantilePolicy<T>(spec, hyperparameters, rows: rows)
  }

  public static func behaviour(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> (any Policy<T>)? {
    FlowPolicy<T>(
      spec, hyperparameters, rows: rows, steps: hyperparameters.flowSteps,
      clipsEachStep: hyperparameters.clipFlowActions)
  }
}

/// Acts with the best of N candidates, fresh ones in each step.
private final class QuantilePolicy<T: Real>: Policy {
  let observations: Matrix<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>

  private let choice: QuantileChoice<T>
  private let workspace = Workspace<T>()

  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    let (N, K) = (hyperparameters.numSamples, hyperparameters.numQuantiles)
    choice = QuantileChoice(spec, hyperparameters, rows: rows)
    observations = workspace.matrix(rows: rows, columns: spec.observationSize)
    draws = [
      Draw("noise", .normal, width: N * spec.actionSize), Draw("taus", .uniform, width: K, sharedRows: N),
    ]
    noise = draws.map { [workspace] in $0.matrix(rows: rows, workspace) }
    actions = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  var networks: [MLP<T>] { choice.networks }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    choice.choose(
      parameters, observations.rows(0..<n), noise: noise[0].rows(0..<n), taus: noise[1],
      into: actions.rows(0..<n))
  }

  var rule: String {
    """
    action = of \(draws[0].width / actions.columns) actions that actor_flow gives from noise ~ N(0, 1), the one of the \
    largest mean of critic values at taus ~ U(0, 1)
    """
  }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    choice.describe(observations, noise: noise[0], taus: noise[1], in: &graph)
  }
}
