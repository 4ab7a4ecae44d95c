import Basics
import Checkpoints
import Environments
import Settings

/// A mean over episodes.
public struct Estimate: Sendable, Equatable {
  /// The mean.
  public let mean: Double
  /// Its standard error.
  public let error: Double

  /// An estimate that has been computed before.
  public init(mean: Double, error: Double) {
    self.mean = mean
    self.error = error
  }

  /// The mean of some values, at least one. The error is 0 for a single one, which says nothing about it.
  init(_ values: [Double]) {
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(count - 1, 1)
    self.mean = mean
    error = (variance / count).squareRoot()
  }
}

/// An episode that has been played.
package struct PlayedEpisode: Sendable, Equatable {
  /// Whether the task was solved, by the rule; nil where the environment did not say.
  package var success: Bool?
  /// Whether the environment said NaN where it should say whether the task is solved.
  package var isUnclear = false
  /// Whether the environment said anything about success, at any step.
  package var tellsSuccess = false
  /// Sum of the rewards, undiscounted.
  package var total = 0.0
  /// Number of steps.
  package var length = 0

  /// An episode that has come so far.
  package init(success: Bool? = nil, total: Double = 0, length: Int = 0) {
    (self.success, self.total, self.length) = (success, total, length)
  }

  /// Takes note of a step.
  package mutating func add(_ outcome: StepOutcome, _ rule: SuccessRule) {
    total += outcome.reward
    length += 1
    tellsSuccess = tellsSuccess || outcome.success != nil
    switch rule {
    case .last: (success, isUnclear) = (outcome.success, outcome.isUnclear)
    case .any:
      success = success == true ? true : outcome.success ?? success
      isUnclear = success != true && (isUnclear || outcome.isUnclear)
    }
  }
}

/// The results of some episodes.
public struct EvaluationResult: Sendable, Equatable, CustomStringConvertible {
  /// Number of episodes.
  public let episodes: Int
  /// Share of episodes that solved the task; nil where the environment does not say.
  public let success: Estimate?
  /// Number of episodes that count as not solved because the environment, which says it elsewhere, did not say.
  public let untold: Int
  /// Undiscounted return.
  public let totalReward: Estimate
  /// The return between the benchmark's references, 0 to 100; nil where it has none.
  public let score: Estimate?
  /// Number of steps.
  public let length: Estimate

  /// Results that have been computed before.
  public init(
    episodes: Int, success: Estimate?, totalReward: Estimate, score: Estimate?, length: Estimate
  ) {
    self.episodes = episodes
    self.success = success
    self.totalReward = totalReward
    self.score = score
    self.length = length
    untold = 0
  }

  init(_ episodes: [PlayedEpisode], in environment: EnvironmentDescription) {
    self.episodes = episodes.count
    let isTold = episodes.contains(where: \.tellsSuccess)
    success = isTold ? Estimate(episodes.map { $0.success == true ? 1 : 0 }) : nil
    untold = isTold ? episodes.count { $0.success == nil || $0.isUnclear } : 0
    totalReward = Estimate(episodes.map(\.total))
    let scores = episodes.compactMap { environment.normalisedScore($0.total) }
    score = scores.isEmpty ? nil : Estimate(scores)
    length = Estimate(episodes.map { Double($0.length) })
  }

  /// A line about episodes whose success the environment did not tell; nil if there are none.
  public var warning: String? {
    guard untold > 0 else { return nil }
    return
      "in \(untold) of \(episodes) episodes 'success' of the environment's info was missing or NaN where it counts; they count as not solved"
  }

  /// All figures in a line.
  public var description: String {
    let figures = [
      success.map { "success \(text($0, 2))" }, "return \(text(totalReward, 1))",
      score.map { "normalised score \(text($0, 1))" }, "length \(text(length, 1))",
    ]
    return figures.compactMap(\.self).joined(separator: ", ") + " over \(episodes) episodes"
  }

  private func text(_ estimate: Estimate, _ places: Int) -> String {
    "\(decimals(estimate.mean, places)) ± \(decimals(estimate.error, places))"
  }
}

extension EvaluationScore {
  /// The score of an evaluation.
  init(_ result: EvaluationResult) {
    self.init(success: result.success?.mean ?? 0, totalReward: result.totalReward.mean)
  }
}
