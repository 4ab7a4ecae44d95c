/// What makes one evaluation better than another: success, then return.
public struct EvaluationScore: Sendable, Comparable {
  /// Share of the episodes that were solved; 0 where the environment does not say.
  public let success: Double
  /// Mean return, undiscounted.
  public let totalReward: Double

  /// A score of these numbers.
  public init(success: Double, totalReward: Double) {
    self.success = success
    self.totalReward = totalReward
  }

  /// Whether the first is worse.
  public static func < (a: EvaluationScore, b: EvaluationScore) -> Bool {
    (a.success, a.totalReward) < (b.success, b.totalReward)
  }
}
