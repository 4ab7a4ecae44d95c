import ArrayFiles
import Foundation

/// What a loaded dataset looks like, to be shown before training starts: a wrong reward sign or masks that are
/// all 1 are easily seen here and hardly ever later.
public struct DatasetStatistics: Sendable, Equatable {
  /// Smallest value, mean and largest value.
  public struct Spread: Sendable, Equatable {
    /// The smallest value.
    public let minimum: Double
    /// The mean.
    public let mean: Double
    /// The largest value.
    public let maximum: Double

    /// A spread of these three.
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
  /// Transitions per episode.
  public let episodeLength: Spread
  /// Rewards of the transitions.
  public let reward: Spread
  /// The mean mask of the transitions: the share of them after which the task goes on.
  public let meanMask: Double
  /// The smallest action component before clipping.
  public let actionMinimum: Float
  /// The largest action component before clipping.
  public let actionMaximum: Float
  /// The share of action components that clipping changed.
  public let clippedShare: Double
  /// The ``Digest`` of observations, actions, rewards, masks and transitions as stored, in this order, as 16
  /// hexadecimal digits. It identifies the data.
  public let digest: String
  /// One line for each thing that usually signals a mistake; empty when all looks well.
  public let warnings: [String]

  /// The statistics in a few lines for people; warnings apart.
  public var lines: [String] {
    let lengths = "\(Int(episodeLength.minimum)) to \(Int(episodeLength.maximum))"
    return [
      "dataset: \(rows) rows, \(transitions) transitions in \(episodes) episodes of \(lengths); digest \(digest)",
      "dataset: actions \(short(Double(actionMinimum))) to \(short(Double(actionMaximum))), rewards \(short(reward.minimum)) to \(short(reward.maximum)), mean \(short(reward.mean)); masks, mean \(short(meanMask))",
    ]
  }

  private func short(_ value: Double) -> String { String(format: "%.6g", value) }

  init(_ fields: DatasetFields, _ plan: DatasetPlan, _ terminals: [Bool], _ actions: ActionSummary) {
    rows = plan.rows
    transitions = plan.transitions
    let lengths = Self.lengths(terminals)
    episodes = lengths.count
    episodeLength = Self.spread(lengths.count) { Double(lengths[$0]) }
    reward = Self.spread(plan.transitions) { Double(fields.rewards[Int(fields.transitions[$0])]) }
    let mask = Self.spread(plan.transitions) { Double(fields.masks[Int(fields.transitions[$0])]) }
    meanMask = mask.mean
    actionMinimum = actions.minimum
    actionMaximum = actions.maximum
    clippedShare = Double(actions.clipped) / Double(fields.actions.count)
    digest = Self.digest(fields)
    warnings = Self.warnings(
      mask: mask, reward: reward, actions, clippedShare, emptyEpisodes: lengths.count { $0 == 0 })
  }

  /// The number of transitions of each episode.
  private static func lengths(_ terminals: [Bool]) -> [Int] {
    var lengths: [Int] = []
    var start = 0
    for row in 0..<terminals.count where terminals[row] {
      lengths.append(row - start)
      start = row + 1
    }
    return lengths
  }

  @inline(__always)
  private static func spread(_ count: Int, _ value: (Int) -> Double) -> Spread {
    var (minimum, sum, maximum) = (Double.infinity, 0.0, -Double.infinity)
    for index in 0..<count {
      let x = value(index)
      minimum = min(minimum, x)
      maximum = max(maximum, x)
      sum += x
    }
    return Spread(minimum: minimum, mean: sum / Double(count), maximum: maximum)
  }

  private static func digest(_ fields: DatasetFields) -> String {
    var digest = Digest()
    for floats in [fields.observations, fields.actions, fields.rewards, fields.masks] {
      digest.update(UnsafeRawBufferPointer(floats))
    }
    digest.update(UnsafeRawBufferPointer(fields.transitions))
    return digest.hex
  }

  private static func warnings(
    mask: Spread, reward: Spread, _ actions: ActionSummary, _ clippedShare: Double, emptyEpisodes: Int
  ) -> [String] {
    var lines: [String] = []
    if mask.minimum == 1 {
      lines.append(
        "every mask is 1: no transition reaches the end of its task, so is it ever solved in this data?")
    }
    if mask.maximum == 0 { lines.append("every mask is 0: no transition looks beyond its own reward") }
    if reward.minimum == reward.maximum {
      lines.append("every reward is \(reward.minimum): there is nothing to tell good behaviour from bad")
    }
    let reach = max(-actions.minimum, actions.maximum)
    if actions.minimum == actions.maximum {
      lines.append("every action is \(actions.minimum)")
    } else if reach < 0.05 {
      lines.append("no action goes beyond ±\(reach): are they scaled to [-1, 1]?")
    }
    if clippedShare > 0.5 {
      let percent = Int((clippedShare * 100).rounded())
      lines.append(
        "\(percent) % of the action components lie at ±1 and were clipped: were they cut off before?")
    }
    if emptyEpisodes > 0 { lines.append("episodes of one row, which give no transition: \(emptyEpisodes)") }
    return lines
  }
}
