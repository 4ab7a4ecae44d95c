import Kernels
import Networks

/// A velocity field v(s, x, t) over actions: the flow from noise to actions that it gives is x′(t) = v(s, x, t). The
/// input of its network is [s, x, t].
extension Hyperparameters {
  /// The shape of such a network.
  func flowShape(_ name: String, _ spec: DataSpec) -> NetworkShape {
    actorShape(name, spec, beside: spec.actionSize + 1, outputs: spec.actionSize)
  }
}

extension Block {
  /// Input [s, x, t] ← the point x = (1 − t)·from + t·to of the straight path between two actions.
  func place(_ s: Observations<T>, from: Matrix<T>, to: Matrix<T>, at time: Matrix<T>) {
    let (input, size) = (input, placeState(s))
    let x = input.columns(size..<size + to.columns)
    for i in 0..<rows.count {
      let t = time[i, 0]
      for c in 0..<x.columns { x[i, c] = (1 - t) * from[i, c] + t * to[i, c] }
      input[i, size + to.columns] = t
    }
  }
}

/// The integration of such a flow: x = ε, and then `steps` times x ← x + v(s, x, i / steps) / steps.
struct EulerSteps: Sendable {
  let steps: Int
  /// Clips x to ±1 after every step. Otherwise only the end is clipped.
  let clipsEachStep: Bool

  /// Where the flow from ε ends, clipped.
  ///
  /// - Parameters:
  ///   - block: the rows that are used; the first ones of the network.
  ///   - firstStep: computes the velocities of the first step, if other rows of the network are wanted with them.
  func integrate<T: Real>(
    _ block: Block<T>, _ parameters: UnsafePointer<T>, _ s: Observations<T>, from noise: Matrix<T>,
    into actions: Matrix<T>, firstStep: () -> Void
  ) {
    let (input, v, size) = (block.input, block.output(), block.placeState(s))
    let time = size + noise.columns
    let x = input.columns(size..<time)
    x.copy(noise)
    for step in 0..<steps {
      for i in 0..<noise.rows { input[i, time] = T(step) / T(steps) }
      if step == 0 { firstStep() } else { block.network.forward(parameters, rows: block.rows) }
      for i in 0..<noise.rows {
        for c in 0..<x.columns { x[i, c] += v[i, c] / T(steps) }
      }
      if clipsEachStep { x.clip(x) }
    }
    actions.clip(x)
  }

  /// The same for a network that computes nothing else.
  func integrate<T: Real>(
    _ block: Block<T>, _ parameters: UnsafePointer<T>, _ s: Observations<T>, from noise: Matrix<T>,
    into actions: Matrix<T>
  ) {
    integrate(block, parameters, s, from: noise, into: actions) {
      block.network.forward(parameters, rows: block.rows)
    }
  }

  /// Adds the integration to a graph; the rows of `s` and `noise` can have any number of axes.
  func describe(
    _ flow: NetworkShape, _ s: OperatorGraph.Value, from noise: OperatorGraph.Value,
    in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    var x = noise
    for step in 0..<steps {
      let time = graph.column(Float(step) / Float(steps), like: x)
      let velocity = flow.describe(graph.concatenate(s, x, time), in: &graph)
      x = graph.apply("Add", x, graph.apply("Div", velocity, graph.number(Float(steps))))
      if clipsEachStep { x = graph.clip(x) }
    }
    return clipsEachStep ? x : graph.clip(x)
  }
}
