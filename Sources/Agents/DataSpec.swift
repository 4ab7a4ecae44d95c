/// What an agent needs to know about the data it learns from.
public struct DataSpec: Sendable, Equatable {
  /// O, the numbers of an observation.
  public let observationSize: Int
  /// A, the numbers of an action.
  public let actionSize: Int
  /// The smallest and the largest reward of the dataset.
  public let rewards: ClosedRange<Double>

  /// Data of these sizes and rewards.
  public init(observationSize: Int, actionSize: Int, rewards: ClosedRange<Double>) {
    self.observationSize = observationSize
    self.actionSize = actionSize
    self.rewards = rewards
  }
}
