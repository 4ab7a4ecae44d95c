import Basics
import Kernels

/// What is known about a task's environment before episodes are played.
public struct EnvironmentDescription: Sendable, Equatable {
  /// What an observation is.
  public let observation: ObservationSpace
  /// A, the size of an action.
  public let actionSize: Int
  /// The two returns that the task's benchmark scores 0 and 100; nil if the benchmark defines no score.
  public let referenceReturns: [Double]?
  /// The entries of the dictionaries that observations are made of, with their sizes, in the order of the
  /// environment's space; nil if observations are one box.
  public let observationOrder: [String]?
  /// The bounds of each number of an action in the environment's own units; nil where it has none.
  public let actionBounds: [ClosedRange<Float>?]

  /// Makes a description with the given values; without `actionBounds` they are −1 and 1.
  public init(
    observation: ObservationSpace, actionSize: Int, referenceReturns: [Double]? = nil,
    observationOrder: [String]? = nil, actionBounds: [ClosedRange<Float>?]? = nil
  ) {
    self.observationOrder = observationOrder
    self.actionBounds = actionBounds ?? Array(repeating: -1...1, count: actionSize)
    self.observation = observation
    self.actionSize = actionSize
    self.referenceReturns = referenceReturns
  }

  /// The same environment with other reference returns; itself for nil.
  public func scored(by returns: [Double]?) -> EnvironmentDescription {
    EnvironmentDescription(
      observation: observation, actionSize: actionSize, referenceReturns: returns ?? referenceReturns,
      observationOrder: observationOrder, actionBounds: actionBounds)
  }

  /// The normalised score of a return R, 100 · (R − low) / (high − low) with the two reference returns; nil
  /// if the benchmark defines none.
  public func normalisedScore(_ total: Double) -> Double? {
    guard let referenceReturns else { return nil }
    return 100 * (total - referenceReturns[0]) / (referenceReturns[1] - referenceReturns[0])
  }
}

/// The result of one action in one episode.
public struct StepOutcome: Sendable, Equatable {
  /// The reward.
  public let reward: Double
  /// Whether the episode ended in a terminal state, after which no rewards follow.
  public let terminated: Bool
  /// Whether the episode was cut off, for instance by a limit of its steps.
  public let truncated: Bool
  /// Whether the task is solved; nil where the environment does not say.
  public let success: Bool?
  /// Whether the environment said NaN where it should say whether the task is solved.
  public let isUnclear: Bool

  /// Makes an outcome with the given values.
  public init(
    reward: Double, terminated: Bool, truncated: Bool, success: Bool?, isUnclear: Bool = false
  ) {
    self.isUnclear = isUnclear
    self.reward = reward
    self.terminated = terminated
    self.truncated = truncated
    self.success = success
  }

  /// Whether the episode has ended.
  public var isLast: Bool { terminated || truncated }
}

/// Where the observation of a row goes: numbers of single precision for a vector, bytes for an image.
public typealias ObservationPlace = (_ row: Int) -> UnsafeMutableRawPointer

/// Plays several episodes of one task at once, each in a slot, numbered from 0, so that a policy can act in
/// batches.
///
/// Episode number e of a seed is the same in any slot, whatever was played there before.
public protocol VectorEnvironment: AnyObject {
  /// The number of slots.
  var capacity: Int { get }

  /// Describes the environment. May start worker processes.
  func describe() throws -> EnvironmentDescription

  /// Begins episodes, one in each of `slots`.
  ///
  /// - Parameters:
  ///   - episodes: the numbers of the episodes, as many as there are slots.
  ///   - place: where the first observation in `slots[i]` goes, for row i.
  func start(_ episodes: [Int], in slots: [Int], _ place: ObservationPlace) throws

  /// Takes one step in each of `slots`, where episodes must be running. Returns the outcomes in the order of
  /// `slots`.
  ///
  /// - Parameters:
  ///   - actions: row i is the action for `slots[i]`, with components in [−1, 1] unless the environment takes actions
  ///     in its own units.
  ///   - place: where the next observation in `slots[i]` goes, for row i.
  func step(_ slots: [Int], _ actions: Matrix<Float>, _ place: ObservationPlace) throws -> [StepOutcome]

  /// The state of the episode in a slot as numbers, from which it can go on with the same bits; nil for a simulator, which
  /// cannot give it.
  func state(of slot: Int) -> [Double]?

  /// Goes on with an episode in a slot.
  ///
  /// - Parameters:
  ///   - state: what `state(of:)` gave, or what a file says that it gave.
  ///   - observation: receives the observation of the state.
  /// - Returns: false if no episode can be in such a state.
  func resume(_ state: [Double], in slot: Int, _ observation: UnsafeMutableRawPointer) -> Bool

  /// Ends all episodes and processes. The environment may be used again and then starts afresh.
  func stop()
}

extension VectorEnvironment {
  public func state(of slot: Int) -> [Double]? { nil }

  public func resume(_ state: [Double], in slot: Int, _ observation: UnsafeMutableRawPointer) -> Bool {
    false
  }
}
