import Kernels
import Networks

/// Chooses the candidate action whose quantiles have the largest mean. The quantiles are the same for all observations.
///
/// It holds the first networks of an agent's layout, the flow and the critic.
final class QuantileChoice<T: Real> {
  private let candidates: CandidateActions<T>
  private let critic: QuantileCritic<T>
  private let aggregation: Aggregation
  private let quantiles: Int
  /// Of the candidates, with K rows for each.
  private let tiling: Tiling

  /// - Parameter rows: the most observations of a call.
  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) {
    let (N, K) = (hyperparameters.numSamples, hyperparameters.numQuantiles)
    var layout = ParameterLayout()
    candidates = CandidateActions(spec, hyperparameters, layout: &layout, rows: rows)
    aggregation = hyperparameters.quantileAgg
    quantiles = K
    tiling = Tiling(samples: rows * N, rowsPerSample: K, keepsActivations: false)
    let m = tiling.samples
    critic = QuantileCritic(
      spec, hyperparameters, layout: &layout,
      .init(actions: m, taus: rows == 0 ? 0 : N * K, pairs: m * K), trains: false,
      scratch: hyperparameters.scratch(rows: m * K, T.self))
  }

  var networks: [MLP<T>] { [candidates.flow.network] + critic.networks }

  /// chosen ← the best candidate for each observation.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the agent's layout.
  ///   - noise: where the flow starts, n × (N·A).
  ///   - taus: K quantiles for each of the N candidates, N × K.
  func choose(
    _ parameters: UnsafePointer<T>, _ observations: Matrix<T>, noise: Matrix<T>, taus: Matrix<T>,
    into chosen: Matrix<T>
  ) {
    critic.clear()
    for c in 0..<candidates.count { _ = critic.add(taus: taus.row(c), count: quantiles) }
    critic.embedTaus(parameters + critic.start)
    candidates.choose(parameters, observations, noise: noise, into: chosen) { samples in
      tiling.forEach(0..<samples.count * candidates.count) { evaluate(parameters, $0) }
    }
  }

  /// Values of some of the candidates of the tile at hand.
  private func evaluate(_ parameters: UnsafePointer<T>, _ rows: Range<Int>) {
    let (N, K) = (candidates.count, quantiles)
    critic.clear(keepingTaus: true)
    for row in rows {
      critic.pair(critic.add(candidates.states.row(row), candidates.actions.row(row)), row % N * K, count: K)
    }
    critic.forward(parameters + critic.start)
    let values = critic.values(0..<critic.pairs)
    for (r, row) in rows.enumerated() {
      candidates.values[row] = (r * K..<r * K + K).reduce(0) { $0 + values.aggregate($1, aggregation) / T(K) }
    }
  }

  /// Adds what `choose` computes to a graph: the best candidates, batch × A.
  func describe(
    _ observations: OperatorGraph.Value, noise: OperatorGraph.Value, taus: OperatorGraph.Value,
    in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    candidates.describe(observations, noise: noise, in: &graph) { states, actions, graph in
      let z = critic.describe(states, actions, taus: taus, aggregation, in: &graph)
      return graph.apply("ReduceMean", z, attributes: ["axes": [-1], "keepdims": 0])
    }
  }

  /// - Parameter rows: observations of an update.
  func addOperations(rows: Int, to sum: inout Operations) {
    let (N, K) = (candidates.count, quantiles)
    candidates.addOperations(rows: rows, to: &sum)
    critic.addOperations(.init(actions: rows * N, taus: N * K, pairs: rows * N * K), to: &sum)
  }
}
