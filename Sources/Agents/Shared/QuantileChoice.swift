import Kernels
import Networks

/// Chooses the candidate action whose quantiles have the largest mean. The quantiles are the same for all observations.
///
/// The choice has networks of its own for `actor_flow` and `critic`, at the agent's parameters.
final class QuantileChoice<T: Real> {
  private let candidates: CandidateActions<T>
  private let critic: QuantileCritic<T>
  private let aggregation: Aggregation
  private let quantiles: Int
  /// Tiles of the candidates, with K rows for each.
  private let tiling: Tiling

  /// - Parameter rows: the most observations of a call.
  init(_ spec: DataSpec, _ h: Hyperparameters, rows: Int, in networks: NetworkSet<T>) {
    let (N, K) = (h.numSamples, h.numQuantiles)
    candidates = CandidateActions(spec, h, rows: rows, in: networks)
    aggregation = h.quantileAgg
    quantiles = K
    tiling = Tiling(samples: rows * N, rowsPerSample: K, keepsActivations: false)
    let m = tiling.samples
    critic = QuantileCritic(
      spec, h, .init(actions: m, taus: rows == 0 ? 0 : N * K, pairs: m * K), trains: false,
      networks.scratch(rows: m * K), in: networks)
  }

  /// chosen ← the best candidate for each observation.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the agent's layout.
  ///   - noise: where the flow starts, n × (N·A).
  ///   - taus: K quantiles for each of the N candidates, N × K.
  func choose(
    _ parameters: UnsafePointer<T>, _ observations: Observations<T>, noise: Matrix<T>, taus: Matrix<T>,
    into chosen: Matrix<T>
  ) {
    critic.clear()
    for c in 0..<candidates.count { _ = critic.add(taus: taus.row(c), count: quantiles) }
    critic.embedTaus(parameters)
    candidates.choose(parameters, observations, noise: noise, into: chosen) { samples in
      let states = candidates.states(samples, of: observations)
      tiling.forEach(0..<states.rows) { setValues(parameters, of: $0, states) }
    }
  }

  /// Computes the values of some of the candidates of the tile at hand.
  private func setValues(
    _ parameters: UnsafePointer<T>, of rows: Range<Int>, _ states: Observations<T>
  ) {
    let (N, K) = (candidates.count, quantiles)
    critic.clear(keepingTaus: true)
    for row in rows {
      critic.pair(critic.add(states, row, candidates.actions.row(row)), row % N * K, count: K)
    }
    critic.forward(parameters)
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
}
