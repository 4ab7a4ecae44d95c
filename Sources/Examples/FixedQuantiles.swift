import Agents
import Kernels
import Networks

/// A critic of the return's quantiles at fixed, evenly spaced levels, one output for each, with a target critic
/// (quantile regression, arXiv 1710.10044).
///
/// Rows of the critic: n at (s, a), trained. Of the target critic: n at (s′, a′).
final class FixedQuantiles {
  /// The levels τ_i = (i + ½) / N.
  static let levels = (0..<32).map { (Double($0) + 0.5) / 32 }

  /// Within this distance of a target the loss is quadratic.
  private static let threshold: Float = 1

  private let critic: MLP<Float>
  private let target: MLP<Float>

  static func shape(_ spec: DataSpec, hidden: [Int]) -> NetworkShape {
    NetworkShape(
      name: "quantiles", inputs: spec.observationSize + spec.actionSize, hidden: hidden,
      outputs: levels.count, layerNorm: true, hasTarget: true)
  }

  init(_ networks: CriticNetworks) {
    critic = networks.trained("quantiles")
    target = networks.target("quantiles")
  }

  func forward(
    _ parameters: UnsafePointer<Float>, _ targets: UnsafePointer<Float>, _ batch: Batch<Float>,
    nextAction: Matrix<Float>
  ) {
    let rows = 0..<batch.rows
    critic.input.rows(rows).concatenate(batch.observations.vectors.rows(rows), batch.actions.rows(rows))
    critic.forward(parameters, rows: rows, gradientRows: rows)
    target.input.rows(rows).concatenate(batch.nextObservations.vectors.rows(rows), nextAction.rows(rows))
    target.forward(targets, rows: rows)
  }

  /// The gradient of the mean over B and j of Σ_i |τ_i − [d_ij < 0]| · Huber(d_ij), d_ij = y_j − θ_i(s, a), with
  /// y_j = r + γ · mask · θ_j(s′, a′) of the target critic; γ is 1.
  func regress(_ batch: Batch<Float>) {
    let (values, gradient, next) = (critic.output(), critic.outputGradient(), target.output())
    let levels = Self.levels
    let perTerm = 1 / Float(batch.rows * levels.count)
    for row in 0..<batch.rows {
      for i in levels.indices {
        var slope: Float = 0
        for j in levels.indices {
          let d = batch.rewards[row] + batch.masks[row] * next[row, j] - values[row, i]
          let weight = d < 0 ? 1 - Float(levels[i]) : Float(levels[i])
          slope -= weight * max(-Self.threshold, min(Self.threshold, d))
        }
        gradient[row, i] = perTerm * slope
      }
    }
  }

  func backward(
    _ parameters: UnsafePointer<Float>, into gradients: UnsafeMutablePointer<Float>, rows n: Int
  ) {
    critic.backward(parameters, into: gradients, weightRows: 0..<n)
  }

  /// The quantiles after action a in state s, at `levels`.
  func quantiles(
    _ parameters: UnsafePointer<Float>, _ s: Matrix<Float>, _ a: Matrix<Float>
  ) -> [Double] {
    critic.input.rows(0..<1).concatenate(s, a)
    critic.forward(parameters, rows: 0..<1)
    return Self.levels.indices.map { Double(critic.output()[0, $0]) }
  }
}
