import Kernels
import Networks

/// Value Flows (arXiv 2510.07650; published code: agents/value_flows.py of chongyi-zheng/value-flows): the distribution
/// of the return is a flow from noise, learned by flow matching to the distribution that one step of experience and the
/// target flow give.
///
/// - `actor_flow`: the velocity field v(s, x, t) of a flow that models the dataset's actions; the policy takes the best
///   of N actions that it gives.
/// - `actor_onestep_flow`: a one-step policy, trained as in FQL. The published code acts with the flow's candidates.
/// - `critic_flow1`, `critic_flow2`: velocity fields v_j(z, t, s, a) of the return, with targets.
///
/// The one-step value is q_j = clip(ε + v_j(ε, 0, s, a)). Letters as in `FAN`.
public final class ValueFlows<T: Real>: Agent {
  public static var title: String { "Value Flows" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.99", "ret-agg": "mean", "q-agg": "mean", "clip-flow-returns": "true",
      "confidence-weight-temp": "0.3", "bcfm-lambda": "1", "dcfm-lambda": "1", "alpha": "10",
      "normalize-q-loss": "false", "num-samples": "16", "flow-steps": "10", "clip-flow-actions": "true",
      "layer-norm": "true", "actor-layer-norm": "true",
    ]
  }

  public static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    let A = spec.actionSize
    return [
      h.flowShape("actor_flow", spec), h.actorShape("actor_onestep_flow", spec, beside: A, outputs: A),
    ] + ReturnFlows<T>.shapes(spec, h)
  }

  /// The random inputs of an update.
  private enum Noise: Int {
    case candidates, candidateReturns, weight, returns, returnTime, logValue
    case flow, flowTime, action, value, logCandidates, logCandidateReturns
  }

  public static func draws(_ spec: DataSpec, _ h: Hyperparameters) -> [Draw] {
    let N = h.numSamples
    return [
      Draw("critic/next_candidate_noise", .normal, width: N * spec.actionSize),
      Draw("critic/next_candidate_return_noise", .normal, width: N),
      Draw("critic/weight_noise", .normal, width: 1), Draw("critic/return_noise", .normal, width: 1),
      .time("critic/return_time"), Draw("log/value_noise", .normal, width: 1),
      .noise("actor/flow_noise", spec), .time("actor/flow_time"), .noise("actor/action_noise", spec),
      Draw("actor/value_noise", .normal, width: 1),
      Draw("log/candidate_noise", .normal, width: N * spec.actionSize),
      Draw("log/candidate_return_noise", .normal, width: N),
    ]
  }

  public static var figureNames: [String] {
    [
      "critic/critic_loss", "critic/bcfm_loss", "critic/dcfm_loss", "critic/q_mean", "critic/q_std",
      "critic/q_std_max", "critic/q_std_min", "critic/q_max", "critic/q_min", "critic/weight",
      "actor/actor_loss", "actor/bc_flow_loss", "actor/distill_loss", "actor/q_loss", "actor/q", "actor/mse",
    ]
  }

  public static var losses: KeyValuePairs<String, String> {
    [
      "critic_flow1": "critic/critic_loss", "critic_flow2": "critic/critic_loss",
      "actor_flow": "actor/bc_flow_loss", "actor_onestep_flow": "actor/actor_loss",
    ]
  }

  public let networks: NetworkSet<T>
  public let figures = Figures(ValueFlows.figureNames)

  private let (γ, α, λBootstrapped, λDistributional): (T, T, T, T)
  private let (qAgg, returnAgg): (Aggregation, Aggregation)
  private let normalises: Bool
  private let euler: EulerSteps
  private let limits: ReturnLimits<T>
  private let (actor, flow): (Stack<T>, Stack<T>)
  private let critic: ReturnFlows<T>
  private let target: TargetReturns<T>
  private let choice: ReturnChoice<T>
  /// π_c, where the flow from ε ends, and the best candidate: a′ at s′; for a figure, that at s; n × A.
  private let (πc, flowEnd, chosen): (Matrix<T>, Matrix<T>, Matrix<T>)
  /// Points z of both losses, n × 1 each.
  private let (zBootstrapped, zDistributional): (Matrix<T>, Matrix<T>)

  public init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    (γ, α, λBootstrapped, λDistributional) = (T(h.discount), T(h.alpha), T(h.bcfmLambda), T(h.dcfmLambda))
    (qAgg, returnAgg, normalises) = (h.qAgg, h.retAgg, h.normalizeQLoss)
    euler = EulerSteps(steps: h.flowSteps, clipsEachStep: h.clipFlowActions)
    limits = ReturnLimits(spec, h)
    let networks = NetworkSet<T>(Self.shapes(spec, h), spec, rows: rows, stackedRows: 4 * rows)
    self.networks = networks
    choice = ReturnChoice(spec, h, rows: rows, in: networks)
    target = TargetReturns(spec, h, in: networks)
    actor = networks.stack("actor_onestep_flow", [(.policy, .weights)])
    flow = networks.stack("actor_flow", [(.integrated, .none), (.data, .weights)])
    critic = ReturnFlows(
      stacks: ReturnFlows<T>.names.map {
        networks.stack(
          $0,
          [(.log, .none), (.bootstrapped, .weights), (.distributional, .weights), (.policy, .input)],
          gradientColumns: ReturnFlows<T>.actionColumns(spec, h))
      })
    let A = spec.actionSize
    (πc, flowEnd, chosen) = (
      networks.matrix(columns: A), networks.matrix(columns: A), networks.matrix(columns: A)
    )
    (zBootstrapped, zDistributional) = (networks.matrix(columns: 1), networks.matrix(columns: 1))
  }

  @specialized(where T == Float)
  public func computeLosses(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, target targets: UnsafePointer<T>,
    gradients: UnsafeMutablePointer<T>?, logging: Bool, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws {
    forwardActor(batch, parameters)
    choice.choose(
      parameters, batch.sNext, noise: batch[Noise.candidates], returnNoise: batch[Noise.candidateReturns],
      into: chosen.rows(0..<batch.rows))
    target.integrate(
      targets, batch, nextAction: chosen.rows(0..<batch.rows), noise: batch[Noise.returns],
      time: batch[Noise.returnTime], weightNoise: batch[Noise.weight])
    forwardCritic(batch, parameters, logging: logging)
    criticLoss(batch, logging ? figures : nil)
    try actorLoss(batch, sumOverRanks, logging ? figures : nil)
    if logging { log(batch, parameters) }
    if let gradients { backward(batch, parameters, into: gradients) }
  }

  /// π(s, ε), and the behaviour flow.
  private func forwardActor(_ batch: Batch<T>, _ parameters: UnsafePointer<T>) {
    let (s, rows, ε) = (batch.s, 0..<batch.rows, batch[Noise.action])
    actor[.policy].place(s, ε)
    actor.forward(parameters)
    πc.rows(rows).clip(actor[.policy].output())
    flow[.data].place(s, from: batch[Noise.flow], to: batch.a, at: batch[Noise.flowTime])
    euler.integrate(flow[.integrated], parameters, s, from: ε, into: flowEnd.rows(rows)) {
      flow.forward(parameters)
    }
  }

  /// The return flows, at the points of both losses and at π_c.
  private func forwardCritic(_ batch: Batch<T>, _ parameters: UnsafePointer<T>, logging: Bool) {
    let (s, a, rows) = (batch.s, batch.a, 0..<batch.rows)
    let (ε, time) = (batch[Noise.returns], batch[Noise.returnTime])
    for i in rows {
      let t = time[i, 0]
      zBootstrapped[i, 0] = t * target(i, target.final, batch) + (1 - t) * ε[i, 0]
      zDistributional[i, 0] = target(i, target.stopped, batch)
    }
    if logging { critic[.log].place(z: batch[Noise.logValue], at: nil, s, a) }
    critic[.bootstrapped].place(z: zBootstrapped.rows(rows), at: time, s, a)
    critic[.distributional].place(z: zDistributional.rows(rows), at: time, s, a)
    critic[.policy].place(z: batch[Noise.value], at: nil, s, πc.rows(rows))
    critic.forward(parameters, from: logging ? .log : .bootstrapped)
  }

  /// r + γ · mask · z for a return z of the next state.
  private func target(_ i: Int, _ z: Matrix<T>, _ batch: Batch<T>) -> T {
    batch.rewards[i] + γ * batch.masks[i] * z[i, 0]
  }

  // MARK: Critic loss (value_flows.py, critic_loss)

  /// Mean over B of w · (bcfm_lambda · Σ_j (v_j − (y − ε))² + dcfm_lambda · Σ_j (v_j − v′)²), sg of w, y and v′: the
  /// first at z = t·y + (1 − t)·ε with y = r + γ · mask · z′; the second at z = r + γ · mask · z′_t, where v′ is the
  /// target flows' velocity at z′_t. Both target flows' returns, and their velocities, are taken as one.
  private func criticLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let perSample = batch.perSample
    let ε = batch[Noise.returns]
    let (vBootstrapped, dvBootstrapped) = (
      critic[.bootstrapped].velocities, critic[.bootstrapped].velocityGradients
    )
    let (vDistributional, dvDistributional) = (
      critic[.distributional].velocities, critic[.distributional].velocityGradients
    )
    let velocities = target.velocities
    var (loss, bootstrappedLoss, distributionalLoss) = (T(0), T(0), T(0))
    for j in 0..<2 {
      let (v1, dv1) = (vBootstrapped[j], dvBootstrapped[j])
      let (v2, dv2) = (vDistributional[j], dvDistributional[j])
      for i in 0..<batch.rows {
        let w = target.weights[i]
        let first = squared(v1[i, 0] - (target(i, target.final, batch) - ε[i, 0]))
        let second = squared(v2[i, 0] - velocities.aggregate(i, returnAgg))
        bootstrappedLoss += first.value
        distributionalLoss += second.value
        loss += w * (λBootstrapped * first.value + λDistributional * second.value)
        dv1[i, 0] = w * λBootstrapped * first.slope * perSample
        dv2[i, 0] = w * λDistributional * second.slope * perSample
      }
    }
    guard let figures else { return }
    figures["critic/critic_loss"] = Double(loss * perSample)
    figures["critic/bcfm_loss"] = Double(bootstrappedLoss * perSample)
    figures["critic/dcfm_loss"] = Double(distributionalLoss * perSample)
  }

  // MARK: Actor loss, bc_flow_loss + α · distill_loss + q_loss (value_flows.py, actor_loss)

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
        // distill_loss = mean over B and A of (clip(π(s, ε)θ) − sg(flow(s, ε)))²
        let ofDistance = squared(πc[i, c] - flowEnd[i, c])
        distance += ofDistance.value
        dπ[i, c] = abs(π[i, c]) <= 1 ? α * ofDistance.slope * perElement : 0
      }
    }

    // q_loss = −λ · mean over B of the one-step value q of π_c;  λ = sg(1 / mean of |q|) when normalised, else 1
    let (vs, dvs, ε) = (
      critic[.policy].velocities, critic[.policy].velocityGradients, batch[Noise.value]
    )
    var (q, λ) = (ValueSum<T>(), 1.0)
    for i in 0..<n { q.add(limits.value(i, ε, vs, qAgg)) }
    if normalises { λ = try inverseMean(q.magnitude, batch, sumOverRanks) }
    let slope = -T(λ) * perSample
    for i in 0..<n {
      let (q1, q2) = (ε[i, 0] + vs.first[i, 0], ε[i, 0] + vs.second[i, 0])
      let slopes = qAgg.slopes(limits.clip(q1), limits.clip(q2))
      // No gradient passes where a value is clipped.
      dvs.first[i, 0] = limits.range.contains(q1) ? slope * slopes.0 : 0
      dvs.second[i, 0] = limits.range.contains(q2) ? slope * slopes.1 : 0
    }

    guard let figures else { return }
    figures["actor/bc_flow_loss"] = Double(flowLoss * perElement)
    figures["actor/distill_loss"] = Double(distance * perElement)
    figures["actor/q"] = Double(q.value * perSample)
    figures["actor/q_loss"] = -λ * figures["actor/q"]
    figures["actor/actor_loss"] =
      figures["actor/bc_flow_loss"] + (Double(α) * figures["actor/distill_loss"] + figures["actor/q_loss"])
  }

  // MARK: Backward

  private func backward(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>
  ) {
    let (π, dπ) = (actor[.policy].output(), actor[.policy].outputGradient())
    for stack in critic.stacks {
      stack.backward(parameters, into: gradients)
      let dq = stack[.policy].inputGradient
      for i in 0..<batch.rows {
        // π_c = clip(π): no gradient passes where π is clipped.
        for c in 0..<π.columns where abs(π[i, c]) <= 1 { dπ[i, c] += dq[i, c] }
      }
    }
    flow.backward(parameters, into: gradients)
    actor.backward(parameters, into: gradients)
  }

  // MARK: Figures

  private func log(_ batch: Batch<T>, _ parameters: UnsafePointer<T>) {
    let (n, v, ε) = (batch.rows, critic[.log].velocities, batch[Noise.logValue])
    choice.choose(
      parameters, batch.s, noise: batch[Noise.logCandidates], returnNoise: batch[Noise.logCandidateReturns],
      into: chosen.rows(0..<n))
    var (q, deviation) = (Spread<T>(), Spread<T>())
    var (weight, distance) = (T(0), T(0))
    for i in 0..<n {
      q.add(limits.value(i, ε, v, qAgg))
      deviation.add(target.deviations[i])
      weight += target.weights[i]
      for c in 0..<chosen.columns { distance += squared(chosen[i, c] - batch.actions[i, c]).value }
    }
    q.log("critic/q", each: batch.perSample, figures)
    deviation.log("critic/q_std", each: batch.perSample, mean: "critic/q_std", figures)
    figures["critic/weight"] = Double(weight * batch.perSample)
    figures["actor/mse"] = Double(distance * batch.perElement)
  }

  // MARK: Acting

  /// Returns of both flows from the noise's first numbers, and the mean of the one-step values.
  public func returns(
    _ parameters: UnsafePointer<T>, observation: Observations<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    let (rows, steps) = (0..<noise.rows, euler.steps)
    var (samples, q) = ([Double](), 0.0)
    let networks = critic.stacks.map(\.network)
    for i in rows {
      ReturnRows(
        first: Block(network: networks[0], rows: i..<i + 1),
        second: Block(network: networks[1], rows: i..<i + 1)
      ).place(z: noise.rows(i..<i + 1), at: nil, observation, action)
    }
    for network in networks {
      let (input, v) = (network.input, network.output())
      for step in 0..<steps {
        for i in rows { input[i, 1] = T(step) / T(steps) }
        network.forward(parameters, rows: rows)
        if step == 0 { q += rows.reduce(0) { $0 + Double(limits.clip(noise[$1, 0] + v[$1, 0])) } }
        for i in rows { input[i, 0] = limits.clip(input[i, 0] + v[i, 0] / T(steps)) }
      }
      samples += rows.map { Double(input[$0, 0]) }
    }
    return ReturnEstimate(samples: samples, name: "Q", value: q / Double(2 * rows.count))
  }

  public static func policy(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> any Policy<T> {
    ReturnPolicy<T>(spec, h, rows: rows)
  }

  public static func behaviour(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) -> (any Policy<T>)? {
    let euler = EulerSteps(steps: h.flowSteps, clipsEachStep: h.clipFlowActions)
    return FlowPolicy("actor_flow", euler, shapes(spec, h), spec, rows: rows)
  }
}

