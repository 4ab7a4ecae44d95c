import Agents
import Kernels
import Networks
import Optimisation

/// Learns the value of a policy from transitions: fitted Q evaluation (Le, Voloshin and Yue, 2019, arXiv 1903.08738),
/// with small steps and a slowly moving target in place of repeated regressions.
///
/// Q(s, a) ← r + γ · mask · Q_target(s′, π(s′)), of two members whose mean is the value. Targets
/// and values stay within what the smallest and the largest reward for ever would give: for actions that the data lack
/// the networks may say more. Rewards are counted in units of the largest, so that the steps suit them whatever their unit.
final class FittedQ {
  private static let learningRate = 1e-3
  private static let tau: Float = 0.01
  private static let name = "value"

  private let discount: Float
  /// The largest reward's magnitude, in which values are counted.
  private let unit: Float
  private let limits: ClosedRange<Float>
  private let critic: MLP<Float>
  private let target: MLP<Float>
  private let layout: ParameterLayout
  private let workspace = Workspace<Float>()
  private let parameters: UnsafeMutablePointer<Float>
  private let targets: UnsafeMutablePointer<Float>
  private let gradients: UnsafeMutablePointer<Float>
  private let moments: (first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>)

  /// Networks with initial parameters for batches of up to `rows` rows.
  init(_ spec: DataSpec, hidden: [Int], discount: Double, rows: Int, seed: UInt32) {
    let shape = NetworkShape(
      name: Self.name, inputs: spec.observationSize + spec.actionSize, hidden: hidden, outputs: 1,
      layerNorm: true, ensemble: 2, hasTarget: true)
    layout = ParameterLayout([shape])
    let scratch = Scratch<Float>(rows: rows, width: hidden.max() ?? 0)
    critic = MLP(shape, start: layout.start(of: Self.name), rows: rows, scratch: scratch)
    target = MLP(shape, start: layout.targetStart(of: Self.name), rows: rows, scratch: scratch)
    parameters = workspace.vector(layout.count)
    gradients = workspace.vector(layout.count)
    moments = (workspace.vector(layout.count), workspace.vector(layout.count))
    targets = workspace.vector(layout.targetCount)
    layout.initialise(parameters, seed: seed)
    layout.copyFollowed(of: parameters, to: targets)
    self.discount = Float(discount)
    let (lowest, highest) = (spec.rewards.lowerBound, spec.rewards.upperBound)
    let largest = max(abs(lowest), abs(highest))
    let unit = largest > 0 ? largest : 1
    self.unit = Float(unit)
    // Without a discount only the targets' own rewards bound them.
    let horizon = discount < 1 ? 1 / (1 - discount) : .infinity
    func limit(_ reward: Double) -> Double { reward == 0 ? 0 : reward / unit * horizon }
    limits =
      Float(min(limit(lowest), lowest / unit))...Float(max(limit(highest), highest / unit))
  }

  /// Update `number`, from 1, of `total`. The learning rate falls to zero, so that the value settles.
  ///
  /// - Parameter nextActions: the policy's actions in the batch's next states.
  func update(_ number: Int, of total: Int, _ batch: Batch<Float>, nextActions: Matrix<Float>) {
    let rows = 0..<batch.rows
    target.input.rows(rows).concatenate(batch.nextObservations.vectors.rows(rows), nextActions.rows(rows))
    target.forward(targets, rows: rows)
    critic.input.rows(rows).concatenate(batch.observations.vectors.rows(rows), batch.actions.rows(rows))
    critic.forward(parameters, rows: rows, gradientRows: rows)
    for e in 0..<2 {
      let (q, slope) = (critic.output(e), critic.outputGradient(e))
      for i in rows {
        let next = (target.output(0)[i, 0] + target.output(1)[i, 0]) / 2
        let y = batch.rewards[i] / unit + discount * batch.masks[i] * next
        slope[i, 0] = (q[i, 0] - possible(y)) / Float(batch.rows)
      }
    }
    critic.backward(parameters, into: gradients, weightRows: rows)
    Float.moveTarget(targets, toward: parameters, tau: Self.tau, count: layout.targetCount)
    let rate = Self.learningRate * (1 - Double(number - 1) / Double(total))
    Float.adam(
      parameters, gradient: gradients, firstMoment: moments.first, secondMoment: moments.second,
      AdamStep(number: number, learningRate: rate), count: layout.count)
  }

  /// The sum of the values of some states and actions.
  func sum(_ states: Matrix<Float>, _ actions: Matrix<Float>) -> Double {
    let rows = 0..<states.rows
    critic.input.rows(rows).concatenate(states, actions)
    critic.forward(parameters, rows: rows)
    let sum = rows.reduce(0.0) {
      $0 + Double(possible((critic.output(0)[$1, 0] + critic.output(1)[$1, 0]) / 2))
    }
    return sum * Double(unit)
  }

  /// The value nearest to this one that rewards can give.
  private func possible(_ value: Float) -> Float { max(limits.lowerBound, min(limits.upperBound, value)) }
}
