import Kernels
import Networks

/// Noise-conditioned Behaviour-Regularised Actor-Critic, FAN with ReBRAC's constraint (arXiv 2605.01663, ablations):
/// the value of `FAN`; policy and critic's target are held to the actions of the dataset themselves, so that no
/// flow is learned.
public final class NBRAC<T: Real>: Agent {
  public static var title: String { "NBRAC" }

  public static var settings: KeyValuePairs<String, String> {
    [
      "discount": "0.995", "expectile": "0.9", "z-agg": "mean", "alpha1": "10", "alpha2": "10",
      "normalize-value-loss": "false", "layer-norm": "true", "actor-layer-norm": "false",
    ]
  }

  /// The random inputs of an update.
  private enum Noise: Int, CaseIterable {
    case nextAction, target, action, value, logAction

    var name: String {
      switch self {
      case .nextAction: "critic/next_action_noise"
      case .target: "critic/target_noise"
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
    "critic/critic_loss", "critic/q_loss", "critic/z_loss", "critic/br_mse", "critic/q_mean",
    "critic/q_max", "critic/q_min", "critic/z_mean", "critic/z_max", "critic/z_min", "actor/actor_loss",
    "actor/br_loss", "actor/q_loss", "actor/z_loss", "actor/q", "actor/z", "actor/mse",
  ])
  public let networks: [MLP<T>]

  private let alpha1: T
  private let alpha2: T
  private let actor: OneStepActor<T>
  private let value: NoiseConditionedValue<T>
  /// Σ over A of (a′ − a′_data)² for each row.
  private let nextDistance: UnsafeMutablePointer<T>
  private let workspace = Workspace<T>()

  public init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    alpha1 = T(hyperparameters.alpha1)
    alpha2 = T(hyperparameters.alpha2)
    let scratch = hyperparameters.scratch(rows: 3 * rows, T.self)
    var layout = ParameterLayout()
    actor = OneStepActor(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    value = NoiseConditionedValue(spec, hyperparameters, layout: &layout, rows: rows, scratch: scratch)
    nextDistance = workspace.vector(rows)
    self.layout = layout
    networks = [actor.network, value.criticZ, value.critic, value.target]
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
    actor.nextAction.rows(0..<n).squaredDistances(to: batch.nextActions.rows(0..<n), into: nextDistance)
    value.forward(
      parameters, target, batch, nextAction: actor.nextAction, nextNoise: batch[Noise.nextAction],
      targetNoise: batch[Noise.target], policy: (actor.action, batch[Noise.value]))

    // y = r + γ · mask · (z′ − alpha2 · Σ (a′ − a′_data)²), sg.
    value.criticLoss(batch, penalty: Penalty(weight: alpha2, values: nextDistance), figures)
    constraintLoss(batch, figures)
    try value.actorLoss(batch, sumOverRanks, figures)
    if let figures {
      figures["critic/br_mse"] = (0..<n).reduce(0) { $0 + Double(nextDistance[$1] * batch.perSample) }
      figures["actor/actor_loss"] = policyLoss
      actor.log(batch, figures)
    }

    guard let gradients else { return }
    value.backward(parameters, into: gradients, actor, rows: n)
    actor.backward(parameters, into: gradients, rows: n)
  }

  /// br_loss, the mean over B of Σ over A of (clip(π) − a)², and the gradient of alpha1 times that to π's.
  private func constraintLoss(_ batch: Batch<T>, _ figures: Figures?) {
    let n = batch.rows
    let (output, gradient) = (actor.output(n), actor.gradient(n))
    var sum = T(0)
    for i in 0..<n {
      for c in 0..<output.columns {
        let error = actor.action[i, c] - batch.actions[i, c]
        sum += error * error
        gradient[i, c] = abs(output[i, c]) <= 1 ? 2 * alpha1 * error * batch.perSample : 0
      }
    }
    figures?["actor/br_loss"] = Double(sum * batch.perSample)
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
    value.addOperations(rows: rows, to: &sum)
    return sum
  }

  public static func policy(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> any Policy<T> {
    OneStepPolicy(spec, hyperparameters, rows: rows, after: nil)
  }

  public static func behaviour(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int
  ) -> (any Policy<T>)? {
    nil
  }
}
