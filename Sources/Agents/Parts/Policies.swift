import Kernels
import Networks

/// Acts with `actor_onestep_flow`: a = clip(π(s, ε)), fresh ε in each step.
final class OneStepPolicy<T: Real>: Policy {
  let observations: Matrix<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>

  private let network: MLP<T>
  private let workspace = Workspace<T>()

  /// - Parameter first: the network that comes before the policy in the agent's layout, if there is one.
  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int, after first: NetworkShape?) {
    // Only forward passes: no scratch memory is used.
    let scratch = hyperparameters.scratch(rows: 0, T.self)
    var layout = ParameterLayout()
    if let first { _ = MLP<T>(first, layout: &layout, rows: 0, scratch: scratch) }
    network = MLP(
      OneStepActor<T>.shape(spec, hyperparameters), layout: &layout, rows: rows, scratch: scratch)
    observations = workspace.matrix(rows: rows, columns: spec.observationSize)
    draws = [Draw("noise", .normal, width: spec.actionSize)]
    noise = [draws[0].matrix(rows: rows, workspace)]
    actions = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  var networks: [MLP<T>] { [network] }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    network.input.rows(0..<n).concatenate(observations.rows(0..<n), noise[0].rows(0..<n))
    network.forward(parameters + network.start, rows: 0..<n)
    actions.rows(0..<n).clip(network.output().rows(0..<n))
  }

  var rule: String { "action = clip(actor_onestep_flow([observation, noise]), -1, 1), noise ~ N(0, 1)" }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    graph.clip(network.shape.describe(graph.concatenate(observations, noise[0]), in: &graph))
  }
}

/// Acts with a flow of actions, integrated from fresh ε in each step: behaviour cloning. The flow comes first in the
/// agent's layout.
final class FlowPolicy<T: Real>: Policy {
  let observations: Matrix<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>

  private let flow: BehaviourFlow<T>
  private let steps: Int
  private let clipsEachStep: Bool
  private let workspace = Workspace<T>()

  /// - Parameters:
  ///   - steps: Euler steps of the integration.
  ///   - clipsEachStep: clips after each of them.
  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int, steps: Int, clipsEachStep: Bool = false
  ) {
    self.steps = steps
    self.clipsEachStep = clipsEachStep
    var layout = ParameterLayout()
    flow = BehaviourFlow(
      BehaviourFlow<T>.shape(spec, hyperparameters), layout: &layout, rows: rows, passesGradient: false,
      scratch: hyperparameters.scratch(rows: 0, T.self))
    observations = workspace.matrix(rows: rows, columns: spec.observationSize)
    draws = [Draw("noise", .normal, width: spec.actionSize)]
    noise = [draws[0].matrix(rows: rows, workspace)]
    actions = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  var networks: [MLP<T>] { [flow.network] }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    flow.integrate(
      parameters, observations.rows(0..<n), from: noise[0].rows(0..<n), steps: steps,
      clipsEachStep: clipsEachStep, into: actions.rows(0..<n))
  }

  var rule: String {
    """
    action = x after \(steps) steps x <- x + actor_bc_flow([observation, x, i/\(steps)])/\(steps) from noise ~ N(0, 1), \
    clipped to -1...1 \(clipsEachStep ? "after each" : "at the end")
    """
  }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    flow.describe(observations, from: noise[0], steps: steps, clipsEachStep: clipsEachStep, in: &graph)
  }
}
