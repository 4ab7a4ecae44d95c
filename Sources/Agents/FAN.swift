import Kernels
import Networks

/// Flow-Anchored Noise-conditioned Q-learning (arXiv 2605.01663).
///
/// - `actor_onestep_flow`: the policy, a = π(s, ε), one forward pass per action.
/// - `actor_bc_flow`: the velocity field v(s, x, t) of a flow that models the dataset's actions. The policy is
///   anchored to it by comparing directions at one random time; it is never integrated in training.
/// - `critic`: Q(s, a, ε), which over random ε represents the distribution of returns.
/// - `critic_z`: Z(s, a), the upper expectile of Q(s, a, ε) over ε.
///
/// In comments: B rows of the batch over all ranks, n rows of this rank, A action size, E ensemble members, sg a
/// stopped gradient, θ the parameters that a term trains. The gradient is that of the sum of critic and actor
/// loss, everything evaluated at the parameters from before the update.
public final class FAN<T: Real> {
  /// Where the trained networks' tensors lie in the flat vector.
  public let layout: ParameterLayout
  /// Where the critic lies in the flat vector; the target critic is a vector of this length.
  public let criticRange: Range<Int>
  /// After a logging call, this rank's part of each of `figures`.
  public private(set) var figureValues = [Double](repeating: 0, count: FAN.figures.count)
  /// Whether this rank's part of the gradient is finite in the last call that computed it.
  public var gradientIsFinite: Bool {
    flow.gradientIsFinite && policy.gradientIsFinite && critic.gradientIsFinite && criticZ.gradientIsFinite
  }
  /// Keeps the scales of normalised value losses as they are, for checks by finite differences: they stand
  /// outside the gradient.
  public var freezesValueScales = false

  private let actionSize: Int
  private let discount: T
  private let expectile: T
  private let alpha1: T
  private let alpha2: T
  private let zAggregation: Aggregation
  private let normalisesValueLoss: Bool

  private let flow: MLP<T>
  private let policy: MLP<T>
  private let critic: MLP<T>
  private let criticZ: MLP<T>
  private let targetCritic: MLP<T>

  /// sg(1 / mean|·|) of the actor's q and z when normalised, else 1.
  private var valueScales = SIMD2<Double>(1, 1)
  private let workspace = Workspace<T>()
  /// a′ = clip(π(s′, ε′)), n × A.
  private let nextAction: Matrix<T>
  /// π_c = clip(π(s, ε)), n × A.
  private let action: Matrix<T>

  /// Networks and workspaces for up to `rows` rows on this rank.
  public init(observationSize: Int, actionSize: Int, hyperparameters: Hyperparameters, rows: Int) {
    self.actionSize = actionSize
    discount = T(hyperparameters.discount)
    expectile = T(hyperparameters.expectile)
    alpha1 = T(hyperparameters.alpha1)
    alpha2 = T(hyperparameters.alpha2)
    zAggregation = hyperparameters.zAgg
    normalisesValueLoss = hyperparameters.normalizeValueLoss

    let shapes = FANShapes(observationSize, actionSize, hyperparameters)
    let scratch = Scratch<T>(rows: 3 * rows, width: shapes.widestLayer)
    let actionColumns = observationSize..<observationSize + actionSize
    var layout = ParameterLayout()
    flow = MLP(
      shapes.flow, layout: &layout, rows: 3 * rows, inputGradientColumns: actionColumns, scratch: scratch)
    policy = MLP(shapes.policy, layout: &layout, rows: 3 * rows, scratch: scratch)
    critic = MLP(
      shapes.critic, layout: &layout, rows: 2 * rows, inputGradientColumns: actionColumns, scratch: scratch)
    criticZ = MLP(
      shapes.criticZ, layout: &layout, rows: 3 * rows, inputGradientColumns: actionColumns, scratch: scratch)
    self.layout = layout
    criticRange = critic.start..<critic.start + critic.parameterCount
    var targetLayout = ParameterLayout()
    targetCritic = MLP(shapes.critic, layout: &targetLayout, rows: rows, scratch: scratch)
    nextAction = workspace.matrix(rows: rows, columns: actionSize)
    action = workspace.matrix(rows: rows, columns: actionSize)
  }

  /// The random inputs of an update for actions of `actionSize`, in the order in which they are drawn.
  public static func draws(actionSize: Int) -> [Draw] {
    Noise.allCases.map {
      let isTime = $0.name.hasSuffix("time")
      return Draw(name: $0.name, distribution: isTime ? .uniform : .normal, width: isTime ? 1 : actionSize)
    }
  }

