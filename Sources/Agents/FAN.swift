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
public final class FAN<T: Real>: Agent {
  public static var title: String { "FAN" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.995", "expectile": "0.9", "z-agg": "mean", "alpha1": "10", "alpha2": "10",
      "normalize-value-loss": "false", "layer-norm": "true", "actor-layer-norm": "false",
    ]
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

  public static func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw] {
    Noise.allCases.map { Draw(noiseOrTime: $0.name, spec) }
  }

  public let layout: ParameterLayout
  public let figures = Figures([
    "critic/critic_loss", "critic/q_loss", "critic/z_loss", "critic/br_mse", "critic/q_mean",
    "critic/q_max", "critic/q_min", "critic/z_mean", "critic/z_max", "critic/z_min", "actor/actor_loss",
    "actor/bc_flow_loss", "actor/br_loss", "actor/q_loss", "actor/z_loss", "actor/q", "actor/z", "actor/mse",
  ])
  public let networks: [MLP<T>]

  private let alpha1: T
  private let alpha2: T
  private let actor: OneStepActor<T>
  private let anchoring: FlowAnchoring<T>
  private let value: NoiseConditionedValue<T>

  public init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    alpha1 = T(hyperparameters.alpha1)
    alpha2 = T(hyperparameters.alpha2)
    let scratch = hyperparameters.scratch(rows: 3 * rows, T.self)
    var layout = ParameterLayout()
    anchoring = FlowAnchoring(
      spec, hyperparameters, weight: alpha1, layout: &layout, rows: rows, scratch: scratch)
    actor = OneStepActor(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    value = NoiseConditionedValue(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    self.layout = layout
    networks = [actor.network, anchoring.flow.network, value.criticZ, value.critic, value.target]
  }

  @specialized(where T == Float)
  public func evaluate(
    _ parameters: UnsafePointer<T>, target: UnsafePointer<T>, batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout SIMD2<Double>) throws -> Void
  ) throws {
    let n = batch.rows
    let figures = logging ? figures : nil

    actor.forward(
      parameters, batch, nextNoise: batch[Noise.nextAction], noise: batch[Noise.action],
      logNoise: logging ? batch[Noise.logAction] : nil)
    let next = Path(
      from: batch[Noise.nextAction], to: actor.nextAction.rows(0..<n), time: batch[Noise.nextTime])
    let data = Path(from: batch[Noise.flow], to: batch.actions.rows(0..<n), time: batch[Noise.flowTime])
    let policy = Path(from: batch[Noise.action], to: actor.output(n), time: batch[Noise.actionTime])
    let weighsNext = alpha2 != 0 || logging
    anchoring.forward(parameters, batch, next: weighsNext ? next : nil, data: data, policy: policy)
    value.forward(
      parameters, target, batch, nextAction: actor.nextAction, nextNoise: batch[Noise.nextAction],
      targetNoise: batch[Noise.target], policy: (actor.action, batch[Noise.value]))

    // y = r + γ · mask · (z′ − alpha2 · br), sg.
    value.criticLoss(
      batch, penalty: alpha2 != 0 ? Penalty(weight: alpha2, values: anchoring.nextError) : nil, figures)
    anchoring.loss(batch, data: data, policy: policy, gradient: actor.gradient(n), figures)
    try value.actorLoss(batch, sumOverRanks, figures)
    if let figures {
      figures["critic/br_mse"] = (0..<n).reduce(0) { $0 + Double(anchoring.nextError[$1] * batch.perSample) }
      figures["actor/actor_loss"] = figures["actor/bc_flow_loss"] + policyLoss
      actor.log(batch, figures)
    }

    guard let gradients else { return }
    value.backward(parameters, into: gradients, actor, rows: n)
    anchoring.backward(parameters, into: gradients, policy: policy, gradient: actor.gradient(n))
    actor.backward(parameters, into: gradients, rows: n)
  }

  private var policyLoss: Double {
    Double(alpha1) * figures["actor/br_loss"] + figures["actor/q_loss"] + figures["actor/z_loss"]
  }

  public var freezesScales: Bool {
    get { value.freezesScales }
    set { value.freezesScales = newValue }
  }

  public func lossReaching(_ network: String) -> Double {
    switch network {
    case "critic": figures["critic/q_loss"]
    case "critic_z": figures["critic/z_loss"]
    case "actor_bc_flow": figures["actor/bc_flow_loss"]
    default: policyLoss
    }
  }

  public func returns(
    _ parameters: UnsafePointer<T>, observation: Matrix<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    value.returns(parameters, observation, action, noise: noise)
  }

  public func operations(rows: Int) -> Operations {
    var sum = Operations(batch: rows)
    actor.addOperations(rows: rows, to: &sum)
    anchoring.addOperations(rows: rows, weighsNext: alpha2 != 0, to: &sum)
    value.addOperations(rows: rows, to: &sum)
    return sum
  }

  public static func policy(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> any Policy<T> {
    OneStepPolicy(
      spec, hyperparameters, rows: rows, after: BehaviourFlow<T>.shape(spec, hyperparameters))
  }

  public static func behaviour(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> (any Policy<T>)? {
    FlowPolicy(spec, hyperparameters, rows: rows, steps: 10)
  }
}
