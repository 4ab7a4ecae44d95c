import Agents
import Kernels
import Networks

/// FAN's critics: Q(s, a, ε), which over random ε represents the distribution of returns, with a target; and Z(s, a),
/// the upper expectile of Q over ε. Both are ensembles of two.
final class NoisyCritics {
  private let critic: MLP<Float>
  private let criticZ: MLP<Float>
  private let target: MLP<Float>
  private let expectile: Float

  static func shapes(_ spec: DataSpec, hidden: [Int]) -> [NetworkShape] {
    let (O, A) = (spec.observationSize, spec.actionSize)
    return [
      NetworkShape(
        name: "critic", inputs: O + 2 * A, hidden: hidden, outputs: 1, layerNorm: true, ensemble: 2,
        hasTarget: true),
      NetworkShape(
        name: "critic_z", inputs: O + A, hidden: hidden, outputs: 1, layerNorm: true, ensemble: 2),
    ]
  }

  init(_ networks: CriticNetworks, expectile: Double) {
    critic = networks.trained("critic")
    criticZ = networks.trained("critic_z")
    target = networks.target("critic")
    self.expectile = Float(expectile)
  }

  /// The gradients of the mean over both members and the batch of (Q(s, a, ε′) − y)² with y = r + mask · mean of
  /// Z(s′, a′), and of the expectile regression of Z(s, a) to the mean of Q_target(s, a, ε).
  func learn(
    _ batch: Batch<Float>, nextAction: Matrix<Float>, nextNoise: Matrix<Float>, targetNoise: Matrix<Float>,
    _ parameters: UnsafePointer<Float>, _ targets: UnsafePointer<Float>,
    into gradients: UnsafeMutablePointer<Float>
  ) {
    let n = batch.rows
    let (next, data) = (0..<n, n..<2 * n)
    let (s, a) = (batch.observations.vectors.rows(next), batch.actions.rows(next))
    criticZ.input.rows(next).concatenate(batch.nextObservations.vectors.rows(next), nextAction.rows(next))
    criticZ.input.rows(data).concatenate(s, a)
    criticZ.forward(parameters, rows: 0..<2 * n, gradientRows: data)
    critic.input.rows(next).concatenate(s, a, nextNoise.rows(next))
    critic.forward(parameters, rows: next, gradientRows: next)
    target.input.rows(next).concatenate(s, a, targetNoise.rows(next))
    target.forward(targets, rows: next)
    for e in 0..<2 {
      let (q, dq) = (critic.output(e), critic.outputGradient(e))
      let (z, dz) = (criticZ.output(e).rows(data), criticZ.outputGradient(e).rows(data))
      for i in next {
        let y = batch.rewards[i] + batch.masks[i] * (criticZ.output(0)[i, 0] + criticZ.output(1)[i, 0]) / 2
        dq[i, 0] = (q[i, 0] - y) / Float(n)
        let d = (target.output(0)[i, 0] + target.output(1)[i, 0]) / 2 - z[i, 0]
        dz[i, 0] = -(d >= 0 ? expectile : 1 - expectile) * d / Float(n)
      }
    }
    critic.backward(parameters, into: gradients, weightRows: next)
    criticZ.backward(parameters, into: gradients, weightRows: data)
  }

  /// Q(s, a, ε) for each ε, and Z(s, a); means over the members.
  func values(
    _ parameters: UnsafePointer<Float>, _ s: Matrix<Float>, _ a: Matrix<Float>, noise: Matrix<Float>
  ) -> (q: [Double], z: Double) {
    for i in 0..<noise.rows {
      critic.input.rows(i..<i + 1).concatenate(s, a, noise.rows(i..<i + 1))
    }
    critic.forward(parameters, rows: 0..<noise.rows)
    criticZ.input.rows(0..<1).concatenate(s, a)
    criticZ.forward(parameters, rows: 0..<1)
    func mean(_ network: MLP<Float>, _ i: Int) -> Double {
      Double((network.output(0)[i, 0] + network.output(1)[i, 0]) / 2)
    }
    return ((0..<noise.rows).map { mean(critic, $0) }, mean(criticZ, 0))
  }
}