/// What the target flows say: returns of the next state, and how sure they are of those of the present one.
///
/// Their rows: whole flows from ε at (s′, a′); flows from the same ε, stopped at time t; flows at (s, a) that are
/// differentiated. All take a step in one product.
private final class TargetReturns<T: Real> {
  /// w = sigmoid(−confidence_weight_temp / deviation) + ½, for each row.
  let weights: UnsafeMutablePointer<T>
  /// |∂z/∂ε| at (s, a), both flows' as one, for each row.
  let deviations: UnsafeMutablePointer<T>
  /// z′ and z′_t, returns of the next state at the end of the flows and where they are stopped, both flows' as one,
  /// n × 1 each.
  let (final, stopped): (Matrix<T>, Matrix<T>)

  private let flows: ReturnFlows<T>
  private let limits: ReturnLimits<T>
  private let steps: Int
  private let temperature: T
  private let (qAgg, returnAgg): (Aggregation, Aggregation)
  /// z of both flows: whole, stopped, differentiated, n × 1 each; and ∂z/∂ε of the last.
  private let z: [[Matrix<T>]]
  private let derivative: [Matrix<T>]
  private static var roles: [Role] { [.next, .stopped, .weighted] }

  init(_ spec: DataSpec, _ h: Hyperparameters, in networks: NetworkSet<T>) {
    flows = ReturnFlows(
      stacks: ReturnFlows<T>.names.map { networks.target($0, Self.roles, forwardMode: .weighted) })
    limits = ReturnLimits(spec, h)
    (steps, temperature) = (h.flowSteps, T(h.confidenceWeightTemp))
    (qAgg, returnAgg) = (h.qAgg, h.retAgg)
    (weights, deviations) = (networks.vector(), networks.vector())
    (final, stopped) = (networks.matrix(columns: 1), networks.matrix(columns: 1))
    z = (0..<2).map { _ in Self.roles.map { _ in networks.matrix(columns: 1) } }
    derivative = (0..<2).map { _ in networks.matrix(columns: 1) }
  }

