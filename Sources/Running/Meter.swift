import Basics

/// The rate of updates since it was last restarted.
struct Meter {
  private var start = ContinuousClock.now
  private var step = 0
  private var communication = 0.0

  /// Begins a new interval.
  ///
  /// - Parameters:
  ///   - step: updates done.
  ///   - communication: seconds spent in communication since the run's start.
  mutating func restart(step: Int, communication: Double) {
    self.step = step
    self.communication = communication
    start = .now
  }

  /// Updates a second and the share of time in communication since the interval began.
  func reading(step: Int, communication: Double) -> (rate: Double, share: Double) {
    let seconds = max((ContinuousClock.now - start).seconds, 1e-9)
    return (Double(step - self.step) / seconds, (communication - self.communication) / seconds)
  }
}
