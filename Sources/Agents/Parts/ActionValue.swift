import Kernels
import Networks

/// The value of Q-learning: `critic` Q(s, a), with a target critic that values the next action.
///
/// Rows of the critic: n at (s, a), trained; n at (s, π), through which the actor learns. Of the target critic: n at
/// (s′, a′).
package final class ActionValue<T: Real> {
  let critic: MLP<T>
  let target: MLP<T>
  /// Keeps the scale of a normalised loss as it is.
  var freezesScales = false

  private let targetStart: Int
  private let discount: T
  private let aggregation: Aggregation
  private let actorAggregation: Aggregation
  private let normalises: Bool
  /// sg(1 / mean|q|) of the actor's q when normalised, else 1.
  private var scale = 1.0

  /// - Parameters:
  ///   - aggregation: how the target critic's values of the next action become one.
  ///   - actorAggregation: the same for the critic's values of the actor's action.
  ///   - normalises: whether the actor's loss is divided by the mean magnitude of its values.
  package init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, aggregation: Aggregation,
    actorAggregation: Aggregation = .mean, normalises: Bool, layout: inout ParameterLayout, rows: Int,
    scratch: Scratch<T>
  ) {
    discount = T(hyperparameters.discount)
    self.aggregation = aggregation
    self.actorAggregation = actorAggregation
    self.normalises = normalises
    let (O, A) = (spec.observationSize, spec.actionSize)
    let shape = hyperparameters.valueShape("critic", inputs: O + A)
    critic = MLP(
      shape, layout: &layout, rows: 2 * rows, inputGradientColumns: O..<O + A, scratch: scratch)
    targetStart = layout.follow(critic)
    var apart = ParameterLayout()
    target = MLP(shape, layout: &apart, rows: rows, scratch: scratch)
  }

  /// - Parameter action: π; nil when the actor does not learn.
  package func forward(
    _ parameters: UnsafePointer<T>, _ targets: UnsafePointer<T>, _ batch: Batch<T>,
    nextAction: Matrix<T>, action: Matrix<T>?
  ) {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    critic.input.rows(block(0, n)).concatenate(s, batch.actions.rows(0..<n))
    if let action { critic.input.rows(block(1, n)).concatenate(s, action.rows(0..<n)) }
    let rows = 0..<(action == nil ? n : 2 * n)
    critic.forward(parameters + critic.start, rows: rows, gradientRows: rows)
    target.input.rows(block(0, n)).concatenate(batch.nextObservations.rows(0..<n), nextAction.rows(0..<n))
    target.forward(targets + targetStart, rows: 0..<n)
  }

  /// Mean over E and B of (Q(s, a)θ − y)² with y = r + γ · mask · (q′ − penalty), sg, where q′ is the target
  /// critic's value of (s′, a′).
  package func criticLoss(_ batch: Batch<T>, penalty: Penalty<T>?, _ figures: Figures?) {
    let n = batch.rows
    let perValue = batch.perSample / 2
    let nextQ = target.values(block(0, n))
    var loss = T(0)
    for e in 0..<2 {
      let (q, gradient) = (critic.output(e), critic.outputGradient(e))
      for i in 0..<n {
        var next = nextQ.aggregate(i, aggregation)
        if let penalty { next -= penalty.weight * penalty.values[i] }
        let error = q[i, 0] - (batch.rewards[i] + discount * batch.masks[i] * next)
        loss += error * error
        gradient[i, 0] = 2 * error * perValue
      }
    }
    guard let figures else { return }
    figures["critic/critic_loss"] = Double(loss * perValue)
    critic.values(block(0, n)).log("critic/q", batch, figures)
  }

  /// The actor's −scale · mean Q(s, π). Returns this rank's part of mean Q(s, π) and of the loss.
  func actorLoss(
    _ batch: Batch<T>, _ sumOverRanks: (inout SIMD2<Double>) throws -> Void
  ) throws -> (value: Double, loss: Double) {
    let rows = block(1, batch.rows)
    let sums = critic.values(rows).sums(actorAggregation)
    if normalises && !freezesScales {
      var magnitude = SIMD2(sums.magnitudes, 0)
      try sumOverRanks(&magnitude)
      scale = Double(batch.globalRows) / magnitude.x
    }
    critic.valueGradients(rows).setSlopes(of: critic.values(rows), actorAggregation) { _ in
      -T(scale) * batch.perSample
    }
    let value = Double(sums.values * batch.perSample)
    return (value, -scale * value)
  }

  /// The critic's gradients; returns what reaches the actor's action, n × A, unless the actor does not learn.
  @discardableResult package func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, rows n: Int,
    reachesActor: Bool = true
  ) -> Matrix<T> {
    critic.backward(
      parameters + critic.start, into: gradients + critic.start, weightRows: block(0, n),
      inputRows: reachesActor ? block(1, n) : nil)
    return critic.inputGradient.rows(block(1, n))
  }

  /// Q(s, a), the mean over E.
  package func returns(_ parameters: UnsafePointer<T>, _ s: Matrix<T>, _ a: Matrix<T>) -> ReturnEstimate {
    critic.input.rows(0..<1).concatenate(s, a)
    critic.forward(parameters + critic.start, rows: 0..<1)
    return ReturnEstimate(samples: [], name: "Q", value: Double(critic.values(0..<1).mean(0)))
  }

  func addOperations(rows n: Int, to sum: inout Operations) {
    sum.add(critic, rows: n, forward: 2, weights: 1, inputs: 2)
    sum.add(target, rows: n, forward: 1)
  }
}
