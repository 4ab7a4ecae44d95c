import Kernels
import Networks

/// Noise-conditioned Flow Q-Learning, FAN with FQL's constraint (arXiv 2605.01663, ablations): the value of `FAN`; the
/// policy is pulled to where the behaviour flow ends, integrated over `flow-steps` Euler steps, and the critic's
/// target has no penalty.
public final class NFQL<T: Real>: Agent {
  public static var title: String { "NFQL" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.995", "expectile": "0.9", "z-agg": "mean", "alpha": "10", "flow-steps": "10",
      "normalize-value-loss": "false", "layer-norm": "true", "actor-layer-norm": "false",
    ]
  }

  /// The random inputs of an update.
  private enum Noise: Int, CaseIterable {
    case nextAction, target, flow, flowTime, action, value, logAction

    var name: String {
      switch self {
      case .nextAction: "critic/next_action_noise"
      case .target: "critic/target_noise"
      case .flow: "actor/flow_noise"
      case .flowTime: "actor/flow_time"
      case .action: "actor/action_noise"
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
    "critic/critic_loss", "critic/q_loss", "critic/z_loss", "critic/q_mean", "critic/q_max", "critic/q_min",
    "critic/z_mean", "critic/z_max", "critic/z_min", "actor/actor_loss", "actor/bc_flow_loss",
    "actor/br_loss", "actor/q_loss", "actor/z_loss", "actor/q", "actor/z", "actor/mse",
  ])
  public let networks: [MLP<T>]

  private let alpha: T
  private let actor: OneStepActor<T>
  private let distillation: FlowDistillation<T>
  private let value: NoiseConditionedValue<T>

  public init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    alpha = T(hyperparameters.alpha)
    let scratch = hyperparameters.scratch(rows: 3 * rows, T.self)
    var layout = ParameterLayout()
    distillation = FlowDistillation(
      spec, hyperparameters, weight: alpha, layout: &layout, rows: rows, scratch: scratch)
    actor = OneStepActor(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    value = NoiseConditionedValue(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    self.layout = layout
    networks = [actor.network, distillation.flow.network, value.criticZ, value.critic, value.target]
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
    let data = Path(from: batch[Noise.flow], to: batch.actions.rows(0..<n), time: batch[Noise.flowTime])
    distillation.forward(parameters, batch, noise: batch[Noise.action], data: data)
    value.forward(
      parameters, target, batch, nextAction: actor.nextAction, nextNoise: batch[Noise.nextAction],
      targetNoise: batch[Noise.target], policy: (actor.action, batch[Noise.value]))

    // y = r + γ · mask · z′, sg.
    value.criticLoss(batch, penalty: nil, figures)
    distillation.loss(batch, data: data, actor, figure: "actor/br_loss", figures)
    try value.actorLoss(batch, sumOverRanks, figures)
    if let figures {
      figures["actor/actor_loss"] = figures["actor/bc_flow_loss"] + policyLoss
      actor.log(batch, figures)
    }

    guard let gradients else { return }
    value.backward(parameters, into: gradients, actor, rows: n)
    distillation.backward(parameters, into: gradients, rows: n)
    actor.backward(parameters, into: gradients, rows: n)
  }

  private var policyLoss: Double {
    Double(alpha) * figures["actor/br_loss"] + figures["actor/q_loss"] + figures["actor/z_loss"]
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
    distillation.addOperations(rows: rows, to: &sum)
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
    FlowPolicy(spec, hyperparameters, rows: rows, steps: hyperparameters.flowSteps)
  }
}
