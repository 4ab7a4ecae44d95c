import Basics

/// What an agent needs to know about the data it learns from.
public struct DataSpec: Sendable, Equatable {
  /// What an observation is.
  public let observation: ObservationSpace
  /// A, the numbers of an action.
  public let actionSize: Int
  /// The smallest and the largest reward of the dataset.
  public let rewards: ClosedRange<Double>
  /// The entries of an observation that was a dictionary, with their sizes, in the order in which they follow each
  /// other; nil where that is not known, or where observations were no dictionaries.
  public let observationOrder: [String]?
  /// How the data's own units became those of the data; nil where nothing was scaled.
  public let scales: DataScales?

  /// O, the numbers of an observation.
  public var observationSize: Int { observation.count }

  /// Data of these observations, actions and rewards.
  public init(
    observation: ObservationSpace, actionSize: Int, rewards: ClosedRange<Double>,
    observationOrder: [String]? = nil, scales: DataScales? = nil
  ) {
    self.observationOrder = observationOrder
    self.scales = scales
    self.observation = observation
    self.actionSize = actionSize
    self.rewards = rewards
  }

  /// The same data, where it is known from elsewhere in which order the entries of an observation are.
  public func ordered(_ order: [String]?) -> DataSpec {
    DataSpec(
      observation: observation, actionSize: actionSize, rewards: rewards,
      observationOrder: observationOrder ?? order, scales: scales)
  }

  /// Data with vectors as observations.
  public init(
    observationSize: Int, actionSize: Int, rewards: ClosedRange<Double>, observationOrder: [String]? = nil
  ) {
    self.init(
      observation: .vector(observationSize), actionSize: actionSize, rewards: rewards,
      observationOrder: observationOrder)
  }
}
