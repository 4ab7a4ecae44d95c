import Kernels
import Networks

/// A straight path from noise to an action, at a time: x = (1 − t)·from + t·to, with direction to − from.
struct Path<T: Real> {
  let from: Matrix<T>
  let to: Matrix<T>
  let time: Matrix<T>

  @inline(__always)
  func direction(_ i: Int, _ c: Int) -> T { to[i, c] - from[i, c] }
}

/// The velocity field v(s, x, t) of a flow from noise to the dataset's actions.
final class BehaviourFlow<T: Real> {
  let network: MLP<T>
  private let actionColumns: Range<Int>

  /// - Parameters:
  ///   - passesGradient: whether gradients are wanted with respect to x.
  ///   - keepsActivations: false for a flow that is only integrated.
  init(
    _ shape: NetworkShape, layout: inout ParameterLayout, rows: Int, passesGradient: Bool,
    keepsActivations: Bool = true, scratch: Scratch<T>
  ) {
    actionColumns = shape.inputs - 1 - shape.outputs..<shape.inputs - 1
    network = MLP(
      shape, layout: &layout, rows: rows, inputGradientColumns: passesGradient ? actionColumns : 0..<0,
      keepsActivations: keepsActivations, scratch: scratch)
  }

  /// Input [s, x, t]: O + A + 1.
  static func shape(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, name: String = "actor_bc_flow"
  ) -> NetworkShape {
    hyperparameters.actorShape(
      name, inputs: spec.observationSize + spec.actionSize + 1, outputs: spec.actionSize)
  }

  /// The input of some rows ← [s, x, t] of a path.
  func place(_ path: Path<T>, _ s: Matrix<T>, rows: Range<Int>) {
    let input = network.input.rows(rows)
    input.columns(0..<s.columns).copy(s)
    let x = input.columns(actionColumns)
    for i in 0..<rows.count {
      let t = path.time[i, 0]
      for c in 0..<x.columns { x[i, c] = (1 - t) * path.from[i, c] + t * path.to[i, c] }
      input[i, actionColumns.upperBound] = t
    }
  }

  /// errors[i] ← Σ over A of (to − from − v(s, x, t))², for the rows where a path was placed.
  func measure(_ path: Path<T>, rows: Range<Int>, into errors: UnsafeMutablePointer<T>) {
    let v = network.output().rows(rows)
    for i in 0..<rows.count {
      errors[i] = 0
      for c in 0..<v.columns {
        let difference = path.direction(i, c) - v[i, c]
        errors[i] += difference * difference
      }
    }
  }

  /// Σ over rows and A of (to − from − v(s, x, t))², and the gradient of `weight` times that with respect to v.
  ///
  /// With the dataset's actions at the end of the path and weight 1 / (B·A), this is the loss of flow matching.
  func squaredError(_ path: Path<T>, rows: Range<Int>, weight: T) -> T {
    let (v, gradient) = (network.output().rows(rows), network.outputGradient().rows(rows))
    var sum = T(0)
    for i in 0..<rows.count {
      for c in 0..<v.columns {
        let error = v[i, c] - path.direction(i, c)
        sum += error * error
        gradient[i, c] = 2 * weight * error
      }
    }
    return sum
  }

  /// The flow from ε over `count` Euler steps of size 1 / count, x ← x + v(s, x, i / count) / count, in the first
  /// rows of the network; `actions` ← x at its end, clipped.
  ///
  /// - Parameters:
  ///   - clipsEachStep: clips x after every step.
  ///   - gradientRows: rows right after those, already placed, that the first step evaluates too; a backward pass
  ///     follows for them.
  func integrate(
    _ parameters: UnsafePointer<T>, _ s: Matrix<T>, from noise: Matrix<T>, steps count: Int,
    clipsEachStep: Bool = false, into actions: Matrix<T>, gradientRows: Range<Int>? = nil
  ) {
    let n = noise.rows
    let input = network.input.rows(0..<n)
    let x = input.columns(actionColumns)
    let v = network.output().rows(0..<n)
    input.columns(0..<actionColumns.upperBound).concatenate(s, noise)
    for step in 0..<count {
      for i in 0..<n { input[i, actionColumns.upperBound] = T(step) / T(count) }
      if step == 0, let gradientRows {
        network.forward(
          parameters + network.start, rows: 0..<gradientRows.upperBound, gradientRows: gradientRows)
      } else {
        network.forward(parameters + network.start, rows: 0..<n)
      }
      for i in 0..<n {
        for c in 0..<actionColumns.count { x[i, c] += v[i, c] / T(count) }
      }
      if clipsEachStep { x.clip(x) }
    }
    actions.clip(x)
  }

  /// Adds what `integrate` computes to a graph; the rows of `s` and `noise` can have any number of axes.
  func describe(
    _ s: OperatorGraph.Value, from noise: OperatorGraph.Value, steps count: Int, clipsEachStep: Bool,
    in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    var x = noise
    for step in 0..<count {
      let time = graph.column(Float(step) / Float(count), like: x)
      let velocity = network.shape.describe(graph.concatenate(s, x, time), in: &graph)
      x = graph.apply("Add", x, graph.apply("Div", velocity, graph.number(Float(count))))
      if clipsEachStep { x = graph.clip(x) }
    }
    return clipsEachStep ? x : graph.clip(x)
  }
}
