import Agents
import Kernels
import Profiling

/// A policy that acts for many environments at once.
struct Crowd {
  /// Operations of the matrix products.
  let operations: Double
  private let policy: any Policy<Float>
  private let parameters: UnsafePointer<Float>
  private let rows: Int

  init(_ subject: TimedLearner, rows: Int) {
    (policy, parameters) = (subject.policy(rows: rows), UnsafePointer(subject.learner.memory.parameters))
    self.rows = rows
    let profile = Profile()
    policy.networks.measure(in: profile)
    profile.isOn = true
    policy.act(parameters, rows: rows)
    profile.isOn = false
    operations = Double(profile.productOperations)
  }

  func act() { policy.act(parameters, rows: rows) }
}
