import Kernels
import Networks

/// FAN's value: `critic` Q(s, a, ε), which over random ε represents the distribution of returns, and `critic_z`
/// Z(s, a), the upper expectile of Q over ε.
///
/// Rows of the critic: n at (s, a, ε′), trained; n at (s, π_c, ε_q), through which the actor learns. Of Z: n at
/// (s′, a′); n at (s, a), trained; n at (s, π_c). Of the target critic: n at (s, a, ε).
package final class NoiseConditionedValue<T: Real> {
  let critic: MLP<T>
  let criticZ: MLP<T>
  let target: MLP<T>
  /// Keeps the scales of normalised losses as they are.
  var freezesScales = false

  private let targetStart: Int
  private let discount: T
  private let expectile: T
  private let aggregation: Aggregation
  private let normalises: Bool
  /// sg(1 / mean|·|) of the actor's q and z when normalised, else 1.
  private var scales = SIMD2<Double>(1, 1)

  package init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, layout: inout ParameterLayout, rows: Int,
    scratch: Scratch<T>
  ) {
    discount = T(hyperparameters.discount)
    expectile = T(hyperparameters.expectile)
    aggregation = hyperparameters.zAgg
    normalises = hyperparameters.normalizeValueLoss
    let (O, A) = (spec.observationSize, spec.actionSize)
    let shape = hyperparameters.valueShape("critic", inputs: O + 2 * A)
    critic = MLP(
      shape, layout: &layout, rows: 2 * rows, inputGradientColumns: O..<O + A, scratch: scratch)
    criticZ = MLP(
      hyperparameters.valueShape("critic_z", inputs: O + A), layout: &layout, rows: 3 * rows,
      inputGradientColumns: O..<O + A, scratch: scratch)
    targetStart = layout.follow(critic)
    var apart = ParameterLayout()
    target = MLP(shape, layout: &apart, rows: rows, scratch: scratch)
  }

  /// - Parameters:
  ///   - nextAction: a′.
  ///   - nextNoise: ε′, which chose a′.
  ///   - targetNoise: ε.
  ///   - policy: π_c and ε_q; nil when the actor does not learn.
  package func forward(
    _ parameters: UnsafePointer<T>, _ targets: UnsafePointer<T>, _ batch: Batch<T>, nextAction: Matrix<T>,
    nextNoise: Matrix<T>, targetNoise: Matrix<T>, policy: (action: Matrix<T>, noise: Matrix<T>)?
  ) {
    let n = batch.rows
    let (s, a) = (batch.observations.rows(0..<n), batch.actions.rows(0..<n))
    let more = policy == nil ? 0 : n
    criticZ.input.rows(block(0, n)).concatenate(batch.nextObservations.rows(0..<n), nextAction.rows(0..<n))
    criticZ.input.rows(block(1, n)).concatenate(s, a)
    critic.input.rows(block(0, n)).concatenate(s, a, nextNoise)
    if let policy {
      criticZ.input.rows(block(2, n)).concatenate(s, policy.action.rows(0..<n))
      critic.input.rows(block(1, n)).concatenate(s, policy.action.rows(0..<n), policy.noise)
    }
    criticZ.forward(parameters + criticZ.start, rows: 0..<2 * n + more, gradientRows: n..<2 * n + more)
    critic.forward(parameters + critic.start, rows: 0..<n + more, gradientRows: 0..<n + more)
    target.input.rows(block(0, n)).concatenate(s, a, targetNoise)
    target.forward(targets + targetStart, rows: 0..<n)
  }

  /// The critic's loss, mean over E and B of (Q(s, a, ε′)θ − y)² with y = r + γ · mask · (z′ − penalty), sg, where
  /// z′ is the current Z(s′, a′); and Z's, the expectile regression to the target critic at (s, a, ε).
  package func criticLoss(_ batch: Batch<T>, penalty: Penalty<T>?, _ figures: Figures?) {
    let n = batch.rows
    let perValue = batch.perSample / 2
    let nextZ = criticZ.values(block(0, n))
    let targetQ = target.values(block(0, n))
    var (qLoss, zLoss) = (T(0), T(0))
    for e in 0..<2 {
      let (q, qGradient) = (critic.output(e), critic.outputGradient(e))
      let (z, zGradient) = (criticZ.output(e).rows(block(1, n)), criticZ.outputGradient(e).rows(block(1, n)))
      for i in 0..<n {
        var next = nextZ.aggregate(i, aggregation)
        if let penalty { next -= penalty.weight * penalty.values[i] }
        let error = q[i, 0] - (batch.rewards[i] + discount * batch.masks[i] * next)
        qLoss += error * error
        qGradient[i, 0] = 2 * error * perValue
        // d = y_z − z; w = expectile where d ≥ 0, else 1 − expectile.
        let d = targetQ.mean(i) - z[i, 0]
        let weight = d >= 0 ? expectile : 1 - expectile
        zLoss += weight * d * d
        zGradient[i, 0] = -2 * weight * d * perValue
      }
    }
    guard let figures else { return }
    figures["critic/q_loss"] = Double(qLoss * perValue)
    figures["critic/z_loss"] = Double(zLoss * perValue)
    figures["critic/critic_loss"] = figures["critic/q_loss"] + figures["critic/z_loss"]
    critic.values(block(0, n)).log("critic/q", batch, figures)
    criticZ.values(block(1, n)).log("critic/z", batch, figures)
  }

  /// The actor's −scale · mean Q(s, π_c, ε_q) − scale · mean Z(s, π_c), each with its own scale.
  func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout SIMD2<Double>) throws -> Void, _ figures: Figures?
  ) throws {
    let (qRows, zRows) = (block(1, batch.rows), block(2, batch.rows))
    let (q, z) = (critic.values(qRows).sums(.mean), criticZ.values(zRows).sums(.mean))
    if normalises && !freezesScales {
      var magnitudes = SIMD2(q.magnitudes, z.magnitudes)
      try sumOverRanks(&magnitudes)
      scales = SIMD2(repeating: Double(batch.globalRows)) / magnitudes
    }
    critic.valueGradients(qRows).setSlopes(of: critic.values(qRows), .mean) { _ in
      -T(scales.x) * batch.perSample
    }
    criticZ.valueGradients(zRows).setSlopes(of: criticZ.values(zRows), .mean) { _ in
      -T(scales.y) * batch.perSample
    }
    guard let figures else { return }
    figures["actor/q"] = Double(q.values * batch.perSample)
    figures["actor/z"] = Double(z.values * batch.perSample)
    figures["actor/q_loss"] = -scales.x * figures["actor/q"]
    figures["actor/z_loss"] = -scales.y * figures["actor/z"]
  }

  /// The gradients of both critics; adds what reaches π through them to the actor's.
  func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, _ actor: OneStepActor<T>,
    rows n: Int
  ) {
    backward(parameters, into: gradients, rows: n, reachesActor: true)
    actor.addThroughClip(critic.inputGradient.rows(block(1, n)))
    actor.addThroughClip(criticZ.inputGradient.rows(block(2, n)))
  }

  /// The gradients of both critics.
  package func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, rows n: Int, reachesActor: Bool
  ) {
    critic.backward(
      parameters + critic.start, into: gradients + critic.start, weightRows: block(0, n),
      inputRows: reachesActor ? block(1, n) : nil)
    criticZ.backward(
      parameters + criticZ.start, into: gradients + criticZ.start, weightRows: block(1, n),
      inputRows: reachesActor ? block(2, n) : nil)
  }

  /// Q(s, a, ε) for each ε of `noise`, and Z(s, a); means over E.
  package func returns(
    _ parameters: UnsafePointer<T>, _ s: Matrix<T>, _ a: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    for i in 0..<noise.rows { critic.input.rows(block(i, 1)).concatenate(s, a, noise.rows(block(i, 1))) }
    critic.forward(parameters + critic.start, rows: 0..<noise.rows)
    criticZ.input.rows(0..<1).concatenate(s, a)
    criticZ.forward(parameters + criticZ.start, rows: 0..<1)
    let q = critic.values(0..<noise.rows)
    return ReturnEstimate(
      samples: (0..<noise.rows).map { Double(q.mean($0)) }, name: "Z",
      value: Double(criticZ.values(0..<1).mean(0)))
  }

  func addOperations(rows n: Int, to sum: inout Operations) {
    sum.add(criticZ, rows: n, forward: 3, weights: 1, inputs: 2)
    sum.add(critic, rows: n, forward: 2, weights: 1, inputs: 2)
    sum.add(target, rows: n, forward: 1)
  }
}