  /// The logged figures, named as in the published code.
  public static var figures: [Figure] { LoggedFigure.allCases.map(\.figure) }

  /// One update's losses and gradients on this rank's rows.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector, of `layout.count` elements.
  ///   - target: the target critic's parameters, of `criticRange.count` elements.
  ///   - logging: whether `figureValues` is wanted; what only it needs is otherwise not computed.
  ///   - gradients: receives this rank's part of the gradient, as long as the flat vector; the ranks' parts add
  ///     up to it. Nil computes losses and figures only.
  ///   - sumOverRanks: replaces its argument by its sum over all ranks. Called once, by all ranks, only when the
  ///     value losses are normalised. What it throws is thrown.
  public func evaluate<E: Error>(
    _ parameters: UnsafePointer<T>, target: UnsafePointer<T>, batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout SIMD2<Double>) throws(E) -> Void
  ) throws(E) {
    forward(parameters, target, batch, logging: logging)
    criticLoss(batch, logging: logging)
    if normalisesValueLoss && !freezesValueScales { try measureValueScales(batch, sumOverRanks) }
    actorLoss(batch, logging: logging)
    if let gradients { backward(parameters, batch, into: gradients) }
  }

  /// The part of the loss that reaches a network's parameters, from the figures of the last logging call: what
  /// differences of that network's gradient are taken of.
  public func lossReaching(_ network: String) -> Double {
    switch network {
    case "critic": return self[.criticQLoss]
    case "critic_z": return self[.criticZLoss]
    case "actor_bc_flow": return self[.flowLoss]
    default: return Double(alpha1) * self[.anchoringLoss] + self[.actorQLoss] + self[.actorZLoss]
    }
  }

  /// Operations of the matrix products that an update of `rows` rows needs, by kind: forward passes, gradients by
  /// weights, gradients by inputs. A gradient by inputs costs what a forward pass does.
  public func neededOperations(rows: Int) -> (forward: Int, weights: Int, inputs: Int) {
    func cost(_ network: MLP<T>, _ passes: Int) -> Int { passes * rows * network.shape.operationsPerRow }
    return (
      forward: cost(policy, 2) + cost(flow, alpha2 != 0 ? 3 : 2) + cost(criticZ, 3) + cost(critic, 2)
        + cost(targetCritic, 1),
      weights: cost(policy, 1) + cost(flow, 1) + cost(criticZ, 1) + cost(critic, 1),
      inputs: cost(policy, 1) + cost(flow, 2) + cost(criticZ, 2) + cost(critic, 2)
    )
  }

  /// The network and layer that gave the first value that is not finite in the last logging call; nil when all
  /// are finite.
  public func firstNonFinite(rows n: Int) -> String? {
    for (network, stack) in [(policy, 3), (flow, 3), (criticZ, 3), (critic, 2), (targetCritic, 1)] {
      if let place = network.firstNonFinite(rows: 0..<stack * n) { return place }
    }
    return nil
  }

  // MARK: Forward

  private func forward(
    _ parameters: UnsafePointer<T>, _ target: UnsafePointer<T>, _ batch: Batch<T>, logging: Bool
  ) {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    let next = batch.nextObservations.rows(0..<n)
    let a = batch.actions.rows(0..<n)
    let anchorsNext = alpha2 != 0 || logging

    // Policy: (s, log noise) for a logged figure; (s′, ε′); (s, ε) θ.
    if logging { policy.input.rows(block(0, n)).concatenate(s, noise(.logAction, batch)) }
    policy.input.rows(block(1, n)).concatenate(next, noise(.nextAction, batch))
    policy.input.rows(block(2, n)).concatenate(s, noise(.action, batch))
    policy.forward(
      parameters + policy.start, rows: (logging ? 0 : n)..<3 * n, gradientRows: block(2, n))
    nextAction.rows(0..<n).clip(policy.output().rows(block(1, n)))
    action.rows(0..<n).clip(policy.output().rows(block(2, n)))

    // Flow: between ε′ and a′ at s′; between x₀ and a at s, θ; between ε and π at s, through to π.
    if anchorsNext {
      flowInput(block(0, n), next, noise(.nextAction, batch), nextAction, noise(.nextTime, batch))
    }
    flowInput(block(1, n), s, noise(.flow, batch), a, noise(.flowTime, batch))
    flowInput(
      block(2, n), s, noise(.action, batch), policy.output().rows(block(2, n)), noise(.actionTime, batch))
    flow.forward(
      parameters + flow.start, rows: (anchorsNext ? 0 : n)..<3 * n, gradientRows: n..<3 * n)

    // Z: (s′, a′); (s, a) θ; (s, π_c) through. Q: (s, a, ε′) θ; (s, π_c, ε_q) through. Target: (s, a, ε).
    criticZ.input.rows(block(0, n)).concatenate(next, nextAction.rows(0..<n))
    criticZ.input.rows(block(1, n)).concatenate(s, a)
    criticZ.input.rows(block(2, n)).concatenate(s, action.rows(0..<n))
    criticZ.forward(parameters + criticZ.start, rows: 0..<3 * n, gradientRows: n..<3 * n)
    critic.input.rows(block(0, n)).concatenate(s, a, noise(.nextAction, batch))
    critic.input.rows(block(1, n)).concatenate(s, action.rows(0..<n), noise(.value, batch))
    critic.forward(parameters + critic.start, rows: 0..<2 * n, gradientRows: 0..<2 * n)
    targetCritic.input.rows(block(0, n)).concatenate(s, a, noise(.target, batch))
    targetCritic.forward(target, rows: 0..<n)
  }

  /// [s, x, t] with x = (1 − t)·from + t·to.
  private func flowInput(
    _ rows: Range<Int>, _ s: Matrix<T>, _ from: Matrix<T>, _ to: Matrix<T>, _ time: Matrix<T>
  ) {
    let input = flow.input.rows(rows)
    let start = s.columns
    input.columns(0..<start).copy(s)
    for i in 0..<rows.count {
      let t = time[i, 0]
      for c in 0..<actionSize { input[i, start + c] = (1 - t) * from[i, c] + t * to[i, c] }
      input[i, start + actionSize] = t
    }
  }

  // MARK: Losses, and their gradients with respect to the networks' outputs

  private func criticLoss(_ batch: Batch<T>, logging: Bool) {
    let n = batch.rows
    let perValue = 1 / T(2 * batch.globalRows)
    var (qLoss, zLoss, anchoring) = (T(0), T(0), T(0))
    for i in 0..<n {
      // y = r + γ · mask · (z′ − alpha2 · br), sg, with z′ of the current critic_z.
      let br = alpha2 != 0 || logging ? nextAnchoring(i, batch) : 0
      let z = aggregate(criticZ.output(0)[i, 0], criticZ.output(1)[i, 0])
      let y = batch.rewards[i] + discount * batch.masks[i] * (z - alpha2 * br)
      let yZ = (targetCritic.output(0)[i, 0] + targetCritic.output(1)[i, 0]) / 2
      anchoring += br
      for e in 0..<2 {
        let q = critic.output(e)[i, 0] - y
        qLoss += q * q
        critic.outputGradient(e)[i, 0] = 2 * q * perValue
        // d = y_z − z; w = expectile where d ≥ 0, else 1 − expectile.
        let d = yZ - criticZ.output(e)[n + i, 0]
        let weight = d >= 0 ? expectile : 1 - expectile
        zLoss += weight * d * d
        criticZ.outputGradient(e)[n + i, 0] = -2 * weight * d * perValue
      }
    }
    guard logging else { return }
    self[.criticQLoss] = Double(qLoss * perValue)
    self[.criticZLoss] = Double(zLoss * perValue)
    self[.criticLoss] = self[.criticQLoss] + self[.criticZLoss]
    self[.nextAnchoring] = Double(anchoring) / Double(batch.globalRows)
    let q = extent(critic, block(0, n))
    let z = extent(criticZ, block(1, n))
    self[.criticQMean] = Double(q.sum * perValue)
    self[.criticQMax] = Double(q.maximum)
    self[.criticQMin] = Double(q.minimum)
    self[.criticZMean] = Double(z.sum * perValue)
    self[.criticZMax] = Double(z.maximum)
    self[.criticZMin] = Double(z.minimum)
  }

  /// br of row i: Σ over A of (a′ − ε′ − v(s′, x, t))².
  private func nextAnchoring(_ i: Int, _ batch: Batch<T>) -> T {
    let noise = noise(.nextAction, batch)
    var sum = T(0)
    for c in 0..<actionSize {
      let difference = nextAction[i, c] - noise[i, c] - flow.output()[i, c]
      sum += difference * difference
    }
    return sum
  }

  /// The scales of −mean(q) and −mean(z): one over the mean magnitude, over all ranks.
  private func measureValueScales<E: Error>(
    _ batch: Batch<T>, _ sumOverRanks: (inout SIMD2<Double>) throws(E) -> Void
  ) throws(E) {
    let n = batch.rows
    var magnitudes = SIMD2<Double>(0, 0)
    for i in 0..<n {
      magnitudes.x += Double(abs(actorQ(i, n)))
      magnitudes.y += Double(abs(actorZ(i, n)))
    }
    try sumOverRanks(&magnitudes)
    valueScales = SIMD2(repeating: Double(batch.globalRows)) / magnitudes
  }

  private func actorLoss(_ batch: Batch<T>, logging: Bool) {
    let n = batch.rows
    let perSample = 1 / T(batch.globalRows)
    let perElement = perSample / T(actionSize)
    let (start, noise) = (noise(.flow, batch), noise(.action, batch))
    var (flowLoss, anchoringLoss, q, z) = (T(0), T(0), T(0), T(0))
    for i in 0..<n {
      for c in 0..<actionSize {
        // (v(s, x_t, t)θ − (a − x₀))².
        let error = flow.output()[n + i, c] - (batch.actions[i, c] - start[i, c])
        flowLoss += error * error
        flow.outputGradient()[n + i, c] = 2 * error * perElement
        // (π − ε − v(s, x, t))²; π receives the gradient directly here, and through x in `backward`.
        let difference = policy.output()[2 * n + i, c] - noise[i, c] - flow.output()[2 * n + i, c]
        anchoringLoss += difference * difference
        let gradient = 2 * alpha1 * difference * perElement
        flow.outputGradient()[2 * n + i, c] = -gradient
        policy.outputGradient()[2 * n + i, c] = gradient
      }
      // −scale · mean(q) − scale · mean(z).
      q += actorQ(i, n)
      z += actorZ(i, n)
      for e in 0..<2 {
        critic.outputGradient(e)[n + i, 0] = -T(valueScales.x) * perSample / 2
        criticZ.outputGradient(e)[2 * n + i, 0] = -T(valueScales.y) * perSample / 2
      }
    }
    guard logging else { return }
    self[.flowLoss] = Double(flowLoss * perElement)
    self[.anchoringLoss] = Double(anchoringLoss * perElement)
    self[.actorQ] = Double(q * perSample)
    self[.actorZ] = Double(z * perSample)
    self[.actorQLoss] = -valueScales.x * self[.actorQ]
    self[.actorZLoss] = -valueScales.y * self[.actorZ]
    self[.actorLoss] =
      self[.flowLoss] + Double(alpha1) * self[.anchoringLoss] + self[.actorQLoss] + self[.actorZLoss]
    self[.actionError] = Double(actionError(batch) * perElement)
  }

  /// Σ over rows and A of (clip(π(s, log noise)) − a)².
  private func actionError(_ batch: Batch<T>) -> T {
    var sum = T(0)
    for i in 0..<batch.rows {
      for c in 0..<actionSize {
        let difference = max(-1, min(1, policy.output()[i, c])) - batch.actions[i, c]
        sum += difference * difference
      }
    }
    return sum
  }

  // MARK: Backward

  private func backward(
    _ parameters: UnsafePointer<T>, _ batch: Batch<T>, into gradients: UnsafeMutablePointer<T>
  ) {
    let n = batch.rows
    critic.backward(
      parameters + critic.start, into: gradients + critic.start, weightRows: block(0, n),
      inputRows: block(1, n))
    criticZ.backward(
      parameters + criticZ.start, into: gradients + criticZ.start, weightRows: block(1, n),
      inputRows: block(2, n))
    flow.backward(
      parameters + flow.start, into: gradients + flow.start, weightRows: block(1, n), inputRows: block(2, n))
    let time = noise(.actionTime, batch)
    let gradient = policy.outputGradient().rows(block(2, n))
    let (throughX, throughQ, throughZ) = (
      flow.inputGradient.rows(block(2, n)), critic.inputGradient.rows(block(1, n)),
      criticZ.inputGradient.rows(block(2, n))
    )
    for i in 0..<n {
      for c in 0..<actionSize {
        // x = (1 − t)ε + t·π; and no gradient through the clip where it acts.
        let inside = abs(policy.output()[2 * n + i, c]) <= 1
        gradient[i, c] += time[i, 0] * throughX[i, c] + (inside ? throughQ[i, c] + throughZ[i, c] : 0)
      }
    }
    policy.backward(
      parameters + policy.start, into: gradients + policy.start, weightRows: block(2, n))
  }

  // MARK: Small pieces

  /// The i-th n rows of a stack.
  private func block(_ i: Int, _ n: Int) -> Range<Int> { i * n..<(i + 1) * n }

  private func noise(_ which: Noise, _ batch: Batch<T>) -> Matrix<T> {
    batch.noise[which.rawValue].rows(0..<batch.rows)
  }

  private func aggregate(_ first: T, _ second: T) -> T {
    zAggregation == .mean ? (first + second) / 2 : min(first, second)
  }

  /// Mean over E of Q(s, π_c, ε_q) at row i.
  private func actorQ(_ i: Int, _ n: Int) -> T {
    (critic.output(0)[n + i, 0] + critic.output(1)[n + i, 0]) / 2
  }

  /// Mean over E of Z(s, π_c) at row i.
  private func actorZ(_ i: Int, _ n: Int) -> T {
    (criticZ.output(0)[2 * n + i, 0] + criticZ.output(1)[2 * n + i, 0]) / 2
  }

  /// Sum, largest and smallest of an ensemble's outputs over some rows.
  private func extent(_ network: MLP<T>, _ rows: Range<Int>) -> (sum: T, maximum: T, minimum: T) {
    var result = (sum: T(0), maximum: -T.infinity, minimum: T.infinity)
    for e in 0..<2 {
      for i in rows {
        let value = network.output(e)[i, 0]
        result.sum += value
        result.maximum = max(result.maximum, value)
        result.minimum = min(result.minimum, value)
      }
    }
    return result
  }

  private subscript(figure: LoggedFigure) -> Double {
    get { figureValues[figure.rawValue] }
    set { figureValues[figure.rawValue] = newValue }
  }
}

