import Kernels
import Networks

/// The velocity fields v_j(z, t, s, a), j = 1, 2, of two flows from noise to returns, `critic_flow1` and `critic_flow2`.
/// The input of each network is [z, t, s, a].
struct ReturnFlows<T: Real> {
  let stacks: [Stack<T>]

  /// The names of both networks.
  static var names: [String] { ["critic_flow1", "critic_flow2"] }

  /// Both networks in the order of the flat vector.
  static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    names.map { name in
      var shape = h.valueShape(name, spec, beside: 2 + spec.actionSize, hasTarget: true)
      shape.ensemble = nil
      shape.encoderColumn = 2
      return shape
    }
  }

  /// Where the action stands in the input.
  static func actionColumns(_ spec: DataSpec, _ h: Hyperparameters) -> Range<Int> {
    let first = 2 + h.stateSize(spec)
    return first..<first + spec.actionSize
  }

  /// Both networks' rows of a role.
  subscript(role: Role) -> ReturnRows<T> { ReturnRows(first: stacks[0][role], second: stacks[1][role]) }

  /// Computes the velocities of the rows from one role's to another's in both networks.
  func forward(_ parameters: UnsafePointer<T>, from first: Role? = nil, through last: Role? = nil) {
    for stack in stacks { stack.forward(parameters, from: first, through: last) }
  }
}

/// The same rows of both return flows.
struct ReturnRows<T: Real> {
  let first: Block<T>
  let second: Block<T>

  /// Input ← [z, t, s, a].
  ///
  /// - Parameter time: nil for t = 0.
  func place(z: Matrix<T>, at time: Matrix<T>?, _ s: Observations<T>, _ a: Matrix<T>) {
    place(in: first, z, time, s, a)
    place(in: second, z, time, s, a)
  }

  private func place(
    in block: Block<T>, _ z: Matrix<T>, _ time: Matrix<T>?, _ s: Observations<T>, _ a: Matrix<T>
  ) {
    let (input, end) = (block.input, 2 + block.placeState(s, at: 2))
    input.columns(end..<end + a.columns).copy(a)
    for i in 0..<z.rows {
      input[i, 0] = z[i, 0]
      input[i, 1] = time?[i, 0] ?? 0
    }
  }

  /// v_1 and v_2.
  var velocities: Twins<T> { Twins(first: first.output(), second: second.output()) }
  /// The gradients of the loss with respect to those.
  var velocityGradients: Twins<T> {
    Twins(first: first.outputGradient(), second: second.outputGradient())
  }
}

/// Returns that are possible, and the one-step value that a velocity gives.
struct ReturnLimits<T: Real> {
  /// Those of the dataset's smallest and largest reward for ever.
  let range: ClosedRange<T>

  init(_ spec: DataSpec, _ h: Hyperparameters) {
    let horizon = 1 / (1 - h.discount)
    range =
      h.clipFlowReturns
      ? T(spec.rewards.lowerBound * horizon)...T(spec.rewards.upperBound * horizon)
      : -T.infinity...T.infinity
  }

  /// The nearest return that is possible.
  @inline(__always)
  func clip(_ z: T) -> T { max(range.lowerBound, min(range.upperBound, z)) }

  /// q_j = clip(ε + v_j(ε, 0, s, a)) in row i, both as one.
  @inline(__always)
  func value(_ i: Int, _ noise: Matrix<T>, _ v: Twins<T>, _ how: Aggregation) -> T {
    how(clip(noise[i, 0] + v.first[i, 0]), clip(noise[i, 0] + v.second[i, 0]))
  }

  /// Adds both one-step values clip(z + v_j(z, 0, s, a)) to a graph.
  ///
  /// - Parameter states: gives the states as a network takes them.
  func describeValues(
    _ flows: [NetworkShape], _ z: OperatorGraph.Value,
    _ states: (NetworkShape, inout OperatorGraph) -> OperatorGraph.Value, _ actions: OperatorGraph.Value,
    in graph: inout OperatorGraph
  ) -> [OperatorGraph.Value] {
    let start = graph.column(0, like: z)
    return flows.map { flow in
      let input = graph.concatenate(z, start, states(flow, &graph), actions)
      let value = graph.apply("Add", z, flow.describe(input, in: &graph))
      return range.upperBound.isFinite
        ? graph.clip(value, Float(range.lowerBound), Float(range.upperBound)) : value
    }
  }
}