  /// Both flows' velocities at (z′_t, t, s′, a′).
  var velocities: Twins<T> { flows[.stopped].velocities }

  /// - Parameters:
  ///   - parameters: the targets' vector.
  ///   - noise: ε.
  ///   - time: t.
  ///   - weightNoise: where the differentiated flows start.
  func integrate(
    _ parameters: UnsafePointer<T>, _ batch: Batch<T>, nextAction: Matrix<T>, noise: Matrix<T>,
    time: Matrix<T>, weightNoise: Matrix<T>
  ) {
    let (sNext, rows) = (batch.sNext, 0..<batch.rows)
    flows[.next].place(z: noise, at: nil, sNext, nextAction)
    flows[.stopped].place(z: noise, at: nil, sNext, nextAction)
    flows[.weighted].place(z: weightNoise, at: nil, batch.s, batch.a)
    for j in 0..<2 {
      for (k, start) in [noise, noise, weightNoise].enumerated() { z[j][k].rows(rows).copy(start) }
      derivative[j].rows(rows).replaceEach { _ in 1 }
      for step in 0..<steps { take(step, j, parameters, time, batch.rows) }
    }
    for i in rows {
      final[i, 0] = returnAgg(z[0][0][i, 0], z[1][0][i, 0])
      stopped[i, 0] = returnAgg(z[0][1][i, 0], z[1][1][i, 0])
      deviations[i] = qAgg(abs(derivative[0][i, 0]), abs(derivative[1][i, 0]))
      weights[i] = 1 / (1 + T.exp(temperature / deviations[i])) + 0.5
    }
    flows[.stopped].place(z: stopped.rows(rows), at: time, sNext, nextAction)
    flows.forward(parameters, from: .stopped, through: .stopped)
  }