/// The sizes of FAN's networks.
struct FANShapes {
  let flow: NetworkShape
  let policy: NetworkShape
  let critic: NetworkShape
  let criticZ: NetworkShape

  init(_ observationSize: Int, _ actionSize: Int, _ hyperparameters: Hyperparameters) {
    let (O, A) = (observationSize, actionSize)
    func actor(_ name: String, inputs: Int) -> NetworkShape {
      NetworkShape(
        name: name, inputs: inputs, hidden: hyperparameters.actorHiddenDims.widths, outputs: A,
        layerNorm: hyperparameters.actorLayerNorm)
    }
    func value(_ name: String, inputs: Int) -> NetworkShape {
      NetworkShape(
        name: name, inputs: inputs, hidden: hyperparameters.valueHiddenDims.widths, outputs: 1,
        layerNorm: hyperparameters.layerNorm, ensemble: 2)
    }
    flow = actor("actor_bc_flow", inputs: O + A + 1)
    policy = actor("actor_onestep_flow", inputs: O + A)
    critic = value("critic", inputs: O + 2 * A)
    criticZ = value("critic_z", inputs: O + A)
  }

  var widestLayer: Int { (flow.hidden + critic.hidden).max() ?? 0 }
}

/// The random inputs of an update.
private enum Noise: Int, CaseIterable {
  case nextAction, nextTime, target, flow, flowTime, action, actionTime, value, logAction

