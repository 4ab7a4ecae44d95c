import Basics

/// What an agent needs to know about the data it learns from.
public struct DataSpec: Sendable, Equatable {
  /// What an observation is.
  public let observation: ObservationSpace
  /// A, the numbers of an action.
  public let actionSize: Int
  /// The smallest and the largest reward of the dataset.
  public let rewards: ClosedRange<Double>

  /// O, the numbers of an observation.
  public var observationSize: Int { observation.count }

  /// Data of these observations, actions and rewards.
  public init(observation: ObservationSpace, actionSize: Int, rewards: ClosedRange<Double>) {
    self.observation = observation
    self.actionSize = actionSize
    self.rewards = rewards
  }

  /// Data with vectors as observations.
  public init(observationSize: Int, actionSize: Int, rewards: ClosedRange<Double>) {
    self.init(observation: .vector(observationSize), actionSize: actionSize, rewards: rewards)
  }
}
