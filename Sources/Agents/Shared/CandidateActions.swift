import Kernels
import Networks

/// Rejection sampling: of N actions that `actor_flow` gives for an observation, the one of the largest value.
/// Observations go through in tiles of a bounded number of candidates.
final class CandidateActions<T: Real> {
  /// N.
  let count: Int
  /// The candidates of the tile.
  let actions: Matrix<T>
  /// The most candidates of a tile.
  let capacity: Int
  /// The candidates' values.
  let values: UnsafeMutablePointer<T>

  private let flow: MLP<T>
  private let tiling: Tiling
  private let euler: EulerSteps
  private let workspace = Workspace<T>()

  /// - Parameter rows: the most observations of a call.
  init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int, in networks: NetworkSet<T>) {
    count = h.numSamples
    tiling = Tiling(samples: rows, rowsPerSample: count, keepsActivations: false)
    euler = EulerSteps(steps: h.flowSteps, clipsEachStep: h.clipFlowActions)
    capacity = tiling.samples * count
    flow = networks.network(
      "actor_flow", rows: capacity, networks.scratch(rows: capacity), keepsActivations: false)
    actions = workspace.matrix(rows: capacity, columns: spec.actionSize)
    values = workspace.vector(capacity)
  }

  /// The observation of each candidate of some samples, which have N rows each.
  func states(_ samples: Range<Int>, of observations: Observations<T>) -> Observations<T> {
    observations.rows(samples).repeated(count)
  }

  /// chosen ← the best candidate for each observation.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the agent's layout.
  ///   - noise: where the flow starts, n × (N·A).
  ///   - setValues: sets `values` of the candidates of the tile, which are those of some samples.
  func choose(
    _ parameters: UnsafePointer<T>, _ observations: Observations<T>, noise: Matrix<T>, into chosen: Matrix<T>,
    setValues: (_ samples: Range<Int>) -> Void
  ) {
    let starts = Matrix(noise.base, rows: noise.rows * count, columns: actions.columns)
    tiling.forEach(0..<observations.rows) { samples in
      let first = samples.lowerBound
      let tile = 0..<samples.count * count
      euler.integrate(
        Block(network: flow, rows: tile), parameters, states(samples, of: observations),
        from: starts.rows(first * count..<samples.upperBound * count), into: actions.rows(tile))
      setValues(samples)
      for i in samples {
        let candidates = (i - first) * count..<(i - first + 1) * count
        let best = candidates.max { values[$0] < values[$1] }!
        chosen.row(i).update(from: actions.row(best), count: chosen.columns)
      }
    }
  }

  /// Adds what `choose` computes to a graph: the best candidates, batch × A.
  ///
  /// - Parameter values: gives the values, batch × N, of actions, batch × N × A; and of states, which are batch × N ×
  ///   size, as a network takes them.
  func describe(
    _ observations: OperatorGraph.Value, noise: OperatorGraph.Value, in graph: inout OperatorGraph,
    values: (
      _ states: (NetworkShape, inout OperatorGraph) -> OperatorGraph.Value, _ actions: OperatorGraph.Value,
      _ graph: inout OperatorGraph
    ) -> OperatorGraph.Value
  ) -> OperatorGraph.Value {
    func states(_ network: NetworkShape, _ graph: inout OperatorGraph) -> OperatorGraph.Value {
      let state = network.describeState(observations, in: &graph)
      let column = graph.apply("Unsqueeze", state, graph.integers(1))
      return graph.apply("Expand", column, graph.integers(1, count, 1))
    }
    let starts = graph.apply("Reshape", noise, graph.integers(-1, count, actions.columns))
    let candidates = euler.describe(flow.shape, states(flow.shape, &graph), from: starts, in: &graph)
    let values = values(states, candidates, &graph)
    let best = graph.apply("ArgMax", values, attributes: ["axis": 1, "keepdims": 1])
    return graph.apply("GatherND", candidates, best, attributes: ["batch_dims": 1])
  }
}
