import Basics

/// The rate of updates since it was last restarted.
struct Meter {
  /// Updates a second, and shares of the time.
  typealias Reading = (rate: Double, communication: Double, environment: Double)

  private var start = ContinuousClock.now
  private var step = 0
  private var (communication, environment) = (0.0, 0.0)

  /// Begins a new interval.
  ///
  /// - Parameters:
  ///   - step: updates done.
  ///   - communication: seconds spent in communication since the run's start.
  ///   - environment: seconds spent in steps of environments since the run's start.
  mutating func restart(step: Int, communication: Double, environment: Double) {
    self.step = step
    (self.communication, self.environment) = (communication, environment)
    start = .now
  }

  /// Updates a second, and the shares of time in communication and in environments, since the interval began.
  func reading(step: Int, communication: Double, environment: Double) -> Reading {
    let seconds = max((ContinuousClock.now - start).seconds, 1e-9)
    return (
      Double(step - self.step) / seconds, (communication - self.communication) / seconds,
      (environment - self.environment) / seconds
    )
  }
}
