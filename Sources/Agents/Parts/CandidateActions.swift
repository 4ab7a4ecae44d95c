import Kernels
import Networks

/// Rejection sampling: of N actions that a flow of the data's actions gives for an observation, the one of the largest
/// value. Observations go through in tiles of a bounded number of candidates.
///
/// The flow comes first in the agent's layout.
final class CandidateActions<T: Real> {
  /// N.
  let count: Int
  let flow: BehaviourFlow<T>
  /// The observation of each candidate of the tile, which has N rows for each sample.
  let states: Matrix<T>
  /// The candidates.
  let actions: Matrix<T>
  /// The most that a tile holds.
  let capacity: Int
  /// Their values.
  let values: UnsafeMutablePointer<T>

  private let tiling: Tiling
  private let steps: Int
  private let clipsEachStep: Bool
  private let workspace = Workspace<T>()

  /// - Parameter rows: the most observations of a call.
  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, layout: inout ParameterLayout, rows: Int
  ) {
    count = hyperparameters.numSamples
    tiling = Tiling(samples: rows, rowsPerSample: count, keepsActivations: false)
    steps = hyperparameters.flowSteps
    clipsEachStep = hyperparameters.clipFlowActions
    capacity = tiling.samples * count
    flow = BehaviourFlow(
      BehaviourFlow<T>.shape(spec, hyperparameters, name: "actor_flow"), layout: &layout, rows: capacity,
      passesGradient: false, keepsActivations: false,
      scratch: hyperparameters.scratch(rows: capacity, T.self))
    states = workspace.matrix(rows: capacity, columns: spec.observationSize)
    actions = workspace.matrix(rows: capacity, columns: spec.actionSize)
    values = workspace.vector(capacity)
  }

  /// chosen ← the best candidate for each observation.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the agent's layout.
  ///   - noise: where the flow starts, n × (N·A).
  ///   - evaluate: sets `values` of the first candidates of the tile, those of some samples.
  func choose(
    _ parameters: UnsafePointer<T>, _ observations: Matrix<T>, noise: Matrix<T>, into chosen: Matrix<T>,
    evaluate: (_ samples: Range<Int>) -> Void
  ) {
    let starts = Matrix(noise.base, rows: noise.rows * count, columns: actions.columns)
    tiling.forEach(0..<observations.rows) { samples in
      let first = samples.lowerBound
      let tile = 0..<samples.count * count
      for row in tile {
        states.row(row).update(from: observations.row(first + row / count), count: states.columns)
      }
      flow.integrate(
        parameters, states.rows(tile), from: starts.rows(first * count..<samples.upperBound * count),
        steps: steps, clipsEachStep: clipsEachStep, into: actions.rows(tile))
      evaluate(samples)
      for i in samples {
        let candidates = block(i - first, count)
        let best = candidates.max { values[$0] < values[$1] }!
        chosen.row(i).update(from: actions.row(best), count: chosen.columns)
      }
    }
  }

  /// Adds what `choose` computes to a graph: the best candidates, batch × A.
  ///
  /// - Parameter evaluate: gives the values, batch × N, of states and actions, batch × N × O and batch × N × A.
  func describe(
    _ observations: OperatorGraph.Value, noise: OperatorGraph.Value, in graph: inout OperatorGraph,
    evaluate: (
      _ states: OperatorGraph.Value, _ actions: OperatorGraph.Value, _ graph: inout OperatorGraph
    ) -> OperatorGraph.Value
  ) -> OperatorGraph.Value {
    let column = graph.apply("Unsqueeze", observations, graph.integers(1))
    let states = graph.apply("Expand", column, graph.integers(1, count, 1))
    let starts = graph.apply("Reshape", noise, graph.integers(-1, count, actions.columns))
    let candidates = flow.describe(
      states, from: starts, steps: steps, clipsEachStep: clipsEachStep, in: &graph)
    let values = evaluate(states, candidates, &graph)
    let best = graph.apply("ArgMax", values, attributes: ["axis": 1, "keepdims": 1])
    return graph.apply("GatherND", candidates, best, attributes: ["batch_dims": 1])
  }

  /// - Parameter rows: observations of an update.
  func addOperations(rows: Int, to sum: inout Operations) {
    sum.add(flow.network, rows: rows * count, forward: steps)
  }
}