  /// One Euler step of flow j: z ← clip(z + h · v) with h = end / steps; and for the derivative d ← d + h · (∂v/∂z) · d,
  /// which the clipping does not touch.
  private func take(
    _ step: Int, _ j: Int, _ parameters: UnsafePointer<T>, _ time: Matrix<T>, _ n: Int
  ) {
    let (stack, z, d, share) = (flows.stacks[j], z[j], derivative[j].rows(0..<n), 1 / T(steps))
    let rows = (stack[.next], stack[.stopped], stack[.weighted])
    /// When the flow of row i ends: at t where it is stopped.
    @inline(__always) func end(_ k: Int, _ i: Int) -> T { k == 1 ? time[i, 0] : 1 }
    func set(_ k: Int, _ input: Matrix<T>) {
      for i in 0..<n { (input[i, 0], input[i, 1]) = (z[k][i, 0], T(step) * share * end(k, i)) }
    }
    set(0, rows.0.input)
    set(1, rows.1.input)
    set(2, rows.2.input)
    stack.forward(parameters)
    stack.network.pushForward(parameters, rows: rows.2.rows, along: d, columns: 0..<1)
    func move(_ k: Int, _ v: Matrix<T>) {
      for i in 0..<n { z[k][i, 0] = limits.clip(z[k][i, 0] + share * end(k, i) * v[i, 0]) }
    }
    move(0, rows.0.output())
    move(1, rows.1.output())
    move(2, rows.2.output())
    let change = stack.network.outputTangent().rows(rows.2.rows)
    for i in 0..<n { d[i, 0] += share * change[i, 0] }
  }
}

