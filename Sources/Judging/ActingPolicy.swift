import Agents
import Checkpoints
import Kernels

/// A policy with its parameters that acts on rows of a dataset.
final class ActingPolicy {
  /// The actions of the last call, in its first rows.
  var actions: Matrix<Float> { policy.actions }

  private let policy: any Policy<Float>
  private let saved: SavedPolicy

  /// - Parameter policy: the way to act, for as many rows as calls have at most.
  init(_ policy: any Policy<Float>, _ saved: SavedPolicy) {
    self.policy = policy
    self.saved = saved
  }

  /// Chooses actions, with noise that depends on seed, step and row only.
  func act(_ observations: Observations<Float>, seed: UInt32, step: Int) {
    let rows = observations.rows
    policy.observations.rows(0..<rows).copy(observations)
    policy.drawNoise(rows: rows, seed: seed, step: step)
    policy.act(saved.parameters.base, rows: rows)
  }
}
