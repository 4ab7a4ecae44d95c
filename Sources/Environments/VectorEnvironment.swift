import Kernels

/// What is known of a task's environment before it is played.
public struct EnvironmentDescription: Sendable, Equatable {
  /// O, the numbers of an observation.
  public let observationSize: Int
  /// A, the numbers of an action.
  public let actionSize: Int
  /// The returns that the task's benchmark scores 0 and 100, if it does.
  public let referenceReturns: [Double]?

  /// An environment of these sizes.
  public init(observationSize: Int, actionSize: Int, referenceReturns: [Double]? = nil) {
    self.observationSize = observationSize
    self.actionSize = actionSize
    self.referenceReturns = referenceReturns
  }

  /// The score of a return: 100 · (R − low) / (high − low); nil where the benchmark defines none.
  public func normalisedScore(_ total: Double) -> Double? {
    guard let referenceReturns else { return nil }
    return 100 * (total - referenceReturns[0]) / (referenceReturns[1] - referenceReturns[0])
  }
}

/// What an action led to.
public struct StepOutcome: Sendable, Equatable {
  /// The reward.
  public let reward: Double
  /// The episode ended in a state after which nothing is worth anything.
  public let terminated: Bool
  /// The episode was cut off.
  public let truncated: Bool
  /// Whether the task is solved; nil where the environment does not say.
  public let success: Bool?

  /// An outcome.
  public init(reward: Double, terminated: Bool, truncated: Bool, success: Bool?) {
    self.reward = reward
    self.terminated = terminated
    self.truncated = truncated
    self.success = success
  }

  /// No more steps follow.
  public var isLast: Bool { terminated || truncated }
}

/// Several episodes of one task at once, each in a slot, numbered from 0, so that a policy can act in batches.
///
/// Episode number e of a seed is the same whatever slot it is played in, and whatever was played there before.
public protocol VectorEnvironment: AnyObject {
  /// Number of slots.
  var capacity: Int { get }

  /// What is known of it. May start what it needs.
  func describe() throws -> EnvironmentDescription

  /// Begins episodes, one in each of `slots`.
  ///
  /// - Parameters:
  ///   - episodes: their numbers, as many as slots.
  ///   - observations: row i receives the first observation in `slots[i]`.
  func start(_ episodes: [Int], in slots: [Int], _ observations: Matrix<Float>) throws

  /// Takes one step in each of `slots`, in which episodes are running.
  ///
  /// - Parameters:
  ///   - actions: row i, in [−1, 1], is for `slots[i]`.
  ///   - observations: row i receives the observation that follows.
  func step(_ slots: [Int], _ actions: Matrix<Float>, _ observations: Matrix<Float>) throws -> [StepOutcome]

  /// Ends what it has started. It can be used again and starts anew then.
  func stop()
}
