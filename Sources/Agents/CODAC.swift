import Kernels
import Networks

/// Conservative Offline Distributional Actor-Critic (arXiv 2107.06106) with a one-step flow policy: IQN's critic, whose
/// quantiles are pushed down at actions that the policy or chance prefers to the data's, and FQL's constraint.
///
/// - `actor_flow`: the velocity field of a flow that models the dataset's actions.
/// - `actor_onestep_flow`: the policy, a = π(s, ε).
/// - `critic`: Z(s, a, τ), with a target.
///
/// In comments, K quantiles, M random actions and as many of the policy for each sample.
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

  /// The random inputs of an update.
  private enum Noise: Int {
    case taus, penaltyTau, nextAction, nextTaus, randomActions, penaltyActions, trace
    case flow, flowTime, action, actorTaus
  }

  public static func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw] {
    let (K, A) = (hyperparameters.numQuantiles, spec.actionSize)
    let several = hyperparameters.numLogsumexpSamples * A
    return [
      Draw("critic/taus", .uniform, width: K), Draw("critic/penalty_tau_index", .below(K), width: 1),
      Draw("critic/next_action_noise", .normal, width: A), Draw("critic/next_taus", .uniform, width: K),
      Draw("critic/random_actions", .symmetric, width: several),
      Draw("critic/penalty_action_noise", .normal, width: several),
      Draw("critic/trace_noise", .normal, width: several),
      Draw("actor/flow_noise", .normal, width: A), Draw("actor/flow_time", .uniform, width: 1),
      Draw("actor/action_noise", .normal, width: A), Draw("actor/taus", .uniform, width: K),
    ]
  }

  public let layout: ParameterLayout
  public let figures = Figures([
    "critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/actor_loss",
    "actor/bc_flow_loss", "actor/distill_loss", "actor/q_loss", "actor/q_mean", "actor/q_abs_mean",
  ])
  public let networks: [MLP<T>]
  public var freezesScales = false

  private let alpha: T
  private let alphaPenalty: T
  private let normalises: Bool
  private let actor: OneStepActor<T>
  private let distillation: FlowDistillation<T>
  private let value: QuantileValue<T>
  private let penaltyActions: DensityActions<T>
  private let workspace = Workspace<T>()
  /// The gradient of −mean q with respect to π_c, n × A.
  private let actionGradient: Matrix<T>
  /// sg(1 / mean|q|) when normalised, else 1.
  private var scale = 1.0
  /// Of the tiles so far: Σ of the penalty, of q and of |q|.
  private var (penaltySum, qSum, qMagnitude) = (T(0), T(0), 0.0)

  public init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    let (K, M) = (hyperparameters.numQuantiles, hyperparameters.numLogsumexpSamples)
    alpha = T(hyperparameters.alpha)
    alphaPenalty = T(hyperparameters.alphaPenalty)
    normalises = hyperparameters.normalizeQLoss
    let scratch = hyperparameters.scratch(rows: 3 * rows, T.self)
    var layout = ParameterLayout()
    distillation = FlowDistillation(
      spec, hyperparameters, flow: "actor_flow", weight: alpha, ofClippedActions: true,
      clipsEachStep: hyperparameters.clipFlowActions, layout: &layout, rows: rows, scratch: scratch)
    actor = OneStepActor(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    value = QuantileValue(
      spec, hyperparameters, layout: &layout, rows: rows,
      more: .init(actions: 2 * M + 1, taus: K, pairs: 2 * M + K))
    penaltyActions = DensityActions(spec, hyperparameters, rows: rows, perRow: M)
    self.layout = layout
    networks =
      [actor.network, penaltyActions.network, distillation.flow.network] + value.networks
    actionGradient = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  @specialized(where T == Float)
  public func evaluate(
    _ parameters: UnsafePointer<T>, target: UnsafePointer<T>, batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout SIMD2<Double>) throws -> Void
  ) throws {
    let n = batch.rows
    let figures = logging ? figures : nil

    actor.forward(
      parameters, batch, nextNoise: batch[Noise.nextAction], noise: batch[Noise.action], logNoise: nil)
    penaltyActions.forward(
      parameters + actor.network.start, batch.observations.rows(0..<n), noise: batch[Noise.penaltyActions],
      trace: batch[Noise.trace])
    // y_j = r + γ · Z_target(s′, a′, τ′_j), sg: the published target has no mask.
    value.setTargets(
      target, batch, nextAction: actor.nextAction, taus: batch[Noise.nextTaus], masks: nil)
    learn(parameters, batch, into: gradients)
    if normalises && !freezesScales {
      var sums = SIMD2(qMagnitude, 0)
      try sumOverRanks(&sums)
      scale = Double(batch.globalRows) / sums.x
    }

    let data = Path(from: batch[Noise.flow], to: batch.actions.rows(0..<n), time: batch[Noise.flowTime])
    distillation.forward(parameters, batch, noise: batch[Noise.action], data: data)
    distillation.loss(batch, data: data, actor, figure: "actor/distill_loss", figures)
    if let figures { log(batch, figures) }

    guard let gradients else { return }
    distillation.backward(parameters, into: gradients, rows: n)
    let throughCritic = actionGradient.rows(0..<n)
    throughCritic.replaceEach { $0 * T(scale) }
    actor.addThroughClip(throughCritic)
    actor.backward(parameters, into: gradients, rows: n)
  }

  // MARK: Critic

  /// All that goes through the critic, tile by tile: K pairs at (s, a) and 2M of the penalty for each sample, which
  /// train it; K pairs at (s, π_c), through which the actor learns.
  private func learn(
    _ parameters: UnsafePointer<T>, _ batch: Batch<T>, into gradients: UnsafeMutablePointer<T>?
  ) {
    let critic = value.critic
    (penaltySum, qSum, qMagnitude) = (0, 0, 0)
    value.tiling.forEach(0..<batch.rows) { samples in
      value.place(samples, batch, taus: batch[Noise.taus])
      let trained = placePenalty(samples, batch)
      placePolicy(samples, batch)
      critic.embedTaus(parameters + critic.start)
      critic.forward(parameters + critic.start)
      value.regress(samples, batch, taus: batch[Noise.taus])
      penalise(samples, batch)
      ascend(samples, firstPair: trained.pairs, batch)
      guard let gradients else { return }
      critic.backward(
        parameters + critic.start, into: gradients + critic.start, trained: trained,
        accumulate: samples.lowerBound > 0)
      for (t, i) in samples.enumerated() {
        actionGradient.row(i).update(
          from: critic.actionGradient(trained.actions + t), count: actionGradient.columns)
      }
    }
  }

  /// The penalty's pairs: for each sample M random actions and M of the policy, all at one of its quantiles. Returns
  /// how much trains the critic up to here.
  private func placePenalty(_ samples: Range<Int>, _ batch: Batch<T>) -> QuantileCritic<T>.Capacity {
    let (critic, K, M) = (value.critic, value.quantiles, penaltyActions.perRow)
    let (random, picked) = (batch[Noise.randomActions], batch[Noise.penaltyTau])
    for (t, i) in samples.enumerated() {
      let s = batch.observations.row(i)
      let tau = t * K + Int(picked[i, 0])
      for j in 0..<M { critic.pair(critic.add(s, random.row(i) + j * actionGradient.columns), tau, count: 1) }
      for j in 0..<M { critic.pair(critic.add(s, penaltyActions.actions.row(i * M + j)), tau, count: 1) }
    }
    return .init(actions: samples.count * (1 + 2 * M), taus: samples.count * K, pairs: critic.pairs)
  }

  private func placePolicy(_ samples: Range<Int>, _ batch: Batch<T>) {
    let (critic, K, taus) = (value.critic, value.quantiles, batch[Noise.actorTaus])
    for i in samples {
      let action = critic.add(batch.observations.row(i), actor.action.row(i))
      critic.pair(action, critic.add(taus: taus.row(i), count: K), count: K)
    }
  }

  /// alpha_penalty · mean over E and B of (log Σ exp of (Z − log-density) over the 2M pairs − mean over K of Z(s, a)).
  /// Sets the gradients of the former, and adds those of the latter.
  private func penalise(_ samples: Range<Int>, _ batch: Batch<T>) {
    let (critic, K, M) = (value.critic, value.quantiles, penaltyActions.perRow)
    let weight = alphaPenalty * batch.perSample
    let ofRandom = T(actionGradient.columns) * T.log(0.5)
    for (t, i) in samples.enumerated() {
      let first = samples.count * K + t * 2 * M
      let (values, gradients) = (
        critic.values(first..<first + 2 * M), critic.valueGradients(first..<first + 2 * M)
      )
      func score(_ j: Int) -> T {
        values.aggregate(j, value.aggregation)
          - (j < M ? ofRandom : penaltyActions.logDensities[i * M + j - M])
      }
      let largest = (0..<2 * M).reduce(-T.infinity) { max($0, score($1)) }
      let sum = (0..<2 * M).reduce(T(0)) { $0 + T.exp(score($1) - largest) }
      gradients.setSlopes(of: values, value.aggregation) { weight * T.exp(score($0) - largest) / sum }

      let pairs = t * K..<(t + 1) * K
      penaltySum += largest + T.log(sum) - critic.values(pairs).sums(.mean).values / T(K)
      critic.valueGradients(pairs).add(-weight / T(2 * K))
    }
  }

  /// −q = −mean over B and K of Z(s, π_c, τ), not yet scaled.
  private func ascend(_ samples: Range<Int>, firstPair: Int, _ batch: Batch<T>) {
    let (critic, K) = (value.critic, value.quantiles)
    for t in 0..<samples.count {
      let pairs = firstPair + t * K..<firstPair + (t + 1) * K
      let q = critic.values(pairs).sums(value.aggregation).values / T(K)
      qSum += q
      qMagnitude += Double(abs(q))
      critic.valueGradients(pairs).setSlopes(of: critic.values(pairs), value.aggregation) { _ in
        -batch.perSample / T(K)
      }
    }
  }

  // MARK: Figures

  private func log(_ batch: Batch<T>, _ figures: Figures) {
    value.log(batch, figures)
    figures["critic/critic_loss"] += Double(alphaPenalty * penaltySum * batch.perSample)
    figures["actor/q_mean"] = Double(qSum * batch.perSample)
    figures["actor/q_abs_mean"] = qMagnitude * Double(batch.perSample)
    figures["actor/q_loss"] = -scale * figures["actor/q_mean"]
    figures["actor/actor_loss"] = figures["actor/bc_flow_loss"] + policyLoss
  }

  private var policyLoss: Double { Double(alpha) * figures["actor/distill_loss"] + figures["actor/q_loss"] }

  public func lossReaching(_ network: String) -> Double {
    switch network {
    case "critic": figures["critic/critic_loss"]
    case "actor_flow": figures["actor/bc_flow_loss"]
    default: policyLoss
    }
  }

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Matrix<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    value.returns(parameters, observation, action, count: noise.rows)
  }

  public func operations(rows n: Int) -> Operations {
    let (K, M) = (value.quantiles, penaltyActions.perRow)
    var sum = Operations(batch: n)
    actor.addOperations(rows: n, to: &sum)
    distillation.addOperations(rows: n, to: &sum)
    penaltyActions.addOperations(rows: n, to: &sum)
    value.target.addOperations(.init(actions: n, taus: n * K, pairs: n * K), to: &sum)
    value.critic.addOperations(
      .init(actions: n * (2 + 2 * M), taus: n * 2 * K, pairs: n * (2 * K + 2 * M)),
      trained: .init(actions: n * (1 + 2 * M), taus: n * K, pairs: n * (K + 2 * M)), to: &sum)
    return sum
  }

  public static func policy(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> any Policy<T> {
    OneStepPolicy<T>(
      spec, hyperparameters, rows: rows, after: BehaviourFlow<T>.shape(spec, hyperparameters))
  }

  public static func behaviour(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> (any Policy<T>)? {
    FlowPolicy<T>(
      spec, hyperparameters, rows: rows, steps: hyperparameters.flowSteps,
      clipsEachStep: hyperparameters.clipFlowActions)
  }
}

/// Several actions of the one-step policy for each state, with their log-densities.
///
/// The density is estimated, as if a = ε + f(ε) with small f: that of ε times exp(−tr ∂π/∂ε), the trace from one
/// random vector u as u · (∂π/∂ε u) (Hutchinson, 1990), a product in forward mode.
private final class DensityActions<T: Real> {
  /// The policy, evaluated with its parameters.
  let network: MLP<T>
  /// M.
  let perRow: Int
  /// clip(π(s, ε)), (n·M) × A.
  let actions: Matrix<T>
  /// −½ Σ over A of (log 2π + ε²) − u · (∂π/∂ε u), for each.
  let logDensities: UnsafeMutablePointer<T>

  private let tiling: Tiling
  private let noiseColumns: Range<Int>
  private let workspace = Workspace<T>()

  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int, perRow: Int) {
    self.perRow = perRow
    tiling = Tiling(samples: rows, rowsPerSample: perRow)
    let tile = tiling.samples * perRow
    var apart = ParameterLayout()
    network = MLP(
      OneStepActor<T>.shape(spec, hyperparameters), layout: &apart, rows: tile,
      scratch: hyperparameters.scratch(rows: tile, T.self))
    noiseColumns = spec.observationSize..<spec.observationSize + spec.actionSize
    actions = workspace.matrix(rows: rows * perRow, columns: spec.actionSize)
    logDensities = workspace.vector(rows * perRow)
  }

  /// - Parameters:
  ///   - parameters: the policy's first parameter.
  ///   - noise: ε of each action, n × (M·A).
  ///   - trace: u of each action, n × (M·A).
  func forward(
    _ parameters: UnsafePointer<T>, _ states: Matrix<T>, noise: Matrix<T>, trace: Matrix<T>
  ) {
    let noise = Matrix(noise.base, rows: states.rows * perRow, columns: actions.columns)
    let trace = Matrix(trace.base, rows: states.rows * perRow, columns: actions.columns)
    tiling.forEach(0..<states.rows) { samples in
      let all = samples.lowerBound * perRow..<samples.upperBound * perRow
      let tile = 0..<all.count
      for row in tile {
        network.input.row(row).update(
          from: states.row((all.lowerBound + row) / perRow), count: states.columns)
      }
      network.input.rows(tile).columns(noiseColumns).copy(noise.rows(all))
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

  func addOperations(rows: Int, to sum: inout Operations) {
    sum.add(network, rows: rows * perRow, forward: 1)
    sum.addTangents(network, rows: rows * perRow, columns: noiseColumns.count)
  }
}
