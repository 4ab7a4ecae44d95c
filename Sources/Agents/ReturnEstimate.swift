/// What an agent's critics expect of the return that follows an action.
public struct ReturnEstimate: Sendable {
  /// Samples of the distribution of returns that the critic represents, or its quantiles at evenly spaced levels;
  /// empty when it only knows a number.
  public let samples: [Double]
  /// The number that the actor climbs or the target uses, as it is called: `Z`, or `Q`.
  public let name: String
  /// Its value.
  public let value: Double
}
