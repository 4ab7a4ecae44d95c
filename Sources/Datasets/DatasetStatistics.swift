import Foundation

/// Statistics of a dataset, shown before training starts: a reward of the wrong sign or masks that are all 1
/// are easy to see here and hard to notice later.
public struct DatasetStatistics: Sendable, Equatable, Codable {
  /// Smallest value, mean and largest value.
  public struct Spread: Sendable, Equatable, Codable {
    /// The smallest value.
    public let minimum: Double
    /// The mean.
    public let mean: Double
    /// The largest value.
    public let maximum: Double

    /// A spread with the given values.
    public init(minimum: Double, mean: Double, maximum: Double) {
      self.minimum = minimum
      self.mean = mean
      self.maximum = maximum
    }
  }

  /// The number of rows.
  public let rows: Int
  /// The number of episodes.
  public let episodes: Int
  /// The number of transitions.
  public let transitions: Int
  /// The number of episodes of one row, which have no transition.
  public let emptyEpisodes: Int
  /// The number of transitions of an episode.
  public let episodeLength: Spread
  /// The rewards of the transitions.
  public let reward: Spread
  /// The masks of the transitions. Their mean is the share of transitions after which the task goes on.
  public let mask: Spread
  /// The smallest action component before clipping.
  public let actionMinimum: Float
  /// The largest action component before clipping.
  public let actionMaximum: Float
  /// The share of action components that clipping changed.
  public let clippedShare: Double
  /// The number of action components that lay outside [−1, 1] by more than rounding.
  public let actionsOutside: Int
  /// The digest of all fields as they are stored: 16 hexadecimal digits.
  public let digest: String

  /// The statistics in a few lines for people to read, without the warnings.
  public var lines: [String] {
    let lengths = "\(whole(episodeLength.minimum)) to \(whole(episodeLength.maximum))"
    return [
      "dataset: \(rows) rows, \(transitions) transitions in \(episodes) episodes of \(lengths); digest \(digest)",
      "dataset: actions \(short(Double(actionMinimum))) to \(short(Double(actionMaximum))), rewards \(short(reward.minimum)) to \(short(reward.maximum)), mean \(short(reward.mean)); masks \(short(mask.minimum)) to \(short(mask.maximum)), mean \(short(mask.mean))",
    ]
  }

  /// One line for each thing that usually signals a mistake; empty when all looks well.
  public var warnings: [String] { rewardWarnings + actionWarnings + episodeWarnings }

  private var rewardWarnings: [String] {
    var lines: [String] = []
    if mask.minimum == 1 {
      lines.append(
        "every mask is 1: no transition reaches the end of its task, so is it ever solved in this data?")
    }
    if mask.maximum == 0 { lines.append("every mask is 0: no transition looks beyond its own reward") }
    if reward.minimum == reward.maximum {
      lines.append("every reward is \(reward.minimum): there is nothing to tell good behaviour from bad")
    }
    return lines
  }

  private var actionWarnings: [String] {
    let reach = max(-actionMinimum, actionMaximum)
    if actionsOutside > 0 {
      return [
        "\(actionsOutside) action components lie outside [-1, 1], the farthest at ±\(reach): are they scaled to [-1, 1]?"
      ]
    }
    if actionMinimum == actionMaximum { return ["every action is \(actionMinimum)"] }
    if reach < 0.05 { return ["no action goes beyond ±\(reach): are they scaled to [-1, 1]?"] }
    guard clippedShare > 0.5 else { return [] }
    return [
      "\(whole(100 * clippedShare)) % of the action components lie at ±1 and were clipped: were they cut off before?"
    ]
  }

  private var episodeWarnings: [String] {
    emptyEpisodes > 0 ? ["episodes of one row, which give no transition: \(emptyEpisodes)"] : []
  }

  private func short(_ value: Double) -> String { String(format: "%.6g", value) }

  private func whole(_ value: Double) -> String { String(format: "%.0f", value) }
}
