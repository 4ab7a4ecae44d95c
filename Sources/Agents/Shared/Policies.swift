import Kernels
import Networks

/// Acts with `actor_onestep_flow`: a = clip(π(s, ε)), fresh ε in each step.
final class OneStepPolicy<T: Real>: Policy {
  let observations: Observations<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>
  let networks: NetworkSet<T>
  private let actor: MLP<T>

  /// - Parameter shapes: the agent's.
  init(_ shapes: [NetworkShape], _ spec: DataSpec, rows: Int) {
    networks = NetworkSet(shapes, spec, rows: rows)
    actor = networks.network("actor_onestep_flow", rows: rows, networks.scratch(rows: 0))
    observations = networks.observations()
    draws = [Draw("noise", .normal, width: spec.actionSize)]
    noise = [networks.matrix(columns: spec.actionSize)]
    actions = networks.matrix(columns: spec.actionSize)
  }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    networks.begin(parameters, rows: n)
    Block(network: actor, rows: 0..<n).place(observations.rows(0..<n), noise[0].rows(0..<n))
    actor.forward(parameters, rows: 0..<n)
    actions.rows(0..<n).clip(actor.output().rows(0..<n))
  }

  var rule: String { "action = clip(actor_onestep_flow([observation, noise]), -1, 1), noise ~ N(0, 1)" }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let state = actor.shape.describeState(observations, in: &graph)
    return graph.clip(actor.shape.describe(graph.concatenate(state, noise[0]), in: &graph))
  }
}

/// Acts with a flow of the dataset's actions, integrated from fresh ε in each step: behaviour cloning.
final class FlowPolicy<T: Real>: Policy {
  let observations: Observations<T>
  let draws: [Draw]
  let noise: [Matrix<T>]
  let actions: Matrix<T>
  let networks: NetworkSet<T>
  private let flow: MLP<T>
  private let euler: EulerSteps

  /// - Parameters:
  ///   - shapes: the agent's.
  ///   - flow: the name of the flow's network.
  init(_ flow: String, _ euler: EulerSteps, _ shapes: [NetworkShape], _ spec: DataSpec, rows: Int) {
    self.euler = euler
    networks = NetworkSet(shapes, spec, rows: rows)
    self.flow = networks.network(flow, rows: rows, networks.scratch(rows: 0))
    observations = networks.observations()
    draws = [Draw("noise", .normal, width: spec.actionSize)]
    noise = [networks.matrix(columns: spec.actionSize)]
    actions = networks.matrix(columns: spec.actionSize)
  }

  @specialized(where T == Float)
  func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    networks.begin(parameters, rows: n)
    euler.integrate(
      Block(network: flow, rows: 0..<n), parameters, observations.rows(0..<n), from: noise[0].rows(0..<n),
      into: actions.rows(0..<n))
  }

  var rule: String {
    """
    action = x after \(euler.steps) steps x <- x + actor_bc_flow([observation, x, i/\(euler.steps)])/\(euler.steps) from \
    noise ~ N(0, 1), clipped to -1...1 \(euler.clipsEachStep ? "after each" : "at the end")
    """
  }

  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let state = flow.shape.describeState(observations, in: &graph)
    return euler.describe(flow.shape, state, from: noise[0], in: &graph)
  }
}
