import ArrayFiles
import Foundation

/// What a look at all numbers of a dataset says about it.
public struct DatasetStatistics: Sendable, Equatable {
  /// Rows.
  public let rows: Int
  /// Transitions.
  public let transitions: Int
  /// Observation and action size.
  public let sizes: (observation: Int, action: Int)
  /// Number of episodes.
  public let episodes: Int
  /// Shortest and longest episode, in transitions.
  public let lengths: ClosedRange<Int>
  /// Smallest, mean and largest reward over the transitions; NaN where the data hold none.
  public let reward: (minimum: Float, mean: Double, maximum: Float)
  /// Mean mask over the transitions; NaN likewise.
  public let meanMask: Double
  /// Smallest and largest action component over the transitions.
  public let actions: ClosedRange<Float>
  /// Digest of all fields, hexadecimal: identifies the data.
  public let digest: String

  /// Looks at all of a dataset.
  public init(of dataset: TransitionDataset) {
    let plan = dataset.plan
    rows = plan.rows
    transitions = plan.transitions
    sizes = (plan.observationSize, plan.actionSize)
    var (low, high, sum, masks) = (Float.infinity, -Float.infinity, 0.0, 0.0)
    var (least, most) = (Float.infinity, -Float.infinity)
    var (episodes, shortest, longest, length) = (0, Int.max, 0, 0)
    for i in 0..<plan.transitions {
      let row = Int(dataset.transitions[i])
      low = min(low, dataset.rewards[row])
      high = max(high, dataset.rewards[row])
      sum += Double(dataset.rewards[row])
      masks += Double(dataset.masks[row])
      for c in 0..<plan.actionSize {
        let action = dataset.actions[row * plan.actionSize + c]
        least = min(least, action)
        most = max(most, action)
      }
      length += 1
      // An episode ends where the next transition does not follow on.
      if i + 1 == plan.transitions || Int(dataset.transitions[i + 1]) != row + 1 {
        (episodes, shortest, longest, length) = (episodes + 1, min(shortest, length), max(longest, length), 0)
      }
    }
    self.episodes = episodes
    lengths = min(shortest, longest)...longest
    reward = (low, sum / Double(max(plan.transitions, 1)), high)
    meanMask = masks / Double(max(plan.transitions, 1))
    actions = min(least, most)...most
    var digest = Digest()
    digest.update(
      UnsafeRawBufferPointer(start: dataset.observations, count: plan.rows * plan.observationSize * 4))
    digest.update(UnsafeRawBufferPointer(start: dataset.actions, count: plan.rows * plan.actionSize * 4))
    digest.update(UnsafeRawBufferPointer(start: dataset.rewards, count: plan.rows * 4))
    digest.update(UnsafeRawBufferPointer(start: dataset.masks, count: plan.rows * 4))
    digest.update(UnsafeRawBufferPointer(start: dataset.transitions, count: plan.transitions * 4))
    self.digest = digest.hex
  }

  /// The statistics in a few lines for people.
  public var lines: [String] {
    [
      "dataset: \(rows) rows, \(transitions) transitions in \(episodes) episodes of \(lengths.lowerBound) to \(lengths.upperBound)",
      "dataset: observations of \(sizes.observation), actions of \(sizes.action) in [\(format(actions.lowerBound)), \(format(actions.upperBound))]",
      "dataset: \(rewardLine); digest \(digest)",
    ]
  }

  private var rewardLine: String {
    if reward.mean.isNaN { return "no rewards in the file; they follow from a task (--env)" }
    return String(
      format: "reward %g to %g, mean %.4f; mean mask %.4f", reward.minimum, reward.maximum, reward.mean,
      meanMask)
  }

  /// What usually signals a mistake, one line each.
  public var warnings: [String] {
    var lines: [String] = []
    if meanMask == 1 { lines.append("dataset: every mask is 1, so no transition ends in success or failure") }
    if meanMask == 0 { lines.append("dataset: every mask is 0, so no transition looks ahead") }
    if reward.minimum == reward.maximum {
      lines.append(
        "dataset: every reward is \(format(reward.minimum)), so there is nothing to learn from them")
    }
    if actions.lowerBound == actions.upperBound { lines.append("dataset: every action is the same") }
    return lines
  }

  public static func == (a: DatasetStatistics, b: DatasetStatistics) -> Bool {
    a.digest == b.digest && a.rows == b.rows && a.transitions == b.transitions
  }

  private func format(_ value: Float) -> String { String(format: "%g", value) }
}
