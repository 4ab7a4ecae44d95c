import Kernels
import Networks

/// Noise-conditioned Behaviour-Regularised Actor-Critic, FAN with ReBRAC's constraint (arXiv 2605.01663, ablations;
/// published code: agents/nbrac.py): the value of `FAN`; policy and critic's target are held to the actions of the
/// dataset themselves, so no flow is learned. Letters as in `FAN`.
public final class NBRAC<T: Real>: Agent {
  public static var title: String { "NBRAC" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.995", "expectile": "0.9", "z-agg": "mean", "alpha1": "10", "alpha2": "10",
      "normalize-value-loss": "false", "layer-norm": "true", "actor-layer-norm": "false",
    ]
  }

  public static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    let A = spec.actionSize
    return [
      h.actorShape("actor_onestep_flow", spec, beside: A, outputs: A),
      h.valueShape("critic", spec, beside: 2 * A, hasTarget: true), h.valueShape("critic_z", spec, beside: A),
    ]
  }

  /// The random inputs of an update.
  private enum Noise: Int { case nextAction, target, action, value, log }

  public static func draws(_ spec: DataSpec, _: Hyperparameters) -> [Draw] {
    [
      .noise("critic/next_action_noise", spec), .noise("critic/target_noise", spec),
      .noise("actor/action_noise", spec), .noise("actor/value_noise", spec), .noise("log/action_noise", spec),
    ]
  }

  public static var figureNames: [String] {
    [
      "critic/critic_loss", "critic/q_loss", "critic/z_loss", "critic/br_mse", "critic/q_mean",
      "critic/q_max", "critic/q_min", "critic/z_mean", "critic/z_max", "critic/z_min", "actor/actor_loss",
      "actor/br_loss", "actor/q_loss", "actor/z_loss", "actor/q", "actor/z", "actor/mse",
    ]
  }

  public static var losses: KeyValuePairs<String, String> {
    ["critic": "critic/q_loss", "critic_z": "critic/z_loss", "actor_onestep_flow": "actor/actor_loss"]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(NBRAC.figureNames)

  private let (γ, expectile, α1, α2): (T, T, T, T)
  private let zAgg: Aggregation
  private let normalises: Bool
  private let (actor, critic, criticZ, target): (Stack<T>, Stack<T>, Stack<T>, Stack<T>)
  /// a′ = clip(π(s′, ε′)) and π_c = clip(π(s, ε)), n × A.
  private let (aNext, πc): (Matrix<T>, Matrix<T>)
  /// Σ over A of (a′ − a′_data)² of each row.
  private let distance: UnsafeMutablePointer<T>

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    (γ, expectile, α1, α2) = (T(h.discount), T(h.expectile), T(h.alpha1), T(h.alpha2))
    (zAgg, normalises) = (h.zAgg, h.normalizeValueLoss)
    networks = NetworkSet(Self.shapes(spec, h), spec, rows: rows, stackedRows: 3 * rows)
    actor = networks.stack("actor_onestep_flow", [(.log, .none), (.next, .none), (.policy, .weights)])
    criticZ = networks.stack("critic_z", [(.next, .none), (.data, .weights), (.policy, .input)])
    critic = networks.stack("critic", [(.data, .weights), (.policy, .input)])
    target = networks.target("critic", [.data])
    (aNext, πc) = (networks.matrix(columns: spec.actionSize), networks.matrix(columns: spec.actionSize))
    distance = networks.vector()
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
    let εNext = batch[Noise.nextAction]

    if logging { actor[.log].place(s, batch[Noise.log]) }
    actor[.next].place(sNext, εNext)
    actor[.policy].place(s, batch[Noise.action])
    actor.forward(parameters, from: logging ? .log : .next)
    aNext.clip(actor[.next].output())
    πc.clip(actor[.policy].output())

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

  // MARK: Critic loss, q_loss + z_loss (nbrac.py, critic_loss)

  private func criticLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let perValue = batch.perSample / 2  // 1 / (E·B)
    // Σ over A of (a′ − a′_data)², the distance of the next action to the dataset's
    for i in 0..<batch.rows {
      distance[i] = 0
      for c in 0..<aNext.columns { distance[i] += squared(aNext[i, c] - batch.nextActions[i, c]).value }
    }
    let (zNext, qTarget) = (criticZ[.next].values, target[.data].values)
    var (qLoss, zLoss) = (T(0), T(0))
    for e in 0..<2 {
      let (q, dq) = (critic[.data].output(e), critic[.data].outputGradient(e))
      let (z, dz) = (criticZ[.data].output(e), criticZ[.data].outputGradient(e))
      for i in 0..<batch.rows {
        // z′ = mean or min over E of Z(s′, a′);  y = r + γ · mask · (z′ − α₂ · Σ_A (a′ − a′_data)²), sg
        let y = batch.rewards[i] + γ * batch.masks[i] * (zNext.aggregate(i, zAgg) - α2 * distance[i])
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
    figures["critic/br_mse"] = (0..<batch.rows).reduce(0) { $0 + Double(distance[$1] * batch.perSample) }
    critic[.data].values.log("critic/q", batch, figures)
    criticZ[.data].values.log("critic/z", batch, figures)
  }

  // MARK: Actor loss, α₁ · br_loss + q_loss + z_loss (nbrac.py, actor_loss)

  private func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout ExactSums) throws -> Void, _ figures: Figures?
  ) throws {
    let perSample = batch.perSample
    let (n, π, dπ) = (batch.rows, actor[.policy].output(), actor[.policy].outputGradient())
    var constraint = T(0)
    for i in 0..<n {
      for c in 0..<π.columns {
        // br_loss = mean over B of Σ over A of (clip(π(s, ε)θ) − a)²
        let ofConstraint = squared(πc[i, c] - batch.actions[i, c])
        constraint += ofConstraint.value
        dπ[i, c] = abs(π[i, c]) <= 1 ? α1 * ofConstraint.slope * perSample : 0
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
    figures["actor/br_loss"] = Double(constraint * perSample)
    figures["actor/q"] = Double(q.value * perSample)
    figures["actor/z"] = Double(z.value * perSample)
    figures["actor/q_loss"] = -λ.x * figures["actor/q"]
    figures["actor/z_loss"] = -λ.y * figures["actor/z"]
    figures["actor/actor_loss"] =
      Double(α1) * figures["actor/br_loss"] + figures["actor/q_loss"] + figures["actor/z_loss"]
    figures["actor/mse"] = actor[.log].clippedError(batch)
  }

  // MARK: Backward

  private func backward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>
  ) {
    critic.backward(parameters, into: gradients)
    criticZ.backward(parameters, into: gradients)
    let (π, dπ) = (actor[.policy].output(), actor[.policy].outputGradient())
    let (dq, dz) = (critic[.policy].inputGradient, criticZ[.policy].inputGradient)
    for i in 0..<batch.rows {
      // π_c = clip(π): no gradient passes where π is clipped.
      for c in 0..<π.columns where abs(π[i, c]) <= 1 { dπ[i, c] = dπ[i, c] + dq[i, c] + dz[i, c] }
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

  /// NBRAC learns no flow of the dataset's actions.
  public static func behaviour(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> (any Policy<T>)? { nil }
}
