import Kernels
import Networks

/// Revisited Behaviour-Regularised Actor-Critic (arXiv 2305.09836; published code: agents/rebrac.py of
/// chongyi-zheng/value-flows): TD3 with a deterministic policy, held to the data by distances between actions, in the
/// actor's loss and in the critic's target.
///
/// - `actor`: the policy, p = tanh(f(s)).
/// - `critic`: Q(s, a).
///
/// Both have targets. Only every `actor_freq`-th update trains the actor and moves the targets; in the others the
/// actor's gradient is zero, though Adam still moves the actor by its moments. Letters as in `FAN`.
public final class ReBRAC<T: Real>: Agent {
  public static var title: String { "ReBRAC" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.99", "alpha-actor": "0", "alpha-critic": "0", "actor-freq": "2", "actor-noise": "0.2",
      "actor-noise-clip": "0.5", "tanh-squash": "true", "actor-fc-scale": "0.01", "layer-norm": "true",
      "actor-layer-norm": "false",
    ]
  }

  public static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    var actor = h.actorShape("actor", spec, outputs: spec.actionSize)
    actor.lastScale = Float(h.actorFcScale)
    actor.hasTarget = true
    return [actor, h.valueShape("critic", spec, beside: spec.actionSize, hasTarget: true)]
  }

  /// The random inputs of an update.
  private enum Noise: Int { case nextAction }

  public static func draws(_ spec: DataSpec, _: Hyperparameters) -> [Draw] {
    [.noise("critic/next_action_noise", spec)]
  }

  public static var figureNames: [String] {
    [
      "critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/total_loss",
      "actor/actor_loss", "actor/bc_loss", "actor/std", "actor/mse",
    ]
  }

  public static var losses: KeyValuePairs<String, String> {
    ["critic": "critic/critic_loss", "actor": "actor/total_loss"]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(ReBRAC.figureNames)
  public let targetPeriod: Int

  private let (γ, αActor, αCritic): (T, T, T)
  private let (noiseDeviation, noiseLimit): (T, T)
  private let squashes: Bool
  private let (actor, targetActor, critic, target): (Stack<T>, Stack<T>, Stack<T>, Stack<T>)
  /// a′ and p, n × A.
  private let (aNext, p): (Matrix<T>, Matrix<T>)

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    (γ, αActor, αCritic) = (T(h.discount), T(h.alphaActor), T(h.alphaCritic))
    (noiseDeviation, noiseLimit) = (T(h.actorNoise), T(h.actorNoiseClip))
    squashes = h.tanhSquash
    targetPeriod = h.actorFreq
    networks = NetworkSet(Self.shapes(spec, h), spec, rows: rows, stackedRows: 2 * rows)
    targetActor = networks.target("actor", [.next])
    actor = networks.stack("actor", [(.policy, .weights)])
    critic = networks.stack("critic", [(.data, .weights), (.policy, .input)])
    target = networks.target("critic", [.next])
    (aNext, p) = (networks.matrix(columns: spec.actionSize), networks.matrix(columns: spec.actionSize))
  }

  @specialized(where T == Float)
  public func computeLosses(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, target targets: UnsafePointer<T>,
    gradients: UnsafeMutablePointer<T>?, logging: Bool, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws {
    let trainsActor = movesTarget(update: batch.update)
    let computesActor = trainsActor || logging
    forward(batch, parameters, targets, withActor: computesActor)
    criticLoss(batch, logging ? figures : nil)
    if computesActor { try actorLoss(batch, sumOverRanks, logging ? figures : nil) }
    guard let gradients else { return }
    critic.backward(parameters, into: gradients, toInput: trainsActor)
    guard trainsActor else { return actor.network.clearGradient(in: gradients) }
    actorBackward(batch, parameters, into: gradients)
  }

  /// All networks at the parameters from before the update.
  private func forward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, _ targets: UnsafePointer<T>, withActor: Bool
  ) {
    let (s, a, sNext, rows) = (batch.s, batch.a, batch.sNext, 0..<batch.rows)
    chooseNextActions(batch, targets)
    critic[.data].place(s, a)
    if withActor {
      actor[.policy].place(s)
      actor.forward(parameters)
      p.rows(rows).copy(actor[.policy].output())
      p.rows(rows).replaceEach(squash)
      critic[.policy].place(s, p.rows(rows))
    }
    critic.forward(parameters, through: withActor ? .policy : .data)
    target[.next].place(sNext, aNext.rows(rows))
    target.forward(targets)
  }

  /// a′ = clip(π_target(s′) + clip(actor_noise · ε, ±actor_noise_clip), ±1).
  private func chooseNextActions(_ batch: Batch<T>, _ targets: UnsafePointer<T>) {
    targetActor[.next].place(batch.sNext)
    targetActor.forward(targets)
    let (output, ε) = (targetActor[.next].output(), batch[Noise.nextAction])
    for i in 0..<batch.rows {
      for c in 0..<aNext.columns {
        let smoothing = max(-noiseLimit, min(noiseLimit, noiseDeviation * ε[i, c]))
        aNext[i, c] = max(-1, min(1, squash(output[i, c]) + smoothing))
      }
    }
  }

  private func squash(_ x: T) -> T { squashes ? T.tanh(x) : x }

  // MARK: Critic loss (rebrac.py, critic_loss)

  private func criticLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let perValue = batch.perSample / 2  // 1 / (E·B)
    let qNext = target[.next].values
    var loss = T(0)
    for e in 0..<2 {
      let (q, dq) = (critic[.data].output(e), critic[.data].outputGradient(e))
      for i in 0..<batch.rows {
        var distance = T(0)
        for c in 0..<aNext.columns { distance += squared(aNext[i, c] - batch.nextActions[i, c]).value }
        // q′ = min over E of Q_target(s′, a′);  y = r + γ · mask · (q′ − alpha_critic · Σ_A (a′ − a′_data)²), sg
        let y = batch.rewards[i] + γ * batch.masks[i] * (qNext.aggregate(i, .min) - αCritic * distance)
        // critic_loss = mean over E and B of (Q(s, a)θ − y)²
        let ofQ = squared(q[i, 0] - y)
        loss += ofQ.value
        dq[i, 0] = ofQ.slope * perValue
      }
    }
    guard let figures else { return }
    figures["critic/critic_loss"] = Double(loss * perValue)
    critic[.data].values.log("critic/q", batch, figures)
  }

  // MARK: Actor loss, actor_loss + bc_loss (rebrac.py, actor_loss)

  private func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout ExactSums) throws -> Void, _ figures: Figures?
  ) throws {
    let perSample = batch.perSample
    // actor_loss = −λ · mean of q, q = min over E of Q(s, p);  λ = sg(1 / mean of |q|)
    let (n, qs, dqs) = (batch.rows, critic[.policy].values, critic[.policy].valueGradients)
    var q = ValueSum<T>()
    for i in 0..<n { q.add(qs.aggregate(i, .min)) }
    let λ = try inverseMean(q.magnitude, batch, sumOverRanks)
    for i in 0..<n { dqs.setGradient(i, of: qs, .min, times: -T(λ) * perSample) }

    // bc_loss = mean over B of alpha_actor · Σ over A of (p − a)²
    let dp = actor[.policy].outputGradient()
    var distance = T(0)
    for i in 0..<n {
      for c in 0..<dp.columns {
        let ofDistance = squared(p[i, c] - batch.actions[i, c])
        distance += ofDistance.value
        dp[i, c] = αActor * perSample * ofDistance.slope
      }
    }

    guard let figures else { return }
    figures["actor/mse"] = Double(distance * perSample)
    figures["actor/bc_loss"] = Double(αActor) * figures["actor/mse"]
    figures["actor/actor_loss"] = -λ * Double(q.value * perSample)
    figures["actor/total_loss"] = figures["actor/actor_loss"] + figures["actor/bc_loss"]
    // The published policy is a normal distribution of deviation 1 whose mean is taken.
    figures["actor/std"] = Double(T(n) * perSample)
  }

  private func actorBackward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>
  ) {
    let (dp, dq) = (actor[.policy].outputGradient(), critic[.policy].inputGradient)
    for i in 0..<batch.rows {
      for c in 0..<dp.columns {
        // p = tanh(f): ∂p/∂f = 1 − p²
        dp[i, c] = (dq[i, c] + dp[i, c]) * (squashes ? 1 - p[i, c] * p[i, c] : 1)
      }
    }
    actor.backward(parameters, into: gradients)
  }

  // MARK: Acting

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Observations<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    meanReturn(critic, parameters, observation, action)
  }

  public static func policy(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> any Policy<T> {
    DeterministicPolicy<T>(spec, h, rows: rows)
  }

  /// ReBRAC learns no flow of the dataset's actions.
  public static func behaviour(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> (any Policy<T>)? { nil }
}

/// Acts with `actor`, without noise.
private final class DeterministicPolicy<T: Real>: Policy {
  let observations: Observations<T>
  let draws: [Draw] = []
  let noise: [Matrix<T>] = []
  let actions: Matrix<T>
  let networks: NetworkSet<T>
  private let actor: MLP<T>
  private let squashes: Bool

  init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    networks = NetworkSet(ReBRAC<T>.shapes(spec, h), spec, rows: rows)
    actor = networks.network("actor", rows: rows, networks.scratch(rows: 0))
    squashes = h.tanhSquash
    observations = networks.observations()
    actions = networks.matrix(columns: spec.actionSize)
  }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    networks.begin(parameters, rows: n)
    Block(network: actor, rows: 0..<n).place(observations.rows(0..<n))
    actor.forward(parameters, rows: 0..<n)
    actions.rows(0..<n).copy(actor.output().rows(0..<n))
    if squashes { actions.rows(0..<n).replaceEach(T.tanh) }
    actions.rows(0..<n).clip(actions.rows(0..<n))
  }

  var rule: String { "action = clip(\(squashes ? "tanh(actor(observation))" : "actor(observation)"), -1, 1)" }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let state = actor.shape.describeState(observations, in: &graph)
    let output = actor.shape.describe(state, in: &graph)
    return graph.clip(squashes ? graph.apply("Tanh", output) : output)
  }
}