/// Chooses the candidate action of the largest one-step value. The choice has networks of its own, at the agent's
/// parameters.
private final class ReturnChoice<T: Real> {
  private let candidates: CandidateActions<T>
  private let flows: [MLP<T>]
  private let limits: ReturnLimits<T>
  private let qAgg: Aggregation

  /// - Parameter rows: the most observations of a call.
  init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int, in networks: NetworkSet<T>) {
    let candidates = CandidateActions(spec, h, rows: rows, in: networks)
    self.candidates = candidates
    let scratch = networks.scratch(rows: candidates.capacity)
    flows = ReturnFlows<T>.names.map {
      networks.network($0, rows: candidates.capacity, scratch, keepsActivations: false)
    }
    limits = ReturnLimits(spec, h)
    qAgg = h.qAgg
  }

  /// chosen ← the best candidate for each observation.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the agent's layout.
  ///   - noise: where the flow of actions starts, n × (N·A).
  ///   - returnNoise: where the one-step values start, n × N.
  func choose(
    _ parameters: UnsafePointer<T>, _ observations: Observations<T>, noise: Matrix<T>, returnNoise: Matrix<T>,
    into chosen: Matrix<T>
  ) {
    let count = candidates.count
    let starts = Matrix(returnNoise.base, rows: observations.rows * count, columns: 1)
    candidates.choose(parameters, observations, noise: noise, into: chosen) { samples in
      let tile = 0..<samples.count * count
      let start = starts.rows(samples.lowerBound * count..<samples.upperBound * count)
      let rows = ReturnRows(
        first: Block(network: flows[0], rows: tile), second: Block(network: flows[1], rows: tile))
      rows.place(
        z: start, at: nil, candidates.states(samples, of: observations), candidates.actions.rows(tile))
      flows[0].forward(parameters, rows: tile)
      flows[1].forward(parameters, rows: tile)
      let v = rows.velocities
      for row in tile { candidates.values[row] = limits.value(row, start, v, qAgg) }
    }
  }

  /// Adds what `choose` computes to a graph: the best candidates, batch × A.
  func describe(
    _ observations: OperatorGraph.Value, noise: OperatorGraph.Value, returnNoise: OperatorGraph.Value,
    in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    candidates.describe(observations, noise: noise, in: &graph) { states, actions, graph in
      let z = graph.apply("Unsqueeze", returnNoise, graph.integers(-1))
      let values = limits.describeValues(flows.map(\.shape), z, states, actions, in: &graph)
      let value =
        qAgg == .mean
        ? graph.apply("Div", graph.apply("Add", values[0], values[1]), graph.number(2))
        : graph.apply("Min", values[0], values[1])
      return graph.apply("Squeeze", value, graph.integers(-1))
    }
  }
}

