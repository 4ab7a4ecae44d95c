import Kernels
import Networks

/// Flow-Anchored Noise-conditioned Q-learning (arXiv 2605.01663; published code: agents/fan.py of brianlsy98/FAN).
///
/// - `actor_onestep_flow`: the policy, a = π(s, ε), one forward pass per action.
/// - `actor_bc_flow`: the velocity field v(s, x, t) of a flow that models the dataset's actions. The policy is
///   anchored to it by comparing directions at one random time; it is never integrated in training.
/// - `critic`: Q(s, a, ε), which over random ε represents the distribution of returns.
/// - `critic_z`: Z(s, a), the upper expectile of Q(s, a, ε) over ε.
///
/// In comments: B samples of the batch over all ranks, A components of an action, E = 2 members of an ensemble, sg a
/// stopped gradient, θ behind the network that a term trains. Gradients are named after their values: `dq` is that of
/// the loss with respect to `q`.
public final class FAN<T: Real>: Agent {
  public static var title: String { "FAN" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.995", "expectile": "0.9", "z-agg": "mean", "alpha1": "10", "alpha2": "10",
      "normalize-value-loss": "false", "layer-norm": "true", "actor-layer-norm": "false",
    ]
  }

  public static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    let A = spec.actionSize
    return [
      h.flowShape("actor_bc_flow", spec), h.actorShape("actor_onestep_flow", spec, beside: A, outputs: A),
      h.valueShape("critic", spec, beside: 2 * A, hasTarget: true), h.valueShape("critic_z", spec, beside: A),
    ]
  }

  /// The random inputs of an update.
  private enum Noise: Int {
    case nextAction, nextTime, target, flow, flowTime, action, actionTime, value, log
  }

  public static func draws(_ spec: DataSpec, _: Hyperparameters) -> [Draw] {
    [
      .noise("critic/next_action_noise", spec), .time("critic/next_time"),
      .noise("critic/target_noise", spec), .noise("actor/flow_noise", spec), .time("actor/flow_time"),
      .noise("actor/action_noise", spec), .time("actor/action_time"), .noise("actor/value_noise", spec),
      .noise("log/action_noise", spec),
    ]
  }

  public static var figureNames: [String] {
    [
      "critic/critic_loss", "critic/q_loss", "critic/z_loss", "critic/br_mse", "critic/q_mean",
      "critic/q_max", "critic/q_min", "critic/z_mean", "critic/z_max", "critic/z_min", "actor/actor_loss",
      "actor/bc_flow_loss", "actor/br_loss", "actor/q_loss", "actor/z_loss", "actor/q", "actor/z",
      "actor/mse",
    ]
  }

  public static var losses: KeyValuePairs<String, String> {
    [
      "critic": "critic/q_loss", "critic_z": "critic/z_loss", "actor_bc_flow": "actor/bc_flow_loss",
      "actor_onestep_flow": "actor/actor_loss",
    ]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(FAN.figureNames)

  private let (γ, expectile, α1, α2): (T, T, T, T)
  private let zAgg: Aggregation
  private let normalises: Bool
  private let (actor, flow, critic, criticZ, target): (Stack<T>, Stack<T>, Stack<T>, Stack<T>, Stack<T>)
  /// a′ = clip(π(s′, ε′)) and π_c = clip(π(s, ε)), n × A.
  private let (aNext, πc): (Matrix<T>, Matrix<T>)
  /// Σ_A (a′ − ε′ − v(s′, x, t))² of each row.
  private let br: UnsafeMutablePointer<T>

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    (γ, expectile, α1, α2) = (T(h.discount), T(h.expectile), T(h.alpha1), T(h.alpha2))
    (zAgg, normalises) = (h.zAgg, h.normalizeValueLoss)
    networks = NetworkSet(Self.shapes(spec, h), spec, rows: rows, stackedRows: 3 * rows)
    actor = networks.stack("actor_onestep_flow", [(.log, .none), (.next, .none), (.policy, .weights)])
    flow = networks.stack("actor_bc_flow", [(.next, .none), (.data, .weights), (.policy, .input)])
    criticZ = networks.stack("critic_z", [(.next, .none), (.data, .weights), (.policy, .input)])
    critic = networks.stack("critic", [(.data, .weights), (.policy, .input)])
    target = networks.target("critic", [.data])
    (aNext, πc) = (networks.matrix(columns: spec.actionSize), networks.matrix(columns: spec.actionSize))
    br = networks.vector()
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
    let (s, a, sNext) = (batch.s, batch.a, batch.sNext)
    let (aNext, πc) = (aNext.rows(0..<batch.rows), πc.rows(0..<batch.rows))
    let (εNext, ε) = (batch[Noise.nextAction], batch[Noise.action])

    if logging { actor[.log].place(s, batch[Noise.log]) }
    actor[.next].place(sNext, εNext)
    actor[.policy].place(s, ε)
    actor.forward(parameters, from: logging ? .log : .next)
    let π = actor[.policy].output()
    aNext.clip(actor[.next].output())
    πc.clip(π)

    // v at x = (1 − t)·ε + t·a on the way from noise to a′, to the dataset's action and to π.
    let anchorsNext = α2 != 0 || logging
    if anchorsNext { flow[.next].place(sNext, from: εNext, to: aNext, at: batch[Noise.nextTime]) }
    flow[.data].place(s, from: batch[Noise.flow], to: a, at: batch[Noise.flowTime])
    flow[.policy].place(s, from: ε, to: π, at: batch[Noise.actionTime])
    flow.forward(parameters, from: anchorsNext ? .next : .data)

    criticZ[.next].place(sNext, aNext)
    criticZ[.data].place(s, a)
    criticZ[.policy].place(s, πc)
    criticZ.forward(parameters)
    critic[.data].place(s, a, εNext)
    critic[.policy].place(s, πc, batch[Noise.value])
    critic.forward(parameters)
    target[.data].place(s, a, batch[Noise.target])
    target.forward(targets)
  }

  // MARK: Critic loss, q_loss + z_loss (fan.py, critic_loss)

  private func criticLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let perValue = batch.perSample / 2  // 1 / (E·B)
    if α2 != 0 || figures != nil { anchorNextAction(batch) }
    let (zNext, qTarget) = (criticZ[.next].values, target[.data].values)
    var (qLoss, zLoss) = (T(0), T(0))
    for e in 0..<2 {
      let (q, dq) = (critic[.data].output(e), critic[.data].outputGradient(e))
      let (z, dz) = (criticZ[.data].output(e), criticZ[.data].outputGradient(e))
      for i in 0..<batch.rows {
        // z′ = mean or min over E of Z(s′, a′);  y = r + γ · mask · (z′ − α₂ · br), sg
        let penalty = α2 != 0 ? α2 * br[i] : 0
        let y = batch.rewards[i] + γ * batch.masks[i] * (zNext.aggregate(i, zAgg) - penalty)
        // q_loss = mean over E and B of (Q(s, a, ε′)θ − y)²
        let ofQ = squared(q[i, 0] - y)
        qLoss += ofQ.value
        dq[i, 0] = ofQ.slope * perValue
        // y_z = mean over E of Q_target(s, a, ε), sg;  z_loss = mean of w · d², d = y_z − Z(s, a)θ
        let ofZ = expectileSquared(qTarget.mean(i) - z[i, 0], expectile)
        zLoss += ofZ.value
        dz[i, 0] = -ofZ.slope * perValue
      }
    }
    guard let figures else { return }
    figures["critic/q_loss"] = Double(qLoss * perValue)
    figures["critic/z_loss"] = Double(zLoss * perValue)
    figures["critic/critic_loss"] = figures["critic/q_loss"] + figures["critic/z_loss"]
    figures["critic/br_mse"] = (0..<batch.rows).reduce(0) { $0 + Double(br[$1] * batch.perSample) }
    critic[.data].values.log("critic/q", batch, figures)
    criticZ[.data].values.log("critic/z", batch, figures)
  }

  /// br = Σ over A of (a′ − ε′ − v(s′, x, t))², the flow anchoring of the next action.
  private func anchorNextAction(_ batch: Batch<T>) {
    let (εNext, v) = (batch[Noise.nextAction], flow[.next].output())
    for i in 0..<batch.rows {
      br[i] = 0
      for c in 0..<v.columns { br[i] += squared(aNext[i, c] - εNext[i, c] - v[i, c]).value }
    }
  }

  // MARK: Actor loss, bc_flow_loss + α₁ · br_loss + q_loss + z_loss (fan.py, actor_loss)

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

    // q_loss = −λ_q · mean of q, q = mean over E of Q(s, π_c, ε_q);  z_loss = −λ_z · mean of z, z likewise of Z(s, π_c);
    // λ = sg(1 / mean of |·|) when normalised, else 1
    let (qs, zs) = (critic[.policy].values, criticZ[.policy].values)
    var (q, z, λ) = (ValueSum<T>(), ValueSum<T>(), SIMD2<Double>(1, 1))
    for i in 0..<n { q.add(qs.mean(i)) }
    for i in 0..<n { z.add(zs.mean(i)) }
    if normalises {
      var magnitudes = ExactSums(q.magnitude, z.magnitude)
      try sumOverRanks(&magnitudes)
      λ = SIMD2(repeating: Double(batch.globalRows)) / magnitudes.values
    }
    let (dqs, dzs) = (critic[.policy].valueGradients, criticZ[.policy].valueGradients)
    for i in 0..<n {
      dqs.setGradient(i, of: qs, .mean, times: -T(λ.x) * perSample)
      dzs.setGradient(i, of: zs, .mean, times: -T(λ.y) * perSample)
    }

    guard let figures else { return }
    figures["actor/bc_flow_loss"] = Double(flowLoss * perElement)
    figures["actor/br_loss"] = Double(anchoringLoss * perElement)
    figures["actor/q"] = Double(q.value * perSample)
    figures["actor/z"] = Double(z.value * perSample)
    figures["actor/q_loss"] = -λ.x * figures["actor/q"]
    figures["actor/z_loss"] = -λ.y * figures["actor/z"]
    figures["actor/actor_loss"] =
      figures["actor/bc_flow_loss"]
      + (Double(α1) * figures["actor/br_loss"] + figures["actor/q_loss"] + figures["actor/z_loss"])
    figures["actor/mse"] = actor[.log].clippedError(batch)
  }

  // MARK: Backward

  private func backward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>
  ) {
    critic.backward(parameters, into: gradients)
    criticZ.backward(parameters, into: gradients)
    flow.backward(parameters, into: gradients)
    let (π, dπ, t) = (actor[.policy].output(), actor[.policy].outputGradient(), batch[Noise.actionTime])
    let (dv, dx) = (flow[.policy].outputGradient(), flow[.policy].inputGradient)
    let (dq, dz) = (critic[.policy].inputGradient, criticZ[.policy].inputGradient)
    for i in 0..<batch.rows {
      for c in 0..<π.columns {
        // The direction π − ε enters br_loss with the opposite sign of v.
        dπ[i, c] = -dv[i, c]
        // π_c = clip(π): no gradient passes where π is clipped.
        if abs(π[i, c]) <= 1 {
          dπ[i, c] += dq[i, c]
          dπ[i, c] += dz[i, c]
        }
        // x = (1 − t)·ε + t·π
        dπ[i, c] += t[i, 0] * dx[i, c]
      }
    }
    actor.backward(parameters, into: gradients)
  }

  // MARK: Acting

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Observations<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    noisyReturns(critic, criticZ, parameters, observation, action, noise: noise)
  }

  public static func policy(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> any Policy<T> {
    OneStepPolicy(shapes(spec, h), spec, rows: rows)
  }

  public static func behaviour(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> (any Policy<T>)? {
    let euler = EulerSteps(steps: publishedFlowSteps, clipsEachStep: false)
    return FlowPolicy("actor_bc_flow", euler, shapes(spec, h), spec, rows: rows)
  }
}
