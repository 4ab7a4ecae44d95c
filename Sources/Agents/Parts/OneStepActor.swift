import Kernels
import Networks

/// The policy `actor_onestep_flow` in an update: a = π(s, ε), one forward pass per action.
///
/// Rows of the network: n for a logged figure; n for a′; n for π, whose loss reaches the weights.
final class OneStepActor<T: Real> {
  let network: MLP<T>
  /// a′ = clip(π(s′, ε′)), n × A.
  let nextAction: Matrix<T>
  /// π_c = clip(π(s, ε)), n × A.
  let action: Matrix<T>
  private let workspace = Workspace<T>()

  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, layout: inout ParameterLayout, rows: Int,
    scratch: Scratch<T>
  ) {
    network = MLP(
      Self.shape(spec, hyperparameters), layout: &layout, rows: 3 * rows, scratch: scratch)
    nextAction = workspace.matrix(rows: rows, columns: spec.actionSize)
    action = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  static func shape(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> NetworkShape {
    hyperparameters.actorShape(
      "actor_onestep_flow", inputs: spec.observationSize + spec.actionSize,
      outputs: spec.actionSize)
  }

  /// π(s, ε), and π(s′, ε′) and π(s, ε_log) when those are given, the last only with the one before.
  func forward(
    _ parameters: UnsafePointer<T>, _ batch: Batch<T>, nextNoise: Matrix<T>?, noise: Matrix<T>,
    logNoise: Matrix<T>?
  ) {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    if let logNoise { network.input.rows(block(0, n)).concatenate(s, logNoise) }
    if let nextNoise {
      network.input.rows(block(1, n)).concatenate(batch.nextObservations.rows(0..<n), nextNoise)
    }
    network.input.rows(block(2, n)).concatenate(s, noise)
    let first = logNoise != nil ? 0 : nextNoise != nil ? n : 2 * n
    network.forward(parameters + network.start, rows: first..<3 * n, gradientRows: block(2, n))
    if nextNoise != nil { nextAction.rows(0..<n).clip(network.output().rows(block(1, n))) }
    action.rows(0..<n).clip(output(n))
  }

  /// π(s, ε), not clipped, n × A.
  func output(_ n: Int) -> Matrix<T> { network.output().rows(block(2, n)) }

  /// The gradient of the loss with respect to π, n × A: losses write and add to it before `backward`.
  func gradient(_ n: Int) -> Matrix<T> { network.outputGradient().rows(block(2, n)) }

  /// Adds a gradient with respect to π_c to that of π: none passes where π was clipped.
  func addThroughClip(_ gradient: Matrix<T>) {
    let n = gradient.rows
    let (output, sum) = (output(n), self.gradient(n))
    for i in 0..<n {
      for c in 0..<gradient.columns where abs(output[i, c]) <= 1 { sum[i, c] += gradient[i, c] }
    }
  }

  /// Adds a gradient with respect to π.
  func add(_ gradient: Matrix<T>) {
    let sum = self.gradient(gradient.rows)
    for i in 0..<gradient.rows {
      for c in 0..<gradient.columns { sum[i, c] += gradient[i, c] }
    }
  }

  /// From the gradient of π to the parameters'.
  func backward(_ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, rows n: Int) {
    network.backward(
      parameters + network.start, into: gradients + network.start, weightRows: block(2, n))
  }

  /// The figure `actor/mse`: mean over B and A of (clip(π(s, ε_log)) − a)².
  func log(_ batch: Batch<T>, _ figures: Figures) {
    let output = network.output()
    var sum = T(0)
    for i in 0..<batch.rows {
      for c in 0..<action.columns {
        let difference = max(-1, min(1, output[i, c])) - batch.actions[i, c]
        sum += difference * difference
      }
    }
    figures["actor/mse"] = Double(sum * batch.perElement)
  }

  func addOperations(rows n: Int, to sum: inout Operations) {
    sum.add(network, rows: n, forward: 2, weights: 1, inputs: 1)
  }
}
