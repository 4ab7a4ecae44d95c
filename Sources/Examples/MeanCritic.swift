import Agents
import Kernels
import Networks

/// The mean critic Q(s, a) of Q-learning, as FAQL's: an ensemble of two with a target.
final class MeanCritic {
  private let critic: MLP<Float>
  private let target: MLP<Float>

  static func shape(_ spec: DataSpec, hidden: [Int]) -> NetworkShape {
    NetworkShape(
      name: "mean", inputs: spec.observationSize + spec.actionSize, hidden: hidden, outputs: 1,
      layerNorm: true,
      ensemble: 2, hasTarget: true)
  }

  init(_ networks: CriticNetworks) {
    critic = networks.trained("mean")
    target = networks.target("mean")
  }

  /// The gradient of the mean over both members and the batch of (Q(s, a) − y)², y = r + mask · mean of Q_target(s′, a′).
  func learn(
    _ batch: Batch<Float>, nextAction: Matrix<Float>, _ parameters: UnsafePointer<Float>,
    _ targets: UnsafePointer<Float>, into gradients: UnsafeMutablePointer<Float>
  ) {
    let rows = 0..<batch.rows
    critic.input.rows(rows).concatenate(batch.observations.vectors.rows(rows), batch.actions.rows(rows))
    critic.forward(parameters, rows: rows, gradientRows: rows)
    target.input.rows(rows).concatenate(batch.nextObservations.vectors.rows(rows), nextAction.rows(rows))
    target.forward(targets, rows: rows)
    for e in 0..<2 {
      let (q, dq) = (critic.output(e), critic.outputGradient(e))
      for i in rows {
        let y = batch.rewards[i] + batch.masks[i] * (target.output(0)[i, 0] + target.output(1)[i, 0]) / 2
        dq[i, 0] = (q[i, 0] - y) / Float(batch.rows)
      }
    }
    critic.backward(parameters, into: gradients, weightRows: rows)
  }

  /// Q(s, a), the mean over the members.
  func value(_ parameters: UnsafePointer<Float>, _ s: Matrix<Float>, _ a: Matrix<Float>) -> Double {
    critic.input.rows(0..<1).concatenate(s, a)
    critic.forward(parameters, rows: 0..<1)
    return Double((critic.output(0)[0, 0] + critic.output(1)[0, 0]) / 2)
  }
}
