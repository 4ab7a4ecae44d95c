/// Where a run stands, for whoever watches.
public struct RunStatus: Sendable {
  /// Updates done.
  public let step: Int
  /// Updates of the whole run.
  public let steps: Int
  /// Whether the figures are this update's, and in train.csv; otherwise some time has passed since.
  public let isLogged: Bool
  /// Updates a second over the last log interval.
  public let updatesPerSecond: Double
  /// Share of the time spent exchanging or waiting for other ranks over the last log interval.
  public let communicationShare: Double
  /// Share of the time spent acting and waiting for environments; nil for a run that never goes online.
  public let environmentShare: Double?
  /// The figures of the last logged update, by name.
  public let figures: [(name: String, value: Double)]
  /// Success of the last evaluation.
  public let success: Double?
  /// Update whose policy is being evaluated, and how many of the episodes have ended.
  public let evaluating: (step: Int, done: Int, episodes: Int)?
}
