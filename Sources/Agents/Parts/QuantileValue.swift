import Kernels
import Networks

/// The value of IQN and CODAC: `critic` Z(s, a, τ), trained by quantile regression to its target's values of the next
/// action. K quantiles for each sample; samples go through in tiles.
final class QuantileValue<T: Real> {
  let critic: QuantileCritic<T>
  let target: QuantileCritic<T>
  let aggregation: Aggregation
  let tiling: Tiling
  /// K.
  let quantiles: Int

  private let targetStart: Int
  private let discount: T
  private let kappa: T
  private let workspace = Workspace<T>()
  /// y, n × K.
  private let targets: Matrix<T>
  /// Of the tiles so far: the loss, and the means over the quantiles of each sample and member.
  private var loss = T(0)
  private var means = Spread<T>()

  /// - Parameter more: what a tile holds for each sample beside its K pairs at (s, a).
  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, layout: inout ParameterLayout, rows: Int,
    more: QuantileCritic<T>.Capacity = .init(actions: 0, taus: 0, pairs: 0)
  ) {
    let perSample = hyperparameters.numQuantiles
    quantiles = perSample
    aggregation = hyperparameters.quantileAgg
    discount = T(hyperparameters.discount)
    kappa = T(hyperparameters.kappa)
    tiling = Tiling(samples: rows, rowsPerSample: perSample + more.pairs)
    let m = tiling.samples
    let scratch = hyperparameters.scratch(rows: m * (perSample + more.pairs), T.self)
    critic = QuantileCritic(
      spec, hyperparameters, layout: &layout,
      .init(
        actions: m * (1 + more.actions), taus: m * (perSample + more.taus),
        pairs: m * (perSample + more.pairs)),
      trains: true, scratch: scratch)
    targetStart = critic.follow(in: &layout)
    var apart = ParameterLayout()
    target = QuantileCritic(
      spec, hyperparameters, layout: &apart, .init(actions: m, taus: m * perSample, pairs: m * perSample),
      trains: false,
      scratch: scratch)
    targets = workspace.matrix(rows: rows, columns: perSample)
  }

  var networks: [MLP<T>] { target.networks + critic.networks }

  /// y_j = r + γ · mask · Z_target(s′, a′, τ′_j), sg.
  ///
  /// - Parameter masks: nil leaves them out.
  func setTargets(
    _ targetParameters: UnsafePointer<T>, _ batch: Batch<T>, nextAction: Matrix<T>, taus: Matrix<T>,
    masks: UnsafePointer<T>?
  ) {
    let (K, states) = (quantiles, batch.nextObservations)
    tiling.forEach(0..<batch.rows) { samples in
      target.clear()
      for i in samples {
        let action = target.add(states.row(i), nextAction.row(i))
        target.pair(action, target.add(taus: taus.row(i), count: K), count: K)
      }
      target.embedTaus(targetParameters + targetStart)
      target.forward(targetParameters + targetStart)
      let values = target.values(0..<target.pairs)
      for (t, i) in samples.enumerated() {
        let factor = discount * (masks?[i] ?? 1)
        for k in 0..<K {
          targets[i, k] = batch.rewards[i] + factor * values.aggregate(t * K + k, aggregation)
        }
      }
    }
    loss = 0
    means = Spread()
  }

  /// Begins a tile: K pairs at (s, a) for each sample. Actions, quantiles and pairs are in the order of the samples.
  func place(_ samples: Range<Int>, _ batch: Batch<T>, taus: Matrix<T>) {
    critic.clear()
    for i in samples {
      let action = critic.add(batch.observations.row(i), batch.actions.row(i))
      critic.pair(action, critic.add(taus: taus.row(i), count: quantiles), count: quantiles)
    }
  }

  /// The loss of the tile at hand: with d_ij = y_j − Z_i, |τ_i − [d < 0]| · Huber(d) / kappa, summed over i, averaged
  /// over E, B and j. Sets the gradients of the pairs at (s, a).
  func regress(_ samples: Range<Int>, _ batch: Batch<T>, taus: Matrix<T>) {
    let perTerm = batch.perSample / T(2 * quantiles)
    let pairs = 0..<samples.count * quantiles
    let (values, gradients) = (critic.values(pairs), critic.valueGradients(pairs))
    for member in 0..<2 {
      let z = member == 0 ? values.first : values.second
      let gradient = member == 0 ? gradients.first : gradients.second
      for (t, i) in samples.enumerated() {
        var mean = T(0)
        for k in 0..<quantiles {
          let (value, tau) = (z[t * quantiles + k, 0], taus[i, k])
          mean += value / T(quantiles)
          var slope = T(0)
          for j in 0..<quantiles {
            let d = targets[i, j] - value
            let size = abs(d)
            let weight = abs(tau - (d < 0 ? 1 : 0)) / kappa
            let isSmall = size <= kappa
            loss += perTerm * weight * (isSmall ? d * d / 2 : kappa * (size - kappa / 2))
            slope -= weight * (isSmall ? d : d < 0 ? -kappa : kappa)
          }
          gradient[t * quantiles + k, 0] = perTerm * slope
        }
        means.add(mean)
      }
    }
  }

  /// The quantiles of the return at evenly spaced levels, and their mean; means over E.
  func returns(
    _ parameters: UnsafePointer<T>, _ s: Matrix<T>, _ a: Matrix<T>, count: Int
  ) -> ReturnEstimate {
    var samples: [Double] = []
    for first in stride(from: 0, to: count, by: quantiles) {
      let levels = (first..<min(first + quantiles, count)).map { (T($0) + 0.5) / T(count) }
      critic.clear()
      critic.pair(
        critic.add(s.base, a.base), critic.add(taus: levels, count: levels.count), count: levels.count)
      critic.embedTaus(parameters + critic.start)
      critic.forward(parameters + critic.start)
      samples += levels.indices.map { Double(critic.values(0..<levels.count).mean($0)) }
    }
    return ReturnEstimate(samples: samples, name: "Q", value: samples.reduce(0, +) / Double(count))
  }

  /// The figures of all tiles: the loss, and the means over the quantiles of each sample and member.
  func log(_ batch: Batch<T>, _ figures: Figures) {
    figures["critic/critic_loss"] = Double(loss)
    means.log("critic/q", each: batch.perSample / 2, figures)
  }
}
