import Agents
import ArgumentParser
import Basics
import Foundation

/// What acts before the first online update.
public enum StartActions: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// The policy.
  case policy
  /// Chance: every number of an action is uniform on [−1, 1].
  case random
}

/// Settings of the online phase, in which a run collects transitions in its environment and learns from them, too.
public struct OnlineSettings: ParsableArguments, Sendable {
  @Option(
    help: ArgumentHelp(
      "Updates after those of --steps, each after steps in the environment; 0 trains on the dataset alone.",
      valueName: "updates"))
  public var onlineSteps = 0

  @Option(
    help: ArgumentHelp(
      "alpha1 in the online phase.", discussion: "As before by default.", valueName: "weight"))
  public var onlineAlpha1: Double?

  @Option(
    help: ArgumentHelp(
      "alpha2 in the online phase.", discussion: "As before by default.", valueName: "weight"))
  public var onlineAlpha2: Double?

  @Option(
    help: ArgumentHelp(
      "Transitions that the buffer has room for, the dataset's included, whose oldest are overwritten first; one more than the dataset has at least. With --offline-ratio it is room for what is collected.",
      valueName: "transitions"))
  public var bufferSize = 2_000_000

  @Option(
    help: ArgumentHelp(
      "Steps in the environments before the first online update, besides those that it needs itself.",
      valueName: "steps"))
  public var onlineStartSteps = 0

  @Option(help: "What acts in the steps of --online-start-steps: policy or random.")
  public var onlineStartActions = StartActions.policy

  @Option(
    help: ArgumentHelp(
      "Updates for each step in an environment; 0.5 is one update for two steps.", valueName: "number"))
  public var updatesPerStep = 1.0

  @Option(
    help: ArgumentHelp(
      "Share of each online batch that is drawn from the dataset, the rest from what was collected.",
      discussion: "By default all is drawn from both together.", valueName: "share"))
  public var offlineRatio: Double?

  @Option(help: ArgumentHelp("Environments that are stepped at once.", valueName: "k"))
  public var onlineEnvironments = 1

  /// Settings that only a parser can fill, as with every `ParsableArguments`.
  public init() {}

  /// Rejects values that are out of range.
  public func validate() throws {
    try require((0...1_000_000_000).contains(onlineSteps), "--online-steps must be between 0 and 1000000000")
    try require(
      (onlineAlpha1 ?? 0) >= 0 && (onlineAlpha1 ?? 0).isFinite,
      "--online-alpha1 must be a finite number, 0 or more")
    try require(
      (onlineAlpha2 ?? 0) >= 0 && (onlineAlpha2 ?? 0).isFinite,
      "--online-alpha2 must be a finite number, 0 or more")
    try require(
      (1...1_000_000_000_000).contains(bufferSize), "--buffer-size must be between 1 and 1000000000000")
    try require(
      (0...1_000_000_000).contains(onlineStartSteps), "--online-start-steps must be between 0 and 1000000000")
    try require((1e-4...1e4).contains(updatesPerStep), "--updates-per-step must be between 0.0001 and 10000")
    try require((0...1).contains(offlineRatio ?? 0), "--offline-ratio must be between 0 and 1")
    try require((1...256).contains(onlineEnvironments), "--online-environments must be between 1 and 256")
  }

  // MARK: Rounds

  // In a round every environment takes one step.

  /// Updates for each round; fewer than 1 where several rounds make one update.
  public var updatesPerRound: Double { updatesPerStep * Double(onlineEnvironments) }

  /// Rounds before the first update, besides those that it needs itself.
  public var startRounds: Int { (onlineStartSteps + onlineEnvironments - 1) / onlineEnvironments }

  /// Rounds that are done before an update of the online phase, counted from 0.
  public func rounds(before update: Int) -> Int {
    // The small number keeps a product such as 0.1 · 10 from counting as a little less than 1.
    startRounds + Int((Double(update + 1) / updatesPerRound - 1e-9).rounded(.up))
  }

  /// Whether a round is stepped beside the last update of the round before it. A single update for each round needs
  /// the transition of its own round, and the next action needs that update, so nothing can be done at once.
  public var stepsAhead: Bool { updatesPerRound >= 2 }

  /// Transitions that all rounds collect together.
  public var mostCollected: Int { (rounds(before: onlineSteps) + 1) * onlineEnvironments }
}
