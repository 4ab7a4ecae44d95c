import Kernels
import Networks

/// The velocity fields v_j(z, t, s, a), j = 1, 2, of two flows from noise to returns. Input [z, t, s, a].
final class ReturnFlows<T: Real> {
  let networks: [MLP<T>]
  /// Offset of the first parameter in the layout that they were made with.
  let start: Int
  /// Returns that are possible: those of the dataset's smallest and largest reward for ever.
  let limits: ClosedRange<T>
  private let actionColumns: Range<Int>

  /// - Parameters:
  ///   - passesGradient: whether gradients are wanted with respect to a.
  ///   - keepsActivations: false for flows that are only evaluated.
  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, layout: inout ParameterLayout, rows: Int,
    passesGradient: Bool = false, keepsActivations: Bool = true, scratch: Scratch<T>
  ) {
    let firstAction = 2 + spec.observationSize
    actionColumns = firstAction..<firstAction + spec.actionSize
    start = layout.count
    var networks: [MLP<T>] = []
    for j in 1...2 {
      var shape = hyperparameters.valueShape("critic_flow\(j)", inputs: actionColumns.upperBound)
      shape.ensemble = nil
      networks.append(
        MLP(
          shape, layout: &layout, rows: rows, inputGradientColumns: passesGradient ? actionColumns : 0..<0,
          keepsActivations: keepsActivations, scratch: scratch))
    }
    self.networks = networks
    let horizon = 1 / (1 - hyperparameters.discount)
    limits =
      hyperparameters.clipFlowReturns
      ? T(spec.rewards.lowerBound * horizon)...T(spec.rewards.upperBound * horizon)
      : -T.infinity...T.infinity
  }

  /// Gives both a target, and returns where those start in the targets' vector.
  func follow(in layout: inout ParameterLayout) -> Int {
    let start = layout.follow(networks[0])
    _ = layout.follow(networks[1])
    return start
  }

  /// The input of some rows ← [z, t, s, a].
  ///
  /// - Parameter time: nil for t = 0.
  func place(_ rows: Range<Int>, z: Matrix<T>, time: Matrix<T>?, _ s: Matrix<T>, _ a: Matrix<T>) {
    for network in networks {
      let input = network.input.rows(rows)
      input.columns(2..<actionColumns.lowerBound).copy(s)
      input.columns(actionColumns).copy(a)
      for i in 0..<rows.count {
        input[i, 0] = z[i, 0]
        input[i, 1] = time?[i, 0] ?? 0
      }
    }
  }

  /// Evaluates some rows of both.
  ///
  /// - Parameter parameters: the first parameter of the first.
  func forward(_ parameters: UnsafePointer<T>, rows: Range<Int>, gradientRows: Range<Int> = 0..<0) {
    for network in networks {
      network.forward(parameters + network.start - start, rows: rows, gradientRows: gradientRows)
    }
  }

  /// v_1 and v_2 in some rows.
  func velocities(_ rows: Range<Int>) -> TwinValues<T> {
    TwinValues(first: networks[0].output().rows(rows), second: networks[1].output().rows(rows))
  }

  /// Where the gradients of the loss with respect to those go.
  func velocityGradients(_ rows: Range<Int>) -> TwinValues<T> {
    TwinValues(
      first: networks[0].outputGradient().rows(rows), second: networks[1].outputGradient().rows(rows))
  }

  /// A return that is possible.
  @inline(__always)
  func clip(_ z: T) -> T { max(limits.lowerBound, min(limits.upperBound, z)) }

  /// Adds both one-step values clip(z + v_j(z, 0, s, a)) to a graph.
  func describeValues(
    _ z: OperatorGraph.Value, _ states: OperatorGraph.Value, _ actions: OperatorGraph.Value,
    in graph: inout OperatorGraph
  ) -> [OperatorGraph.Value] {
    let input = graph.concatenate(z, graph.column(0, like: z), states, actions)
    return networks.map { network in
      let value = graph.apply("Add", z, network.shape.describe(input, in: &graph))
      return limits.upperBound.isFinite
        ? graph.clip(value, Float(limits.lowerBound), Float(limits.upperBound)) : value
    }
  }
}
