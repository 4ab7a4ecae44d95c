/// What an agent's critics expect of the return that follows an action.
public struct ReturnEstimate: Sendable {
  /// Samples of the distribution of returns that the critic represents, or its quantiles at evenly spaced levels;
  /// empty for a critic of means.
  public let samples: [Double]
  /// The name of the value that the actor's loss or the critic's target uses: `Z` or `Q`.
  public let name: String
  /// That value.
  public let value: Double
}
