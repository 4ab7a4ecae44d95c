import Kernels
import Networks

/// Flow Q-Learning (arXiv 2502.02538; published code: agents/fql.py of seohongpark/fql): Q-learning with `critic`
/// Q(s, a); the policy is pulled to where the behaviour flow ends, integrated over `flow-steps` Euler steps. Letters as
/// in `FAN`.
public final class FQL<T: Real>: Agent {
  public static var title: String { "FQL" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.99", "q-agg": "mean", "alpha": "10", "flow-steps": "10", "normalize-q-loss": "false",
      "layer-norm": "true", "actor-layer-norm": "false",
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
  private enum Noise: Int { case nextAction, flow, flowTime, action, log }

  public static func draws(_ spec: DataSpec, _: Hyperparameters) -> [Draw] {
    [
      .noise("critic/next_action_noise", spec), .noise("actor/flow_noise", spec), .time("actor/flow_time"),
      .noise("actor/action_noise", spec), .noise("log/action_noise", spec),
    ]
  }

  public static var figureNames: [String] {
    [
      "critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/actor_loss",
      "actor/bc_flow_loss", "actor/distill_loss", "actor/q_loss", "actor/q", "actor/mse",
    ]
  }

  public static var losses: KeyValuePairs<String, String> {
    [
      "critic": "critic/critic_loss", "actor_bc_flow": "actor/bc_flow_loss",
      "actor_onestep_flow": "actor/actor_loss",
    ]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(FQL.figureNames)

  private let (γ, α): (T, T)
  private let qAgg: Aggregation
  private let normalises: Bool
  private let euler: EulerSteps
  private let (actor, flow, critic, target): (Stack<T>, Stack<T>, Stack<T>, Stack<T>)
  /// a′ = clip(π(s′, ε′)), π_c = clip(π(s, ε)), and where the flow from ε ends, n × A.
  private let (aNext, πc, flowEnd): (Matrix<T>, Matrix<T>, Matrix<T>)

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    (γ, α) = (T(h.discount), T(h.alpha))
    (qAgg, normalises) = (h.qAgg, h.normalizeQLoss)
    euler = EulerSteps(steps: h.flowSteps, clipsEachStep: false)
    networks = NetworkSet(Self.shapes(spec, h), spec, rows: rows, stackedRows: 3 * rows)
    actor = networks.stack("actor_onestep_flow", [(.log, .none), (.next, .none), (.policy, .weights)])
    flow = networks.stack("actor_bc_flow", [(.integrated, .none), (.data, .weights)])
    critic = networks.stack("critic", [(.data, .weights), (.policy, .input)])
    target = networks.target("critic", [.next])
    let A = spec.actionSize
    (aNext, πc, flowEnd) = (
      networks.matrix(columns: A), networks.matrix(columns: A), networks.matrix(columns: A)
    )
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
    let (s, a, sNext, rows) = (batch.s, batch.a, batch.sNext, 0..<batch.rows)
    let (aNext, πc) = (aNext.rows(rows), πc.rows(rows))
    let (εNext, ε) = (batch[Noise.nextAction], batch[Noise.action])

    if logging { actor[.log].place(s, batch[Noise.log]) }
    actor[.next].place(sNext, εNext)
    actor[.policy].place(s, ε)
    actor.forward(parameters, from: logging ? .log : .next)
    aNext.clip(actor[.next].output())
    πc.clip(actor[.policy].output())

    // v at x_t = (1 − t)·x₀ + t·a, in one product with the first step of the flow from ε.
    flow[.data].place(s, from: batch[Noise.flow], to: a, at: batch[Noise.flowTime])
    euler.integrate(flow[.integrated], parameters, s, from: ε, into: flowEnd.rows(rows)) {
      flow.forward(parameters)
    }

    critic[.data].place(s, a)
    critic[.policy].place(s, πc)
    critic.forward(parameters)
    target[.next].place(sNext, aNext)
    target.forward(targets)
  }

  // MARK: Critic loss (fql.py, critic_loss)

  private func criticLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let perValue = batch.perSample / 2  // 1 / (E·B)
    let qNext = target[.next].values
    var loss = T(0)
    for e in 0..<2 {
      let (q, dq) = (critic[.data].output(e), critic[.data].outputGradient(e))
      for i in 0..<batch.rows {
        // q′ = mean or min over E of Q_target(s′, a′);  y = r + γ · mask · q′, sg
        let y = batch.rewards[i] + γ * batch.masks[i] * qNext.aggregate(i, qAgg)
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

  // MARK: Actor loss, bc_flow_loss + α · distill_loss + q_loss (fql.py, actor_loss)

  private func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout ExactSums) throws -> Void, _ figures: Figures?
  ) throws {
    let (perSample, perElement) = (batch.perSample, batch.perElement)
    let (n, a, x0) = (batch.rows, batch.a, batch[Noise.flow])
    let (v, dv) = (flow[.data].output(), flow[.data].outputGradient())
    let (π, dπ) = (actor[.policy].output(), actor[.policy].outputGradient())
    var (flowLoss, distance) = (T(0), T(0))
    for i in 0..<n {
      for c in 0..<π.columns {
        // bc_flow_loss = mean over B and A of (v(s, x_t, t)θ − (a − x₀))²
        let ofFlow = squared(v[i, c] - (a[i, c] - x0[i, c]))
        flowLoss += ofFlow.value
        dv[i, c] = ofFlow.slope * perElement
        // distill_loss = mean over B and A of (π(s, ε)θ − sg(flow(s, ε)))²
        let ofDistance = squared(π[i, c] - flowEnd[i, c])
        distance += ofDistance.value
        dπ[i, c] = α * ofDistance.slope * perElement
      }
    }

    // q_loss = −λ · mean of q, q = mean over E of Q(s, π_c);  λ = sg(1 / mean of |q|) when normalised, else 1
    let (qs, dqs) = (critic[.policy].values, critic[.policy].valueGradients)
    var (q, λ) = (ValueSum<T>(), 1.0)
    for i in 0..<n { q.add(qs.mean(i)) }
    if normalises { λ = try inverseMean(q.magnitude, batch, sumOverRanks) }
    for i in 0..<n { dqs.setGradient(i, of: qs, .mean, times: -T(λ) * perSample) }

    guard let figures else { return }
    figures["actor/bc_flow_loss"] = Double(flowLoss * perElement)
    figures["actor/distill_loss"] = Double(distance * perElement)
    figures["actor/q"] = Double(q.value * perSample)
    figures["actor/q_loss"] = -λ * figures["actor/q"]
    figures["actor/actor_loss"] =
      figures["actor/bc_flow_loss"] + (Double(α) * figures["actor/distill_loss"] + figures["actor/q_loss"])
    figures["actor/mse"] = actor[.log].clippedError(batch)
  }

  // MARK: Backward

  private func backward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>
  ) {
    critic.backward(parameters, into: gradients)
    flow.backward(parameters, into: gradients)
    let (π, dπ) = (actor[.policy].output(), actor[.policy].outputGradient())
    let dq = critic[.policy].inputGradient
    for i in 0..<batch.rows {
      // π_c = clip(π): no gradient passes where π is clipped.
      for c in 0..<π.columns where abs(π[i, c]) <= 1 { dπ[i, c] += dq[i, c] }
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
    let euler = EulerSteps(steps: h.flowSteps, clipsEachStep: false)
    return FlowPolicy("actor_bc_flow", euler, shapes(spec, h), spec, rows: rows)
  }
}
