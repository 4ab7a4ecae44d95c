import Kernels
import Networks

/// Revisited Behaviour-Regularised Actor-Critic (arXiv 2305.09836): TD3 with a deterministic policy, held to the
/// data by distances between actions, in the actor's loss and in the critic's target.
///
/// - `actor`: the policy, a = tanh(f(s)).
/// - `critic`: Q(s, a).
///
/// Both have targets. Only every `actor_freq`-th update trains the actor and moves them; in the others the actor's
/// gradient is zero, though Adam still moves it by its moments.
public final class ReBRAC<T: Real>: Agent {
  public static var title: String { "ReBRAC" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.99", "alpha-actor": "0", "alpha-critic": "0", "actor-freq": "2", "actor-noise": "0.2",
      "actor-noise-clip": "0.5", "tanh-squash": "true", "actor-fc-scale": "0.01", "layer-norm": "true",
      "actor-layer-norm": "false",
    ]
  }

  public static func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw] {
    [Draw("critic/next_action_noise", .normal, width: spec.actionSize)]
  }

  public let layout: ParameterLayout
  public let figures = Figures([
    "critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/total_loss",
    "actor/actor_loss", "actor/bc_loss", "actor/std", "actor/mse",
  ])
  public let networks: [MLP<T>]

  private let alphaActor: T
  private let alphaCritic: T
  private let actorFrequency: Int
  private let noiseDeviation: T
  private let noiseLimit: T
  private let squashes: Bool
  private let actor: MLP<T>
  private let targetActor: MLP<T>
  private let targetActorStart: Int
  private let value: ActionValue<T>
  private let workspace = Workspace<T>()
  /// a′, n × A.
  private let nextAction: Matrix<T>
  /// Σ over A of (a′ − a′ of the data)² for each row.
  private let nextDistance: UnsafeMutablePointer<T>
  /// p = π(s), n × A.
  private let action: Matrix<T>

  public init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    alphaActor = T(hyperparameters.alphaActor)
    alphaCritic = T(hyperparameters.alphaCritic)
    actorFrequency = hyperparameters.actorFreq
    noiseDeviation = T(hyperparameters.actorNoise)
    noiseLimit = T(hyperparameters.actorNoiseClip)
    squashes = hyperparameters.tanhSquash
    let scratch = hyperparameters.scratch(rows: 2 * rows, T.self)
    var layout = ParameterLayout()
    let shape = Self.actorShape(spec, hyperparameters)
    actor = MLP(shape, layout: &layout, rows: rows, scratch: scratch)
    targetActorStart = layout.follow(actor)
    var apart = ParameterLayout()
    targetActor = MLP(shape, layout: &apart, rows: rows, scratch: scratch)
    value = ActionValue(
      spec, hyperparameters, aggregation: .min, actorAggregation: .min, normalises: true, layout: &layout,
      rows: rows, scratch: scratch)
    self.layout = layout
    networks = [targetActor, actor, value.critic, value.target]
    nextAction = workspace.matrix(rows: rows, columns: spec.actionSize)
    nextDistance = workspace.vector(rows)
    action = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  fileprivate static func actorShape(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> NetworkShape {
    var shape = hyperparameters.actorShape(
      "actor", inputs: spec.observationSize, outputs: spec.actionSize)
    shape.lastScale = Float(hyperparameters.actorFcScale)
    return shape
  }

  public func movesTarget(update: Int) -> Bool { (update + 1) % actorFrequency == 0 }

  @specialized(where T == Float)
  public func evaluate(
    _ parameters: UnsafePointer<T>, target: UnsafePointer<T>, batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout SIMD2<Double>) throws -> Void
  ) throws {
    let n = batch.rows
    let figures = logging ? figures : nil
    let trainsActor = movesTarget(update: batch.update)
    let evaluatesActor = trainsActor || logging

    chooseNextActions(target, batch)
    if evaluatesActor { choose(parameters, batch) }
    value.forward(
      parameters, target, batch, nextAction: nextAction, action: evaluatesActor ? action : nil)
    // y = r + γ · mask · (min over E of q′ − alpha_critic · distance), sg.
    value.criticLoss(
      batch, penalty: Penalty(weight: alphaCritic, values: nextDistance), figures)
    if evaluatesActor {
      let (_, qLoss) = try value.actorLoss(batch, sumOverRanks)
      if let figures { log(qLoss, batch, figures) }
    }

    guard let gradients else { return }
    let throughValue = value.backward(parameters, into: gradients, rows: n, reachesActor: trainsActor)
    guard trainsActor else { return actor.clearGradient(in: gradients + actor.start) }
    differentiate(throughValue, batch)
    actor.backward(parameters + actor.start, into: gradients + actor.start, weightRows: 0..<n)
  }

  /// a′ = clip(π_target(s′) + clip(actor_noise · ε, ±actor_noise_clip), ±1), and its distance to the data's.
  private func chooseNextActions(_ target: UnsafePointer<T>, _ batch: Batch<T>) {
    let n = batch.rows
    targetActor.input.rows(0..<n).copy(batch.nextObservations.rows(0..<n))
    targetActor.forward(target + targetActorStart, rows: 0..<n)
    let (output, noise) = (targetActor.output(), batch.noise[0])
    for i in 0..<n {
      for c in 0..<nextAction.columns {
        let smoothing = max(-noiseLimit, min(noiseLimit, noiseDeviation * noise[i, c]))
        nextAction[i, c] = max(-1, min(1, squash(output[i, c]) + smoothing))
      }
    }
    nextAction.rows(0..<n).squaredDistances(to: batch.nextActions.rows(0..<n), into: nextDistance)
  }

  /// p = π(s).
  private func choose(_ parameters: UnsafePointer<T>, _ batch: Batch<T>) {
    let n = batch.rows
    actor.input.rows(0..<n).copy(batch.observations.rows(0..<n))
    actor.forward(parameters + actor.start, rows: 0..<n, gradientRows: 0..<n)
    action.rows(0..<n).copy(actor.output().rows(0..<n))
    action.rows(0..<n).replaceEach(squash)
  }

  private func squash(_ x: T) -> T { squashes ? T.tanh(x) : x }

  /// The gradient of the actor's loss with respect to its output, from that through the critic and that of
  /// alpha_actor · mean over B of Σ over A of (p − a)².
  private func differentiate(_ throughValue: Matrix<T>, _ batch: Batch<T>) {
    let gradient = actor.outputGradient()
    let weight = 2 * alphaActor * batch.perSample
    for i in 0..<batch.rows {
      for c in 0..<action.columns {
        let p = action[i, c]
        let throughAction = throughValue[i, c] + weight * (p - batch.actions[i, c])
        gradient[i, c] = throughAction * (squashes ? 1 - p * p : 1)
      }
    }
  }

  private func log(_ qLoss: Double, _ batch: Batch<T>, _ figures: Figures) {
    var sum = T(0)
    for i in 0..<batch.rows {
      for c in 0..<action.columns {
        let difference = action[i, c] - batch.actions[i, c]
        sum += difference * difference
      }
    }
    figures["actor/mse"] = Double(sum * batch.perSample)
    figures["actor/bc_loss"] = Double(alphaActor) * figures["actor/mse"]
    figures["actor/actor_loss"] = qLoss
    figures["actor/total_loss"] = figures["actor/actor_loss"] + figures["actor/bc_loss"]
    // The published policy is a normal distribution of deviation 1 whose mean is taken.
    figures["actor/std"] = Double(T(batch.rows) * batch.perSample)
  }

  public var freezesScales: Bool {
    get { value.freezesScales }
    set { value.freezesScales = newValue }
  }

  public func lossReaching(_ network: String) -> Double {
    figures[network == "critic" ? "critic/critic_loss" : "actor/total_loss"]
  }

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Matrix<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    value.returns(parameters, observation, action)
  }

  /// The mean over `actor_freq` updates.
  public func operations(rows: Int) -> Operations {
    var sum = Operations(batch: rows)
    sum.add(targetActor, rows: rows, forward: 1)
    sum.add(value.target, rows: rows, forward: 1)
    sum.add(value.critic, rows: rows, forward: 1, weights: 1, inputs: 1)
    sum.add(value.critic, rows: rows, forward: 1, inputs: 1, every: actorFrequency)
    sum.add(actor, rows: rows, forward: 1, weights: 1, inputs: 1, every: actorFrequency)
    return sum
  }

  public static func policy(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> any Policy<T> {
    DeterministicPolicy<T>(spec, hyperparameters, rows: rows)
  }

  /// It learns no flow of the data's actions.
  public static func behaviour(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> (any Policy<T>)? { nil }
}

/// Acts with `actor`, without noise.
private final class DeterministicPolicy<T: Real>: Policy {
  let observations: Matrix<T>
  let draws: [Draw] = []
  let noise: [Matrix<T>] = []
  let actions: Matrix<T>

  private let network: MLP<T>
  private let squashes: Bool
  private let workspace = Workspace<T>()

  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    var layout = ParameterLayout()
    network = MLP(
      ReBRAC<T>.actorShape(spec, hyperparameters), layout: &layout, rows: rows,
      scratch: hyperparameters.scratch(rows: 0, T.self))
    squashes = hyperparameters.tanhSquash
    observations = network.input
    actions = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  var networks: [MLP<T>] { [network] }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    network.forward(parameters + network.start, rows: 0..<n)
    actions.rows(0..<n).copy(network.output().rows(0..<n))
    if squashes { actions.rows(0..<n).replaceEach(T.tanh) }
    actions.rows(0..<n).clip(actions.rows(0..<n))
  }

  var rule: String { "action = clip(\(squashes ? "tanh(actor(observation))" : "actor(observation)"), -1, 1)" }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let output = network.shape.describe(observations, in: &graph)
    return graph.clip(squashes ? graph.apply("Tanh", output) : output)
  }
}
