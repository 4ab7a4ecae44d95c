import Kernels
import Networks

/// Conservative Offline Distributional Actor-Critic (arXiv 2107.06106; published code: agents/codac.py of
/// chongyi-zheng/value-flows) with a one-step flow policy: IQN's critic, whose quantiles are pushed down at actions that
/// the policy or chance prefers to the dataset's, and FQL's constraint.
///
/// - `actor_flow`: the velocity field v(s, x, t) of a flow that models the dataset's actions.
/// - `actor_onestep_flow`: the policy, a = π(s, ε).
/// - `critic`: Z(s, a, τ), with a target.
///
/// Letters as in `FAN`; K quantiles, M random actions and as many of the policy for each sample. Samples go through the
/// critic in tiles.
public final class CODAC<T: Real>: Agent {
  public static var title: String { "CODAC" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.99", "num-quantiles": "16", "quantile-agg": "mean", "kappa": "0.9", "num-cosines": "64",
      "embedding-dim": "512", "alpha-penalty": "0.1", "num-logsumexp-samples": "10", "alpha": "10",
      "flow-steps": "10", "clip-flow-actions": "true", "normalize-q-loss": "false", "layer-norm": "true",
      "actor-layer-norm": "true",
    ]
  }

  public static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    let A = spec.actionSize
    return [
      h.flowShape("actor_flow", spec), h.actorShape("actor_onestep_flow", spec, beside: A, outputs: A),
    ] + QuantileCritic<T>.shapes(spec, h)
  }

  /// The random inputs of an update.
  private enum Noise: Int {
    case taus, penaltyTau, nextAction, nextTaus, randomActions, penaltyActions, trace
    case flow, flowTime, action, actorTaus
  }

  public static func draws(_ spec: DataSpec, _ h: Hyperparameters) -> [Draw] {
    let K = h.numQuantiles
    let several = h.numLogsumexpSamples * spec.actionSize
    return [
      Draw("critic/taus", .uniform, width: K), Draw("critic/penalty_tau_index", .below(K), width: 1),
      .noise("critic/next_action_noise", spec), Draw("critic/next_taus", .uniform, width: K),
      Draw("critic/random_actions", .symmetric, width: several),
      Draw("critic/penalty_action_noise", .normal, width: several),
      Draw("critic/trace_noise", .normal, width: several), .noise("actor/flow_noise", spec),
      .time("actor/flow_time"), .noise("actor/action_noise", spec),
      Draw("actor/taus", .uniform, width: K),
    ]
  }

  public static var figureNames: [String] {
    [
      "critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/actor_loss",
      "actor/bc_flow_loss", "actor/distill_loss", "actor/q_loss", "actor/q_mean", "actor/q_abs_mean",
    ]
  }

  public static var losses: KeyValuePairs<String, String> {
    [
      "critic": "critic/critic_loss", "actor_flow": "actor/bc_flow_loss",
      "actor_onestep_flow": "actor/actor_loss",
    ]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(CODAC.figureNames)

  private let (γ, κ, α, αPenalty): (T, T, T, T)
  private let normalises: Bool
  /// K and M.
  private let (quantiles, penalised): (Int, Int)
  private let aggregation: Aggregation
  private let tiling: Tiling
  private let euler: EulerSteps
  private let (actor, flow): (Stack<T>, Stack<T>)
  private let (critic, target): (QuantileCritic<T>, QuantileCritic<T>)
  private let penaltyActions: DensityActions<T>
  /// a′, π_c, where the flow from ε ends, and the gradient of −mean q with respect to π_c, n × A.
  private let (aNext, πc, flowEnd, dq): (Matrix<T>, Matrix<T>, Matrix<T>, Matrix<T>)
  /// y, n × K.
  private let y: Matrix<T>
  /// Sums over the tiles of an update.
  private var sums = Sums()

  private struct Sums {
    var (regression, penalty) = (T(0), T(0))
    var q = ValueSum<T>()
    /// Means over the quantiles of each sample and member.
    var means = Spread<T>()
  }

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    let (K, M, A) = (h.numQuantiles, h.numLogsumexpSamples, spec.actionSize)
    (γ, κ, α, αPenalty) = (T(h.discount), T(h.kappa), T(h.alpha), T(h.alphaPenalty))
    (quantiles, penalised, aggregation, normalises) = (K, M, h.quantileAgg, h.normalizeQLoss)
    euler = EulerSteps(steps: h.flowSteps, clipsEachStep: h.clipFlowActions)
    tiling = Tiling(samples: rows, rowsPerSample: 2 * K + 2 * M)
    networks = NetworkSet(Self.shapes(spec, h), spec, rows: rows, stackedRows: 3 * rows)
    actor = networks.stack("actor_onestep_flow", [(.next, .none), (.policy, .weights)])
    penaltyActions = DensityActions(spec, h, rows: rows, perRow: M, in: networks)
    flow = networks.stack("actor_flow", [(.integrated, .none), (.data, .weights)])
    let m = tiling.samples
    let scratch = networks.scratch(rows: m * (2 * K + 2 * M))
    target = QuantileCritic(
      spec, h, .init(actions: m, taus: m * K, pairs: m * K), isTarget: true, trains: false, scratch,
      in: networks)
    critic = QuantileCritic(
      spec, h, .init(actions: m * (2 + 2 * M), taus: m * 2 * K, pairs: m * (2 * K + 2 * M)), trains: true,
      scratch, in: networks)
    (aNext, πc) = (networks.matrix(columns: A), networks.matrix(columns: A))
    (flowEnd, dq) = (networks.matrix(columns: A), networks.matrix(columns: A))
    y = networks.matrix(columns: K)
  }

  @specialized(where T == Float)
  public func computeLosses(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, target targets: UnsafePointer<T>,
    gradients: UnsafeMutablePointer<T>?, logging: Bool, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws {
    forwardActor(batch, parameters)
    setTargets(batch, targets)
    criticPasses(batch, parameters, into: gradients)
    try actorLoss(batch, sumOverRanks, logging ? figures : nil)
    if logging { logCritic(batch) }
    guard let gradients else { return }
    flow.backward(parameters, into: gradients)
    actor.backward(parameters, into: gradients)
  }

  /// π(s′, ε), π(s, ε) and the M actions of the penalty; the behaviour flow.
  private func forwardActor(_ batch: Batch<T>, _ parameters: UnsafePointer<T>) {
    let (s, rows, ε) = (batch.s, 0..<batch.rows, batch[Noise.action])
    actor[.next].place(batch.sNext, batch[Noise.nextAction])
    actor[.policy].place(s, ε)
    actor.forward(parameters)
    aNext.rows(rows).clip(actor[.next].output())
    πc.rows(rows).clip(actor[.policy].output())
    penaltyActions.forward(
      parameters, s, noise: batch[Noise.penaltyActions], trace: batch[Noise.trace])

    flow[.data].place(s, from: batch[Noise.flow], to: batch.a, at: batch[Noise.flowTime])
    euler.integrate(flow[.integrated], parameters, s, from: ε, into: flowEnd.rows(rows)) {
      flow.forward(parameters)
    }
  }

  // MARK: Critic loss (codac.py, critic_loss)

  /// y_j = r + γ · Z_target(s′, a′, τ′_j), sg; Z the mean or min over E. The published target has no mask.
  private func setTargets(_ batch: Batch<T>, _ targets: UnsafePointer<T>) {
    let (K, taus) = (quantiles, batch[Noise.nextTaus])
    tiling.forEach(0..<batch.rows) { samples in
      target.clear()
      for i in samples {
        let action = target.add(batch.nextObservations, i, aNext.row(i))
        target.pair(action, target.add(taus: taus.row(i), count: K), count: K)
      }
      target.embedTaus(targets)
      target.forward(targets)
      let zNext = target.values(0..<target.pairs)
      for (t, i) in samples.enumerated() {
        for k in 0..<K { y[i, k] = batch.rewards[i] + γ * zNext.aggregate(t * K + k, aggregation) }
      }
    }
  }

  /// All that goes through the critic, tile by tile: for each sample K pairs at (s, a) and 2M of the penalty, which
  /// train it, and K pairs at (s, π_c), through which the actor learns.
  private func criticPasses(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>?
  ) {
    sums = Sums()
    tiling.forEach(0..<batch.rows, within: gradients == nil ? nil : networks.chunks) { samples in
      critic.clear()
      placeData(samples, batch)
      let trained = placePenalty(samples, batch)
      placePolicy(samples, batch)
      critic.embedTaus(parameters)
      critic.forward(parameters)
      regress(samples, batch)
      penalise(samples, batch)
      ascend(samples, firstPair: trained.pairs, batch)
      guard let gradients else { return }
      critic.backward(
        parameters, into: gradients, trained: trained, samples: samples)
      for (t, i) in samples.enumerated() {
        dq.row(i).update(from: critic.actionGradient(trained.actions + t), count: dq.columns)
      }
    }
  }

  private func placeData(_ samples: Range<Int>, _ batch: Batch<T>) {
    let (K, taus) = (quantiles, batch[Noise.taus])
    for i in samples {
      let action = critic.add(batch.observations, i, batch.actions.row(i))
      critic.pair(action, critic.add(taus: taus.row(i), count: K), count: K)
    }
  }

  /// For each sample M random actions and M of the policy, all at one of the sample's quantiles. Returns how much of
  /// the tile trains the critic.
  private func placePenalty(_ samples: Range<Int>, _ batch: Batch<T>) -> QuantileCritic<T>.Capacity {
    let (K, M) = (quantiles, penalised)
    let (random, picked) = (batch[Noise.randomActions], batch[Noise.penaltyTau])
    for (t, i) in samples.enumerated() {
      let s = batch.observations
      let tau = t * K + Int(picked[i, 0])
      for j in 0..<M { critic.pair(critic.add(s, i, random.row(i) + j * dq.columns), tau, count: 1) }
      for j in 0..<M { critic.pair(critic.add(s, i, penaltyActions.actions.row(i * M + j)), tau, count: 1) }
    }
    return .init(actions: samples.count * (1 + 2 * M), taus: samples.count * K, pairs: critic.pairs)
  }

  private func placePolicy(_ samples: Range<Int>, _ batch: Batch<T>) {
    let (K, taus) = (quantiles, batch[Noise.actorTaus])
    for i in samples {
      let action = critic.add(batch.observations, i, πc.row(i))
      critic.pair(action, critic.add(taus: taus.row(i), count: K), count: K)
    }
  }

  /// Mean over E, B and j of Σ_i |τ_i − [d_ij < 0]| · Huber(d_ij) / κ, d_ij = y_j − Z(s, a, τ_i)θ.
  private func regress(_ samples: Range<Int>, _ batch: Batch<T>) {
    let (K, taus) = (quantiles, batch[Noise.taus])
    let perTerm = batch.perSample / T(2 * K)  // 1 / (E·B·K)
    let pairs = 0..<samples.count * K
    let (values, gradients) = (critic.values(pairs), critic.valueGradients(pairs))
    var loss = sums.regression
    for e in 0..<2 {
      let (z, dz) = (values[e], gradients[e])
      for (t, i) in samples.enumerated() {
        var mean = T(0)
        for k in 0..<K {
          mean += z[t * K + k, 0] / T(K)
          var slope = T(0)
          for j in 0..<K {
            let term = quantileHuber(y[i, j] - z[t * K + k, 0], level: taus[i, k], threshold: κ)
            loss += perTerm * term.value
            slope -= term.slope
          }
          dz[t * K + k, 0] = perTerm * slope
        }
        sums.means.add(mean)
      }
    }
    sums.regression = loss
  }

  /// alpha_penalty · mean over E and B of (log Σ exp of (Z − log-density) over the 2M pairs − mean over K of Z(s, a)).
  /// Sets the gradients of the former, and adds those of the latter.
  private func penalise(_ samples: Range<Int>, _ batch: Batch<T>) {
    let (K, M) = (quantiles, penalised)
    let weight = αPenalty * batch.perSample
    let ofRandom = T(dq.columns) * T.log(0.5)
    for (t, i) in samples.enumerated() {
      let first = samples.count * K + t * 2 * M
      let (z, dz) = (critic.values(first..<first + 2 * M), critic.valueGradients(first..<first + 2 * M))
      func score(_ j: Int) -> T {
        z.aggregate(j, aggregation) - (j < M ? ofRandom : penaltyActions.logDensities[i * M + j - M])
      }
      let largest = (0..<2 * M).reduce(-T.infinity) { max($0, score($1)) }
      let sum = (0..<2 * M).reduce(T(0)) { $0 + T.exp(score($1) - largest) }
      // ∂ log Σ exp / ∂ score_j = exp(score_j) / Σ exp
      for j in 0..<2 * M {
        dz.setGradient(j, of: z, aggregation, times: weight * T.exp(score(j) - largest) / sum)
      }

      let pairs = t * K..<(t + 1) * K
      let (zData, dzData) = (critic.values(pairs), critic.valueGradients(pairs))
      var ofData = T(0)
      for k in 0..<K {
        ofData += zData.mean(k)
        dzData.first[k, 0] -= weight / T(2 * K)
        dzData.second[k, 0] -= weight / T(2 * K)
      }
      sums.penalty += largest + T.log(sum) - ofData / T(K)
    }
  }

  // MARK: Actor loss, bc_flow_loss + α · distill_loss + q_loss (codac.py, actor_loss)

  /// −mean over B of q, not yet scaled; q = mean over K of Z(s, π_c, τ), Z the mean or min over E.
  private func ascend(_ samples: Range<Int>, firstPair: Int, _ batch: Batch<T>) {
    let perSample = batch.perSample
    let K = quantiles
    for t in 0..<samples.count {
      let pairs = firstPair + t * K..<firstPair + (t + 1) * K
      let (z, dz) = (critic.values(pairs), critic.valueGradients(pairs))
      var sum = T(0)
      for k in 0..<K {
        sum += z.aggregate(k, aggregation)
        dz.setGradient(k, of: z, aggregation, times: -perSample / T(K))
      }
      sums.q.add(sum / T(K))
    }
  }

  private func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout ExactSums) throws -> Void, _ figures: Figures?
  ) throws {
    let (perSample, perElement) = (batch.perSample, batch.perElement)
    // λ = sg(1 / mean of |q|) when normalised, else 1
    let λ = normalises ? try inverseMean(sums.q.magnitude, batch, sumOverRanks) : 1
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
        // distill_loss = mean over B and A of (clip(π(s, ε)θ) − sg(flow(s, ε)))²
        let ofDistance = squared(πc[i, c] - flowEnd[i, c])
        distance += ofDistance.value
        // q_loss = −λ · mean of q. No gradient passes where π is clipped.
        dπ[i, c] =
          abs(π[i, c]) <= 1 ? α * ofDistance.slope * perElement + dq[i, c] * T(λ) : 0
      }
    }
    guard let figures else { return }
    figures["actor/bc_flow_loss"] = Double(flowLoss * perElement)
    figures["actor/distill_loss"] = Double(distance * perElement)
    figures["actor/q_mean"] = Double(sums.q.value * perSample)
    figures["actor/q_abs_mean"] = sums.q.magnitude.value * Double(perSample)
    figures["actor/q_loss"] = -λ * figures["actor/q_mean"]
    figures["actor/actor_loss"] =
      figures["actor/bc_flow_loss"] + (Double(α) * figures["actor/distill_loss"] + figures["actor/q_loss"])
  }

  private func logCritic(_ batch: Batch<T>) {
    figures["critic/critic_loss"] =
      Double(sums.regression) + Double(αPenalty * sums.penalty * batch.perSample)
    sums.means.log("critic/q", each: batch.perSample / 2, figures)
  }

  // MARK: Acting

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Observations<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    critic.returns(parameters, observation, action, count: noise.rows, perPass: quantiles)
  }

  public static func policy(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> any Policy<T> {
    OneStepPolicy(shapes(spec, h), spec, rows: rows)
  }

  public static func behaviour(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> (any Policy<T>)? {
    let euler = EulerSteps(steps: h.flowSteps, clipsEachStep: h.clipFlowActions)
    return FlowPolicy("actor_flow", euler, shapes(spec, h), spec, rows: rows)
  }
}

/// Several actions of the one-step policy for each state, with their log-densities.
///
/// The density is estimated, as if a = ε + f(ε) with small f: that of ε times exp(−tr ∂π/∂ε), the trace from one
/// random vector u as u · (∂π/∂ε u) (Hutchinson, 1990), a product in forward mode.
private final class DensityActions<T: Real> {
  /// M.
  let perRow: Int
  /// clip(π(s, ε)), (n·M) × A.
  let actions: Matrix<T>
  /// −½ Σ over A of (log 2π + ε²) − u · (∂π/∂ε u), for each.
  let logDensities: UnsafeMutablePointer<T>

  private let network: MLP<T>
  private let tiling: Tiling
  private let noiseColumns: Range<Int>
  private let workspace = Workspace<T>()

  init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int, perRow: Int, in networks: NetworkSet<T>) {
    self.perRow = perRow
    tiling = Tiling(samples: rows, rowsPerSample: perRow)
    let tile = tiling.samples * perRow
    network = networks.network("actor_onestep_flow", rows: tile, networks.scratch(rows: tile))
    let size = h.stateSize(spec)
    noiseColumns = size..<size + spec.actionSize
    actions = workspace.matrix(rows: rows * perRow, columns: spec.actionSize)
    logDensities = workspace.vector(rows * perRow)
  }

  /// - Parameters:
  ///   - parameters: the flat vector.
  ///   - noise: ε of each action, n × (M·A).
  ///   - trace: u of each action, n × (M·A).
  func forward(
    _ parameters: UnsafePointer<T>, _ s: Observations<T>, noise: Matrix<T>, trace: Matrix<T>
  ) {
    let noise = Matrix(noise.base, rows: s.rows * perRow, columns: actions.columns)
    let trace = Matrix(trace.base, rows: s.rows * perRow, columns: actions.columns)
    tiling.forEach(0..<s.rows) { samples in
      let all = samples.lowerBound * perRow..<samples.upperBound * perRow
      let tile = 0..<all.count
      Block(network: network, rows: tile).place(s.rows(samples).repeated(perRow), noise.rows(all))
      network.forward(parameters, rows: tile, gradientRows: tile)
      network.pushForward(parameters, rows: tile, along: trace.rows(all), columns: noiseColumns)
      actions.rows(all).clip(network.output().rows(tile))
      let change = network.outputTangent()
      for row in tile {
        var density = T(0)
        for c in 0..<actions.columns {
          let (e, u) = (noise[all.lowerBound + row, c], trace[all.lowerBound + row, c])
          density -= (T.log(2 * .pi) + e * e) / 2 + u * change[row, c]
        }
        logDensities[all.lowerBound + row] = density
      }
    }
  }
}
