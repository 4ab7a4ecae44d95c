import Kernels
import Networks

/// Value Flows (arXiv 2510.07650): the distribution of the return is a flow from noise, learned by flow matching to the
/// distribution that one step of experience and the target flow give.
///
/// - `actor_flow`: the velocity field of a flow that models the dataset's actions; the policy takes the best of N
///   actions that it gives.
/// - `actor_onestep_flow`: a one-step policy, trained as in FQL. The published code acts with the flow's candidates.
/// - `critic_flow1`, `critic_flow2`: velocity fields v_j(z, t, s, a) of the return, with targets.
///
/// The one-step value is q_j = clip(ε + v_j(ε, 0, s, a)).
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

  /// The random inputs of an update.
  private enum Noise: Int {
    case candidates, candidateReturns, weight, returns, returnTime, logValue
    case flow, flowTime, action, value, logCandidates, logCandidateReturns
  }

  public static func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw] {
    let (N, A) = (hyperparameters.numSamples, spec.actionSize)
    return [
      Draw("critic/next_candidate_noise", .normal, width: N * A),
      Draw("critic/next_candidate_return_noise", .normal, width: N),
      Draw("critic/weight_noise", .normal, width: 1), Draw("critic/return_noise", .normal, width: 1),
      Draw("critic/return_time", .uniform, width: 1), Draw("log/value_noise", .normal, width: 1),
      Draw("actor/flow_noise", .normal, width: A), Draw("actor/flow_time", .uniform, width: 1),
      Draw("actor/action_noise", .normal, width: A), Draw("actor/value_noise", .normal, width: 1),
      Draw("log/candidate_noise", .normal, width: N * A),
      Draw("log/candidate_return_noise", .normal, width: N),
    ]
  }

  public let layout: ParameterLayout
  public let figures = Figures([
    "critic/critic_loss", "critic/bcfm_loss", "critic/dcfm_loss", "critic/q_mean", "critic/q_std",
    "critic/q_std_max", "critic/q_std_min", "critic/q_max", "critic/q_min", "critic/weight",
    "actor/actor_loss", "actor/bc_flow_loss", "actor/distill_loss", "actor/q_loss", "actor/q", "actor/mse",
  ])
  public let networks: [MLP<T>]
  public var freezesScales = false

  private let alpha: T
  private let discount: T
  private let steps: Int
  private let bootstrappedWeight: T
  private let distributionalWeight: T
  private let qAggregation: Aggregation
  private let returnAggregation: Aggregation
  private let normalises: Bool
  private let actor: OneStepActor<T>
  private let distillation: FlowDistillation<T>
  private let critic: ReturnFlows<T>
  private let target: TargetReturns<T>
  private let targetStart: Int
  private let choice: ReturnChoice<T>
  private let workspace = Workspace<T>()
  /// a′, n × A; for a figure, a of the policy at s.
  private let chosen: Matrix<T>
  /// Points z on the paths of both losses, n × 1 each.
  private let bootstrapped: Matrix<T>
  private let distributional: Matrix<T>
  /// sg(1 / mean|q|) of the actor's q when normalised, else 1.
  private var scale = 1.0

  public init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    alpha = T(hyperparameters.alpha)
    discount = T(hyperparameters.discount)
    steps = hyperparameters.flowSteps
    bootstrappedWeight = T(hyperparameters.bcfmLambda)
    distributionalWeight = T(hyperparameters.dcfmLambda)
    qAggregation = hyperparameters.qAgg
    returnAggregation = hyperparameters.retAgg
    normalises = hyperparameters.normalizeQLoss
    let scratch = hyperparameters.scratch(rows: 4 * rows, T.self)
    var layout = ParameterLayout()
    distillation = FlowDistillation(
      spec, hyperparameters, flow: "actor_flow", weight: alpha, ofClippedActions: true,
      clipsEachStep: hyperparameters.clipFlowActions, layout: &layout, rows: rows, scratch: scratch)
    actor = OneStepActor(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    critic = ReturnFlows(
      spec, hyperparameters, layout: &layout, rows: 4 * rows, passesGradient: true, scratch: scratch)
    targetStart = critic.follow(in: &layout)
    target = TargetReturns(spec, hyperparameters, rows: rows, scratch: scratch)
    choice = ReturnChoice(spec, hyperparameters, rows: rows)
    self.layout = layout
    networks =
      choice.networks + target.flows.networks + [actor.network, distillation.flow.network] + critic.networks
    chosen = workspace.matrix(rows: rows, columns: spec.actionSize)
    bootstrapped = workspace.matrix(rows: rows, columns: 1)
    distributional = workspace.matrix(rows: rows, columns: 1)
  }

  @specialized(where T == Float)
  public func evaluate(
    _ parameters: UnsafePointer<T>, target targets: UnsafePointer<T>, batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout SIMD2<Double>) throws -> Void
  ) throws {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    let figures = logging ? figures : nil

    actor.forward(parameters, batch, nextNoise: nil, noise: batch[Noise.action], logNoise: nil)
    choice.choose(
      parameters, batch.nextObservations.rows(0..<n), noise: batch[Noise.candidates],
      returnNoise: batch[Noise.candidateReturns], into: chosen.rows(0..<n))
    target.integrate(
      targets + targetStart, batch, nextAction: chosen.rows(0..<n), noise: batch[Noise.returns],
      time: batch[Noise.returnTime], weightNoise: batch[Noise.weight])
    forward(parameters, batch, logging: logging)
    criticLoss(batch, figures)

    let data = Path(from: batch[Noise.flow], to: batch.actions.rows(0..<n), time: batch[Noise.flowTime])
    distillation.forward(parameters, batch, noise: batch[Noise.action], data: data)
    distillation.loss(batch, data: data, actor, figure: "actor/distill_loss", figures)
    try actorLoss(batch, sumOverRanks, figures)
    if let figures {
      choice.choose(
        parameters, s, noise: batch[Noise.logCandidates], returnNoise: batch[Noise.logCandidateReturns],
        into: chosen.rows(0..<n))
      log(batch, figures)
    }

    guard let gradients else { return }
    for network in critic.networks {
      network.backward(
        parameters + network.start, into: gradients + network.start, weightRows: n..<3 * n,
        inputRows: block(3, n))
      actor.addThroughClip(network.inputGradient.rows(block(3, n)))
    }
    distillation.backward(parameters, into: gradients, rows: n)
    actor.backward(parameters, into: gradients, rows: n)
  }

  // MARK: Critic

  /// The return flows. Rows: n at (s, a) for figures; n on the path to y and n at r + γ · mask · z′_t, which are
  /// trained; n at (s, π_c), through which the actor learns.
  private func forward(_ parameters: UnsafePointer<T>, _ batch: Batch<T>, logging: Bool) {
    let n = batch.rows
    let (s, a) = (batch.observations.rows(0..<n), batch.actions.rows(0..<n))
    let (noise, time) = (batch[Noise.returns], batch[Noise.returnTime])
    for i in 0..<n {
      let t = time[i, 0]
      bootstrapped[i, 0] = t * target(i, target.final, batch) + (1 - t) * noise[i, 0]
      distributional[i, 0] = target(i, target.stopped, batch)
    }
    if logging { critic.place(block(0, n), z: batch[Noise.logValue], time: nil, s, a) }
    critic.place(block(1, n), z: bootstrapped, time: time, s, a)
    critic.place(block(2, n), z: distributional, time: time, s, a)
    critic.place(block(3, n), z: batch[Noise.value], time: nil, s, actor.action.rows(0..<n))
    critic.forward(
      parameters + critic.start, rows: (logging ? 0 : n)..<4 * n, gradientRows: n..<4 * n)
  }

  /// r + γ · mask · z for a return z of the next state.
  private func target(_ i: Int, _ z: Matrix<T>, _ batch: Batch<T>) -> T {
    batch.rewards[i] + discount * batch.masks[i] * z[i, 0]
  }

  /// Mean over B of w · (bcfm_lambda · Σ_j (v_j − (y − ε))² + dcfm_lambda · Σ_j (v_j − v′)²), sg of w, y and v′: the
  /// first at t·y + (1 − t)·ε, with y = r + γ · mask · z′; the second at r + γ · mask · z′_t, where v′ is the target
  /// flows' velocity at z′_t. Of the target flows' returns, and of their velocities, both are taken as one.
  private func criticLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let n = batch.rows
    let noise = batch[Noise.returns]
    var (loss, bootstrappedLoss, distributionalLoss) = (T(0), T(0), T(0))
    for network in critic.networks {
      let (v, gradient) = (network.output().rows(n..<3 * n), network.outputGradient().rows(n..<3 * n))
      for i in 0..<n {
        let weight = target.weights[i]
        let direction = target(i, target.final, batch) - noise[i, 0]
        let first = v[i, 0] - direction
        let second = v[n + i, 0] - target.velocities.aggregate(i, returnAggregation)
        bootstrappedLoss += first * first
        distributionalLoss += second * second
        loss += weight * (bootstrappedWeight * first * first + distributionalWeight * second * second)
        gradient[i, 0] = 2 * weight * bootstrappedWeight * first * batch.perSample
        gradient[n + i, 0] = 2 * weight * distributionalWeight * second * batch.perSample
      }
    }
    guard let figures else { return }
    figures["critic/critic_loss"] = Double(loss * batch.perSample)
    figures["critic/bcfm_loss"] = Double(bootstrappedLoss * batch.perSample)
    figures["critic/dcfm_loss"] = Double(distributionalLoss * batch.perSample)
  }

  // MARK: Actor

  /// −scale · mean over B of the one-step value of π_c.
  private func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout SIMD2<Double>) throws -> Void, _ figures: Figures?
  ) throws {
    let n = batch.rows
    let (v, noise) = (critic.velocities(block(3, n)), batch[Noise.value])
    var (sum, magnitude) = (T(0), 0.0)
    for i in 0..<n {
      let q = qAggregation(
        critic.clip(noise[i, 0] + v.first[i, 0]), critic.clip(noise[i, 0] + v.second[i, 0]))
      sum += q
      magnitude += Double(abs(q))
    }
    if normalises && !freezesScales {
      var sums = SIMD2(magnitude, 0)
      try sumOverRanks(&sums)
      scale = Double(batch.globalRows) / sums.x
    }
    ascend(v, noise, critic.velocityGradients(block(3, n)), slope: -T(scale) * batch.perSample)
    figures?["actor/q"] = Double(sum * batch.perSample)
    figures?["actor/q_loss"] = -scale * Double(sum * batch.perSample)
  }

  /// The gradients of `slope` · Σ q with respect to the velocities; none where a value was clipped.
  private func ascend(
    _ v: TwinValues<T>, _ noise: Matrix<T>, _ gradients: TwinValues<T>, slope: T
  ) {
    for i in 0..<noise.rows {
      let (a, b) = (noise[i, 0] + v.first[i, 0], noise[i, 0] + v.second[i, 0])
      let slopes = qAggregation.slopes(critic.clip(a), critic.clip(b))
      gradients.first[i, 0] = critic.limits.contains(a) ? slope * slopes.0 : 0
      gradients.second[i, 0] = critic.limits.contains(b) ? slope * slopes.1 : 0
    }
  }

  // MARK: Figures

  private func log(_ batch: Batch<T>, _ figures: Figures) {
    let n = batch.rows
    let (v, noise) = (critic.velocities(block(0, n)), batch[Noise.logValue])
    var (q, deviation) = (Spread<T>(), Spread<T>())
    var (weight, distance) = (T(0), T(0))
    for i in 0..<n {
      q.add(qAggregation(critic.clip(noise[i, 0] + v.first[i, 0]), critic.clip(noise[i, 0] + v.second[i, 0])))
      deviation.add(target.deviations[i])
      weight += target.weights[i]
      for c in 0..<chosen.columns {
        let difference = chosen[i, c] - batch.actions[i, c]
        distance += difference * difference
      }
    }
    q.log("critic/q", each: batch.perSample, figures)
    deviation.log("critic/q_std", each: batch.perSample, mean: "critic/q_std", figures)
    figures["critic/weight"] = Double(weight * batch.perSample)
    figures["actor/mse"] = Double(distance * batch.perElement)
    figures["actor/actor_loss"] = figures["actor/bc_flow_loss"] + policyLoss
  }

  private var policyLoss: Double { Double(alpha) * figures["actor/distill_loss"] + figures["actor/q_loss"] }

  public func lossReaching(_ network: String) -> Double {
    switch network {
    case "critic_flow1", "critic_flow2": figures["critic/critic_loss"]
    case "actor_flow": figures["actor/bc_flow_loss"]
    default: policyLoss
    }
  }

  /// Returns of both flows from the noise's first numbers, and the mean of the one-step values.
  public func returns(
    _ parameters: UnsafePointer<T>, observation: Matrix<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    let count = noise.rows
    let rows = 0..<count
    for row in rows {
      critic.place(row..<row + 1, z: noise.rows(row..<row + 1), time: nil, observation, action)
    }
    var (samples, q) = ([Double](), 0.0)
    for network in critic.networks {
      let (input, v) = (network.input, network.output())
      for step in 0..<steps {
        for row in rows { input[row, 1] = T(step) / T(steps) }
        network.forward(parameters + network.start, rows: rows)
        if step == 0 { q += rows.reduce(0) { $0 + Double(critic.clip(noise[$1, 0] + v[$1, 0])) } }
        for row in rows { input[row, 0] = critic.clip(input[row, 0] + v[row, 0] / T(steps)) }
      }
      samples += rows.map { Double(input[$0, 0]) }
    }
    return ReturnEstimate(samples: samples, name: "Q", value: q / Double(2 * count))
  }

  public func operations(rows n: Int) -> Operations {
    var sum = Operations(batch: n)
    choice.addOperations(rows: n, to: &sum)
    target.addOperations(rows: n, to: &sum)
    sum.add(actor.network, rows: n, forward: 1, weights: 1, inputs: 1)
    distillation.addOperations(rows: n, to: &sum)
    for network in critic.networks { sum.add(network, rows: n, forward: 3, weights: 2, inputs: 3) }
    return sum
  }

  public static func policy(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> any Policy<T> {
    ReturnPolicy<T>(spec, hyperparameters, rows: rows)
  }

  public static func behaviour(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> (any Policy<T>)? {
    FlowPolicy<T>(
      spec, hyperparameters, rows: rows, steps: hyperparameters.flowSteps,
      clipsEachStep: hyperparameters.clipFlowActions)
  }
}

/// What the target flows say: returns of the next state, and how sure they are of those of the present one.
///
/// Rows: n whole flows from ε at (s′, a′); n from the same ε, stopped at time t; n at (s, a) that are differentiated.
/// All take a step in one product.
private final class TargetReturns<T: Real> {
  let flows: ReturnFlows<T>
  /// w = sigmoid(−confidence_weight_temp / deviation) + ½, for each row.
  let weights: UnsafeMutablePointer<T>
  /// |∂z/∂ε| at (s, a), both flows' as one, for each row.
  let deviations: UnsafeMutablePointer<T>

  /// z′ and z′_t, returns of the next state at the end of the flows and where they are stopped, both flows' as one,
  /// n × 1 each.
  let final: Matrix<T>
  let stopped: Matrix<T>

  private let steps: Int
  private let temperature: T
  private let aggregation: Aggregation
  private let returnAggregation: Aggregation
  private let workspace = Workspace<T>()
  /// z of both flows in all rows, and ∂z/∂ε in the last n.
  private let z: [Matrix<T>]
  private let derivative: [Matrix<T>]
  private var count = 0

  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int, scratch: Scratch<T>) {
    var apart = ParameterLayout()
    flows = ReturnFlows(spec, hyperparameters, layout: &apart, rows: 3 * rows, scratch: scratch)
    steps = hyperparameters.flowSteps
    temperature = T(hyperparameters.confidenceWeightTemp)
    aggregation = hyperparameters.qAgg
    returnAggregation = hyperparameters.retAgg
    let workspace = workspace
    weights = workspace.vector(rows)
    deviations = workspace.vector(rows)
    final = workspace.matrix(rows: rows, columns: 1)
    stopped = workspace.matrix(rows: rows, columns: 1)
    z = (0..<2).map { _ in workspace.matrix(rows: 3 * rows, columns: 1) }
    derivative = (0..<2).map { _ in workspace.matrix(rows: rows, columns: 1) }
  }

  /// Both flows' velocities at (z′_t, t, s′, a′).
  var velocities: TwinValues<T> { flows.velocities(block(1, count)) }

  /// - Parameters:
  ///   - parameters: the targets' first.
  ///   - noise: ε.
  ///   - time: t.
  ///   - weightNoise: where the differentiated flows start.
  func integrate(
    _ parameters: UnsafePointer<T>, _ batch: Batch<T>, nextAction: Matrix<T>, noise: Matrix<T>,
    time: Matrix<T>, weightNoise: Matrix<T>
  ) {
    let n = batch.rows
    count = n
    let next = batch.nextObservations.rows(0..<n)
    flows.place(block(0, n), z: noise, time: nil, next, nextAction)
    flows.place(block(1, n), z: noise, time: nil, next, nextAction)
    flows.place(
      block(2, n), z: weightNoise, time: nil, batch.observations.rows(0..<n), batch.actions.rows(0..<n))
    for (j, network) in flows.networks.enumerated() {
      z[j].rows(0..<3 * n).copy(network.input.rows(0..<3 * n).columns(0..<1))
      derivative[j].rows(0..<n).replaceEach { _ in 1 }
      for step in 0..<steps { take(step, j, network, parameters + network.start, time) }
    }
    for i in 0..<n {
      final[i, 0] = returnAggregation(z[0][i, 0], z[1][i, 0])
      stopped[i, 0] = returnAggregation(z[0][n + i, 0], z[1][n + i, 0])
    }
    flows.place(block(1, n), z: stopped.rows(0..<n), time: time, next, nextAction)
    flows.forward(parameters, rows: block(1, n))
    weigh()
  }

  /// One Euler step of a flow: z ← clip(z + h · v), and for its derivative d ← d + h · (∂v/∂z) · d, which the clipping
  /// does not touch.
  private func take(
    _ step: Int, _ j: Int, _ network: MLP<T>, _ parameters: UnsafePointer<T>, _ time: Matrix<T>
  ) {
    let n = count
    let (z, d) = (z[j], derivative[j].rows(0..<n))
    let share = 1 / T(steps)
    func end(_ row: Int) -> T { block(1, n).contains(row) ? time[row - n, 0] : 1 }
    for row in 0..<3 * n {
      network.input[row, 0] = z[row, 0]
      network.input[row, 1] = T(step) * share * end(row)
    }
    network.forward(parameters, rows: 0..<3 * n, gradientRows: block(2, n))
    network.pushForward(parameters, rows: block(2, n), along: d, columns: 0..<1)
    let (v, change) = (network.output(), network.outputTangent().rows(block(2, n)))
    for row in 0..<3 * n { z[row, 0] = flows.clip(z[row, 0] + share * end(row) * v[row, 0]) }
    for i in 0..<n { d[i, 0] += share * change[i, 0] }
  }

  private func weigh() {
    for i in 0..<count {
      deviations[i] = aggregation(abs(derivative[0][i, 0]), abs(derivative[1][i, 0]))
      weights[i] = 1 / (1 + T.exp(temperature / deviations[i])) + 0.5
    }
  }

  func addOperations(rows: Int, to sum: inout Operations) {
    for network in flows.networks {
      sum.add(network, rows: rows, forward: 3 * steps + 1)
      sum.addTangents(network, rows: rows, count: steps, columns: 1)
    }
  }
}

