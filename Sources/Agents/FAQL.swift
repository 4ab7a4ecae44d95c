import Kernels
import Networks

/// Flow-Anchored Q-Learning, FAN without its noise-conditioned value (arXiv 2605.01663, ablations; published code:
/// agents/faql.py): flow anchoring as in `FAN`, and Q-learning with `critic` Q(s, a). There is no `critic_z`, no
/// critic takes noise, and the actor's value is taken at π *unclipped*. Letters as in `FAN`.
public final class FAQL<T: Real>: Agent {
  public static var title: String { "FAQL" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.995", "q-agg": "mean", "alpha1": "10", "alpha2": "0.1",
      "normalize-value-loss": "false", "layer-norm": "true", "actor-layer-norm": "false",
    ]
  }

  public static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    let A = spec.actionSize
    return [
      h.flowShape("actor_bc_flow", spec), h.actorShape("actor_onestep_flow", spec, beside: A, outputs: A),
      h.valueShape("critic", spec, beside: A, hasTarget: true),
    ]
  }

  /// The random inputs of an update.
  private enum Noise: Int { case nextAction, nextTime, flow, flowTime, action, actionTime, log }

  public static func draws(_ spec: DataSpec, _: Hyperparameters) -> [Draw] {
    [
      .noise("critic/next_action_noise", spec), .time("critic/next_time"), .noise("actor/flow_noise", spec),
      .time("actor/flow_time"), .noise("actor/action_noise", spec), .time("actor/action_time"),
      .noise("log/action_noise", spec),
    ]
  }

  public static var figureNames: [String] {
    [
      "critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/actor_loss",
      "actor/bc_flow_loss", "actor/br_loss", "actor/q_loss", "actor/q", "actor/mse",
    ]
  }

  public static var losses: KeyValuePairs<String, String> {
    [
      "critic": "critic/critic_loss", "actor_bc_flow": "actor/bc_flow_loss",
      "actor_onestep_flow": "actor/actor_loss",
    ]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(FAQL.figureNames)

  private let (γ, α1, α2): (T, T, T)
  private let qAgg: Aggregation
  private let normalises: Bool
  private let (actor, flow, critic, target): (Stack<T>, Stack<T>, Stack<T>, Stack<T>)
  /// a′ = clip(π(s′, ε′)), n × A.
  private let aNext: Matrix<T>

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    (γ, α1, α2) = (T(h.discount), T(h.alpha1), T(h.alpha2))
    (qAgg, normalises) = (h.qAgg, h.normalizeValueLoss)
    networks = NetworkSet(Self.shapes(spec, h), spec, rows: rows, stackedRows: 3 * rows)
    actor = networks.stack("actor_onestep_flow", [(.log, .none), (.next, .none), (.policy, .weights)])
    flow = networks.stack("actor_bc_flow", [(.next, .none), (.data, .weights), (.policy, .input)])
    critic = networks.stack("critic", [(.data, .weights), (.policy, .input)])
    target = networks.target("critic", [.next])
    aNext = networks.matrix(columns: spec.actionSize)
  }

  @specialized(where T == Float)
  public func computeLosses(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, target: UnsafePointer<T>,
    gradients: UnsafeMutablePointer<T>?, logging: Bool, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws {
    forward(batch, parameters, target, logging: logging)
    criticLoss(batch, logging ? figures : nil)
    try actorLoss(batch, sumOverRanks, logging ? figures : nil)
    if let gradients { backward(batch, parameters, into: gradients) }
  }

  /// All networks at the parameters from before the update.
  private func forward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, _ targets: UnsafePointer<T>, logging: Bool
  ) {
    let (s, a, sNext, aNext) = (batch.s, batch.a, batch.sNext, aNext.rows(0..<batch.rows))
    let (εNext, ε) = (batch[Noise.nextAction], batch[Noise.action])

    if logging { actor[.log].place(s, batch[Noise.log]) }
    actor[.next].place(sNext, εNext)
    actor[.policy].place(s, ε)
    actor.forward(parameters, from: logging ? .log : .next)
    let π = actor[.policy].output()
    aNext.clip(actor[.next].output())

    // v at x = (1 − t)·ε + t·a on the way from noise to a′, to the dataset's action and to π.
    if α2 != 0 { flow[.next].place(sNext, from: εNext, to: aNext, at: batch[Noise.nextTime]) }
    flow[.data].place(s, from: batch[Noise.flow], to: a, at: batch[Noise.flowTime])
    flow[.policy].place(s, from: ε, to: π, at: batch[Noise.actionTime])
    flow.forward(parameters, from: α2 != 0 ? .next : .data)

    critic[.data].place(s, a)
    critic[.policy].place(s, π)
    critic.forward(parameters)
    target[.next].place(sNext, aNext)
    target.forward(targets)
  }

  // MARK: Critic loss (faql.py, critic_loss)

  private func criticLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let perValue = batch.perSample / 2  // 1 / (E·B)
    let (εNext, v, qNext) = (batch[Noise.nextAction], flow[.next].output(), target[.next].values)
    var loss = T(0)
    for e in 0..<2 {
      let (q, dq) = (critic[.data].output(e), critic[.data].outputGradient(e))
      for i in 0..<batch.rows {
        // br = Σ over A of (a′ − ε′ − v(s′, x, t))², the flow anchoring of the next action
        var br = T(0)
        if α2 != 0 {
          for c in 0..<v.columns { br += squared(aNext[i, c] - εNext[i, c] - v[i, c]).value }
        }
        // q′ = mean or min over E of Q_target(s′, a′);  y = r + γ · mask · (q′ − α₂ · br), sg
        let y = batch.rewards[i] + γ * batch.masks[i] * (qNext.aggregate(i, qAgg) - α2 * br)
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

  // MARK: Actor loss, bc_flow_loss + α₁ · br_loss + q_loss (faql.py, actor_loss)

  private func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout ExactSums) throws -> Void, _ figures: Figures?
  ) throws {
    let (perSample, perElement) = (batch.perSample, batch.perElement)
    let (n, a, x0, ε, π) = (
      batch.rows, batch.a, batch[Noise.flow], batch[Noise.action], actor[.policy].output()
    )
    let (vData, dvData) = (flow[.data].output(), flow[.data].outputGradient())
    let (vPolicy, dvPolicy) = (flow[.policy].output(), flow[.policy].outputGradient())
    var (flowLoss, anchoringLoss) = (T(0), T(0))
    for i in 0..<n {
      for c in 0..<π.columns {
        // bc_flow_loss = mean over B and A of (v(s, x_t, t)θ − (a − x₀))²
        let ofFlow = squared(vData[i, c] - (a[i, c] - x0[i, c]))
        flowLoss += ofFlow.value
        dvData[i, c] = ofFlow.slope * perElement
        // br_loss = mean over B and A of (v(s, x, t) − (π − ε))²: the flow anchoring of the policy
        let ofAnchoring = squared(vPolicy[i, c] - (π[i, c] - ε[i, c]))
        anchoringLoss += ofAnchoring.value
        dvPolicy[i, c] = ofAnchoring.slope * (α1 * perElement)
      }
    }

    // q_loss = −λ · mean of q, q = mean over E of Q(s, π);  λ = sg(1 / mean of |q|) when normalised, else 1
    let (qs, dqs) = (critic[.policy].values, critic[.policy].valueGradients)
    var (q, λ) = (ValueSum<T>(), 1.0)
    for i in 0..<n { q.add(qs.mean(i)) }
    if normalises { λ = try inverseMean(q.magnitude, batch, sumOverRanks) }
    for i in 0..<n { dqs.setGradient(i, of: qs, .mean, times: -T(λ) * perSample) }

    guard let figures else { return }
    figures["actor/bc_flow_loss"] = Double(flowLoss * perElement)
    figures["actor/br_loss"] = Double(anchoringLoss * perElement)
    figures["actor/q"] = Double(q.value * perSample)
    figures["actor/q_loss"] = -λ * figures["actor/q"]
    figures["actor/actor_loss"] =
      figures["actor/bc_flow_loss"] + (Double(α1) * figures["actor/br_loss"] + figures["actor/q_loss"])
    figures["actor/mse"] = actor[.log].clippedError(batch)
  }

  // MARK: Backward

  private func backward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>
  ) {
    critic.backward(parameters, into: gradients)
    flow.backward(parameters, into: gradients)
    let (dπ, t) = (actor[.policy].outputGradient(), batch[Noise.actionTime])
    let (dv, dx) = (flow[.policy].outputGradient(), flow[.policy].inputGradient)
    let dq = critic[.policy].inputGradient
    for i in 0..<batch.rows {
      // The direction π − ε enters br_loss with the opposite sign of v; Q is taken at π itself; x = (1 − t)·ε + t·π.
      for c in 0..<dπ.columns { dπ[i, c] = -dv[i, c] + dq[i, c] + t[i, 0] * dx[i, c] }
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
    OneStepPolicy(shapes(spec, h), spec, rows: rows)
  }

  public static func behaviour(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> (any Policy<T>)? {
    let euler = EulerSteps(steps: publishedFlowSteps, clipsEachStep: false)
    return FlowPolicy("actor_bc_flow", euler, shapes(spec, h), spec, rows: rows)
  }
}
