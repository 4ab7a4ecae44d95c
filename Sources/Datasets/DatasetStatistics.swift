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
  /// Height, width and channels of the images that are the observations; nil for vectors.
  public let imageSize: [Int]?
  /// The smallest value of each number of an observation, of an image for each channel; nil where a manifest does
  /// not say it.
  public let observationMinimum: [Float]?
  /// The largest value of each number of an observation, of an image for each channel; nil where a manifest does not
  /// say it.
  public let observationMaximum: [Float]?
  /// The digest of all fields as they are stored: 16 hexadecimal digits.
  public let digest: String

  /// The statistics in a few lines for people to read, without the warnings.
  public var lines: [String] {
    let lengths = "\(whole(episodeLength.minimum)) to \(whole(episodeLength.maximum))"
    return [
      "dataset: \(rows) rows, \(transitions) transitions in \(episodes) episodes of \(lengths); digest \(digest)",
      "dataset: actions \(short(Double(actionMinimum))) to \(short(Double(actionMaximum))), rewards \(short(reward.minimum)) to \(short(reward.maximum)), mean \(short(reward.mean)); masks \(short(mask.minimum)) to \(short(mask.maximum)), mean \(short(mask.mean))",
    ] + imageLines
  }

  private var imageLines: [String] {
    guard let imageSize else { return [] }
    let ranges = columnRanges.map { "\(short(Double($0.minimum))) to \(short(Double($0.maximum)))" }
    return [
      "dataset: images of \(imageSize[0]) × \(imageSize[1]) pixels (height × width), \(imageSize[2]) channels: \(ranges.joined(separator: ", "))"
    ]
  }

  /// One line for each thing that usually signals a mistake; empty when all looks well.
  ///
  /// - Parameter areClipped: whether actions outside [−1, 1] are clipped already, as those of dataset directories are.
  public func warnings(areClipped: Bool) -> [String] {
    rewardWarnings + actionWarnings(areClipped: areClipped) + episodeWarnings + magnitudeWarnings
      + imageWarnings
  }

  /// The range of each number of an observation, a line each; empty for images, and where a manifest does not say it.
  public var columnLines: [String] {
    guard imageSize == nil else { return [] }
    return columnRanges.enumerated().map { column, range in
      "dataset: observations column \(column): \(short(Double(range.minimum) + 0)) to \(short(Double(range.maximum) + 0))"
    }
  }

  /// What is so large that it can make training fail, in words; nil if nothing is.
  public var hugeValue: String? {
    let reaches = columnRanges.map { max(abs($0.minimum), abs($0.maximum)) }
    if let column = reaches.indices.max(by: { reaches[$0] < reaches[$1] }), reaches[column] > Self.huge {
      return "observations column \(column) reaches \(short(Double(reaches[column])))"
    }
    let largest = max(abs(reward.minimum), abs(reward.maximum))
    return largest > Double(Self.huge) ? "rewards reach \(short(largest))" : nil
  }

  /// Networks do not learn from numbers beyond this.
  private static let huge: Float = 1e5

  private var columnRanges: [(minimum: Float, maximum: Float)] {
    Array(zip(observationMinimum ?? [], observationMaximum ?? []))
  }

  private var magnitudeWarnings: [String] {
    // Single precision holds all whole numbers up to here; the one after it is rounded to it.
    let whole: Float = 16_777_216
    let inexact = columnRanges.indices.filter {
      max(abs(columnRanges[$0].minimum), abs(columnRanges[$0].maximum)) >= whole
    }
    var lines: [String] = []
    if let first = inexact.first {
      let others = inexact.count > 1 ? " and \(inexact.count - 1) others go" : " goes"
      lines.append(
        "observations column \(first)\(others) beyond 16777215, where single precision loses the last digits of whole numbers: subtract an offset, or scale"
      )
    }
    if let hugeValue {
      lines.append("\(hugeValue): networks learn from numbers near 1, so scale them")
    }
    return lines
  }

  private var imageWarnings: [String] {
    guard imageSize != nil, let low = observationMinimum?.min(), let high = observationMaximum?.max() else {
      return []
    }
    if low == high {
      return ["every number of every image is \(short(Double(low))): the images are empty"]
    }
    return high <= 1
      ? ["no number of an image is greater than 1: were they scaled to 0...1 before they became bytes?"] : []
  }

  private var rewardWarnings: [String] {
    var lines: [String] = []
    if mask.minimum == 1 {
      lines.append(
        "every mask is 1: no transition reaches the end of its task, so is it ever solved in this data? Set masks to 0 where it ends"
      )
    }
    if mask.maximum == 0 {
      lines.append(
        "every mask is 0: no transition looks beyond its own reward; set masks to 1 where the task goes on")
    }
    if reward.minimum == reward.maximum {
      lines.append(
        "every reward is \(reward.minimum): there is nothing to tell good behaviour from bad; give the rewards of the task"
      )
    }
    return lines
  }

  private func actionWarnings(areClipped: Bool) -> [String] {
    let reach = max(-actionMinimum, actionMaximum)
    if actionsOutside > 0 {
      return [
        areClipped
          ? "\(actionsOutside) action components lay outside [-1, 1], the farthest at ±\(reach), and were clipped: were they in other units? Then import them again with --action-range"
          : "\(actionsOutside) action components lie outside [-1, 1], the farthest at ±\(reach), and training refuses them: if they are in other units, dataset import --action-range scales them"
      ]
    }
    if actionMinimum == actionMaximum {
      return ["every action is \(actionMinimum): look whether they were recorded"]
    }
    if reach < Self.smallReach {
      return [
        "no action goes beyond ±\(reach): are they scaled to [-1, 1]? Scale them so that their bounds are ±1"
      ]
    }
    guard clippedShare > 0.5 else { return [] }
    return [
      "\(whole(100 * clippedShare)) % of the action components lie at ±1 and were clipped: were they cut off before? Scale them by their true bounds instead"
    ]
  }

  /// Actions that do not go beyond are probably not scaled.
  static let smallReach: Float = 0.05

  private var episodeWarnings: [String] {
    emptyEpisodes > 0
      ? [
        "episodes of one row, which give no transition: \(emptyEpisodes); look whether terminals end episodes too early"
      ] : []
  }

  private func short(_ value: Double) -> String { String(format: "%.6g", value) }

  private func whole(_ value: Double) -> String { String(format: "%.0f", value) }
}