  var name: String {
    switch self {
    case .nextAction: "critic/next_action_noise"
    case .nextTime: "critic/next_time"
    case .target: "critic/target_noise"
    case .flow: "actor/flow_noise"
    case .flowTime: "actor/flow_time"
    case .action: "actor/action_noise"
    case .actionTime: "actor/action_time"
    case .value: "actor/value_noise"
    case .logAction: "log/action_noise"
    }
  }
}

private enum LoggedFigure: Int, CaseIterable {
  case criticLoss, criticQLoss, criticZLoss, nextAnchoring
  case criticQMean, criticQMax, criticQMin, criticZMean, criticZMax, criticZMin
  case actorLoss, flowLoss, anchoringLoss, actorQLoss, actorZLoss, actorQ, actorZ, actionError

  var figure: Figure {
    switch self {
    case .criticLoss: Figure("critic/critic_loss")
    case .criticQLoss: Figure("critic/q_loss")
    case .criticZLoss: Figure("critic/z_loss")
    case .nextAnchoring: Figure("critic/br_mse")
    case .criticQMean: Figure("critic/q_mean")
    case .criticQMax: Figure("critic/q_max", .maximum)
    case .criticQMin: Figure("critic/q_min", .minimum)
    case .criticZMean: Figure("critic/z_mean")
    case .criticZMax: Figure("critic/z_max", .maximum)
    case .criticZMin: Figure("critic/z_min", .minimum)
    case .actorLoss: Figure("actor/actor_loss")
    case .flowLoss: Figure("actor/bc_flow_loss")
    case .anchoringLoss: Figure("actor/br_loss")
    case .actorQLoss: Figure("actor/q_loss")
    case .actorZLoss: Figure("actor/z_loss")
    case .actorQ: Figure("actor/q")
    case .actorZ: Figure("actor/z")
    case .actionError: Figure("actor/mse")
    }
  }
}
