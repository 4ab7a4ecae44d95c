import Agents
import Kernels

/// A policy that acts on rows of a dataset.
final class ActingPolicy {
  /// The actions of the last call, in its first rows.
  var actions: Matrix<Float> { policy.actions }

  private let policy: any Policy<Float>

  /// - Parameter policy: the way to act, for as many rows as calls have at most.
  init(_ policy: any Policy<Float>) { self.policy = policy }

  /// Chooses actions, with noise that depends on seed, step and row only.
  ///
  /// - Parameter parameters: the flat vector of the agent's parameters.
  func act(
    _ observations: Observations<Float>, _ parameters: UnsafePointer<Float>, seed: UInt32, step: Int
  ) {
    let rows = observations.rows
    policy.observations.rows(0..<rows).copy(observations)
    policy.drawNoise(rows: rows, seed: seed, step: step)
    policy.act(parameters, rows: rows)
  }
}