/// Chooses the candidate action of the largest one-step value. It holds networks of the agent's layout.
private final class ReturnChoice<T: Real> {
  private let candidates: CandidateActions<T>
  private let critic: ReturnFlows<T>
  private let aggregation: Aggregation

  /// - Parameter rows: the most observations of a call.
  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    var layout = ParameterLayout()
    candidates = CandidateActions(spec, hyperparameters, layout: &layout, rows: rows)
    let none = Scratch<T>(rows: 0, width: 0)
    _ = MLP<T>(OneStepActor<T>.shape(spec, hyperparameters), layout: &layout, rows: 0, scratch: none)
    let tile = candidates.capacity
    critic = ReturnFlows(
      spec, hyperparameters, layout: &layout, rows: tile, keepsActivations: false,
      scratch: hyperparameters.scratch(rows: tile, T.self))
    aggregation = hyperparameters.qAgg
  }

  var networks: [MLP<T>] { [candidates.flow.network] + critic.networks }

  /// chosen ← the best candidate for each observation.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the agent's layout.
  ///   - noise: where the flow of actions starts, n × (N·A).
  ///   - returnNoise: where the one-step values start, n × N.
  func choose(
    _ parameters: UnsafePointer<T>, _ observations: Matrix<T>, noise: Matrix<T>, returnNoise: Matrix<T>,
    into chosen: Matrix<T>
  ) {
    let count = candidates.count
    let starts = Matrix(returnNoise.base, rows: observations.rows * count, columns: 1)
    candidates.choose(parameters, observations, noise: noise, into: chosen) { samples in
      let rows = 0..<samples.count * count
      let start = starts.rows(samples.lowerBound * count..<samples.upperBound * count)
      critic.place(rows, z: start, time: nil, candidates.states.rows(rows), candidates.actions.rows(rows))
      critic.forward(parameters + critic.start, rows: rows)
      let v = critic.velocities(rows)
      for row in rows {
        candidates.values[row] = aggregation(
          critic.clip(start[row, 0] + v.first[row, 0]), critic.clip(start[row, 0] + v.second[row, 0]))
      }
    }
  }

  /// Adds what `choose` computes to a graph: the best candidates, batch × A.
  func describe(
    _ observations: OperatorGraph.Value, noise: OperatorGraph.Value, returnNoise: OperatorGraph.Value,
    in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    candidates.describe(observations, noise: noise, in: &graph) { states, actions, graph in
      let z = graph.apply("Unsqueeze", returnNoise, graph.integers(-1))
      let values = critic.describeValues(z, states, actions, in: &graph)
      let value =
        aggregation == .mean
        ? graph.apply("Div", graph.apply("Add", values[0], values[1]), graph.number(2))
        : graph.apply("Min", values[0], values[1])
      return graph.apply("Squeeze", value, graph.integers(-1))
    }
  }

  /// - Parameter rows: observations of an update.
  func addOperations(rows: Int, to sum: inout Operations) {
    candidates.addOperations(rows: rows, to: &sum)
    for network in critic.networks { sum.add(network, rows: rows * candidates.count, forward: 1) }
  }
}

/// Acts with the best of N candidates, fresh ones in each step.
private final class ReturnPolicy<T: Real>: Policy {
  let observations: Matrix<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>

  private let choice: ReturnChoice<T>
  private let workspace = Workspace<T>()

  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    let count = hyperparameters.numSamples
    choice = ReturnChoice(spec, hyperparameters, rows: rows)
    observations = workspace.matrix(rows: rows, columns: spec.observationSize)
    draws = [
      Draw("noise", .normal, width: count * spec.actionSize), Draw("return_noise", .normal, width: count),
    ]
    noise = draws.map { [workspace] in $0.matrix(rows: rows, workspace) }
    actions = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  var networks: [MLP<T>] { choice.networks }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
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
