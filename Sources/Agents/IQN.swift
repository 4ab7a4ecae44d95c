import Kernels
import Networks

/// Implicit Quantile Networks (arXiv 1806.06923; published code: agents/iqn.py of chongyi-zheng/value-flows) for offline
/// data: the critic learns quantiles of the return by quantile regression; the policy takes the best of N actions that
/// a flow of the dataset's actions gives.
///
/// - `actor_flow`: the velocity field v(s, x, t) of that flow; there is no other actor.
/// - `critic`: Z(s, a, τ), with a target.
///
/// Letters as in `FAN`; K quantiles for each sample. Samples go through the critic in tiles.
public final class IQN<T: Real>: Agent {
  public static var title: String { "IQN" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.99", "num-quantiles": "16", "quantile-agg": "mean", "kappa": "0.9", "num-cosines": "64",
      "embedding-dim": "512", "num-samples": "16", "flow-steps": "10", "clip-flow-actions": "true",
      "layer-norm": "true", "actor-layer-norm": "true",
    ]
  }

  public static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    [h.flowShape("actor_flow", spec)] + QuantileCritic<T>.shapes(spec, h)
  }

  /// The random inputs of an update.
  private enum Noise: Int { case taus, candidates, candidateTaus, nextTaus, flow, flowTime }

  public static func draws(_ spec: DataSpec, _ h: Hyperparameters) -> [Draw] {
    let (K, N) = (h.numQuantiles, h.numSamples)
    return [
      Draw("critic/taus", .uniform, width: K),
      Draw("critic/next_candidate_noise", .normal, width: N * spec.actionSize),
      Draw("critic/next_candidate_taus", .uniform, width: K, sharedRows: N),
      Draw("critic/next_taus", .uniform, width: K), .noise("actor/flow_noise", spec),
      .time("actor/flow_time"),
    ]
  }

  public static var figureNames: [String] {
    ["critic/critic_loss", "critic/q_mean", "critic/q_max", "critic/q_min", "actor/actor_loss"]
  }

  public static var losses: KeyValuePairs<String, String> {
    ["critic": "critic/critic_loss", "actor_flow": "actor/actor_loss"]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(IQN.figureNames)

  private let (γ, κ): (T, T)
  /// K.
  private let quantiles: Int
  private let aggregation: Aggregation
  private let tiling: Tiling
  private let flow: Stack<T>
  private let (critic, target): (QuantileCritic<T>, QuantileCritic<T>)
  private let choice: QuantileChoice<T>
  /// a′, n × A, and y, n × K.
  private let (aNext, y): (Matrix<T>, Matrix<T>)

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    (γ, κ) = (T(h.discount), T(h.kappa))
    (quantiles, aggregation) = (h.numQuantiles, h.quantileAgg)
    tiling = Tiling(samples: rows, rowsPerSample: h.numQuantiles)
    networks = NetworkSet(Self.shapes(spec, h), spec, rows: rows, stackedRows: rows)
    choice = QuantileChoice(spec, h, rows: rows, in: networks)
    let (m, K) = (tiling.samples, h.numQuantiles)
    let tile = QuantileCritic<T>.Capacity(actions: m, taus: m * K, pairs: m * K)
    let scratch = networks.scratch(rows: tile.pairs)
    target = QuantileCritic(spec, h, tile, isTarget: true, trains: false, scratch, in: networks)
    critic = QuantileCritic(spec, h, tile, trains: true, scratch, in: networks)
    flow = networks.stack("actor_flow", [(.data, .weights)])
    (aNext, y) = (networks.matrix(columns: spec.actionSize), networks.matrix(columns: K))
  }

  @specialized(where T == Float)
  public func computeLosses(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, target targets: UnsafePointer<T>,
    gradients: UnsafeMutablePointer<T>?, logging: Bool, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws {
    choice.choose(
      parameters, batch.sNext, noise: batch[Noise.candidates], taus: batch[Noise.candidateTaus],
      into: aNext.rows(0..<batch.rows))
    setTargets(batch, targets)
    criticLoss(batch, parameters, into: gradients, logging ? figures : nil)
    actorLoss(batch, parameters, into: gradients, logging ? figures : nil)
  }

  // MARK: Critic loss (iqn.py, critic_loss)

  /// y_j = r + γ · mask · Z_target(s′, a′, τ′_j), sg; Z the mean or min over E.
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
        for k in 0..<K {
          y[i, k] = batch.rewards[i] + γ * batch.masks[i] * zNext.aggregate(t * K + k, aggregation)
        }
      }
    }
  }

  private func criticLoss(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>?,
    _ figures: Figures?
  ) {
    let (K, taus) = (quantiles, batch[Noise.taus])
    var (loss, means) = (T(0), Spread<T>())
    tiling.forEach(0..<batch.rows, within: gradients == nil ? nil : networks.chunks) { samples in
      critic.clear()
      for i in samples {
        let action = critic.add(batch.observations, i, batch.actions.row(i))
        critic.pair(action, critic.add(taus: taus.row(i), count: K), count: K)
      }
      critic.embedTaus(parameters)
      critic.forward(parameters)
      regress(samples, batch, taus, &loss, &means)
      guard let gradients else { return }
      critic.backward(
        parameters, into: gradients,
        trained: .init(actions: samples.count, taus: samples.count * K, pairs: samples.count * K),
        samples: samples)
    }
    figures?["critic/critic_loss"] = Double(loss)
    if let figures { means.log("critic/q", each: batch.perSample / 2, figures) }
  }

  /// critic_loss = mean over E, B and j of Σ_i |τ_i − [d_ij < 0]| · Huber(d_ij) / κ, d_ij = y_j − Z(s, a, τ_i)θ.
  @inline(__always)
  private func regress(
    _ samples: Range<Int>, _ batch: Batch<T>, _ taus: Matrix<T>, _ loss: inout T, _ means: inout Spread<T>
  ) {
    let K = quantiles
    let perTerm = batch.perSample / T(2 * K)  // 1 / (E·B·K)
    let pairs = 0..<samples.count * K
    let (values, gradients) = (critic.values(pairs), critic.valueGradients(pairs))
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
        means.add(mean)
      }
    }
  }

  // MARK: Actor loss (iqn.py, actor_loss)

  private func actorLoss(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>?,
    _ figures: Figures?
  ) {
    let perElement = batch.perElement
    let (a, x0) = (batch.a, batch[Noise.flow])
    flow[.data].place(batch.s, from: x0, to: a, at: batch[Noise.flowTime])
    flow.forward(parameters)
    let (v, dv) = (flow[.data].output(), flow[.data].outputGradient())
    var loss = T(0)
    for i in 0..<batch.rows {
      for c in 0..<v.columns {
        // actor_loss = mean over B and A of (v(s, x_t, t)θ − (a − x₀))²
        let ofFlow = squared(v[i, c] - (a[i, c] - x0[i, c]))
        loss += ofFlow.value
        dv[i, c] = ofFlow.slope * perElement
      }
    }
    figures?["actor/actor_loss"] = Double(loss * perElement)
    if let gradients { flow.backward(parameters, into: gradients) }
  }

  // MARK: Acting

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Observations<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    critic.returns(parameters, observation, action, count: noise.rows, perPass: quantiles)
  }

  public static func policy(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> any Policy<T> {
    QuantilePolicy<T>(spec, h, rows: rows)
  }

  public static func behaviour(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> (any Policy<T>)? {
    let euler = EulerSteps(steps: h.flowSteps, clipsEachStep: h.clipFlowActions)
    return FlowPolicy("actor_flow", euler, shapes(spec, h), spec, rows: rows)
  }
}

/// Acts with the best of N candidates, fresh ones in each step.
private final class QuantilePolicy<T: Real>: Policy {
  let observations: Observations<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>
  let networks: NetworkSet<T>
  private let choice: QuantileChoice<T>
  private let workspace = Workspace<T>()

  init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    let (N, K) = (h.numSamples, h.numQuantiles)
    networks = NetworkSet(IQN<T>.shapes(spec, h), spec, rows: rows)
    choice = QuantileChoice(spec, h, rows: rows, in: networks)
    observations = networks.observations()
    draws = [
      Draw("noise", .normal, width: N * spec.actionSize), Draw("taus", .uniform, width: K, sharedRows: N),
    ]
    noise = draws.map { [workspace] in $0.matrix(rows: rows, workspace) }
    actions = networks.matrix(columns: spec.actionSize)
  }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    networks.begin(parameters, rows: n)
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