/// Acts with the best of N candidates, fresh ones in each step.
private final class ReturnPolicy<T: Real>: Policy {
  let observations: Observations<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>
  let networks: NetworkSet<T>
  private let choice: ReturnChoice<T>

  init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int) {
    let count = h.numSamples
    networks = NetworkSet(ValueFlows<T>.shapes(spec, h), spec, rows: rows)
    choice = ReturnChoice(spec, h, rows: rows, in: networks)
    observations = networks.observations()
    draws = [
      Draw("noise", .normal, width: count * spec.actionSize), Draw("return_noise", .normal, width: count),
    ]
    noise = [networks.matrix(columns: count * spec.actionSize), networks.matrix(columns: count)]
    actions = networks.matrix(columns: spec.actionSize)
  }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    networks.begin(parameters, rows: n)
    choice.choose(
      parameters, observations.rows(0..<n), noise: noise[0].rows(0..<n), returnNoise: noise[1].rows(0..<n),
      into: actions.rows(0..<n))
  }

  var rule: String {
    """
    action = of \(draws[1].width) actions that actor_flow gives from noise ~ N(0, 1), the one of the largest \
    clip(z + v(z, 0, observation, action)), z = return_noise ~ N(0, 1), v of critic_flow1 and critic_flow2
    """
  }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    choice.describe(observations, noise: noise[0], returnNoise: noise[1], in: &graph)
  }
}
