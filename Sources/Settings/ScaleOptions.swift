import Agents
import ArgumentParser
import Basics
import Foundation

/// How an import scales what it reads.
public struct ScaleOptions: ParsableArguments, Sendable {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Range of actions that becomes [-1, 1]: LOW,HIGH, or one for each column, LOW,HIGH;LOW,HIGH, or data or environment.",
      discussion:
        "data: the smallest and the largest value of each column. environment: the bounds of --env, of a Minari dataset its own, which is the default there. Policies then give actions in the data's own units.",
      valueName: "range"), transform: ActionRange.init)
  public var actionRange: ActionRange?

  @Option(
    help: ArgumentHelp(
      "mean-std: each column gets mean 0 and standard deviation 1. min-max: its range becomes [-1, 1].",
      discussion: "Policies then take observations in the data's own units.", valueName: "rule"))
  public var normalizeObservations: ObservationRule?

  @Option(help: ArgumentHelp("What rewards are multiplied by.", valueName: "number"))
  public var rewardScale: Double?

  @Option(help: ArgumentHelp("What is added to rewards after that.", valueName: "number"))
  public var rewardShift: Double?

  @Option(
    help: ArgumentHelp(
      "A published rule in their place: recorded, antmaze (r - 1), antmaze-rebrac (100 r), locomotion (1000 r / (largest - smallest return)); or last-step, 1 in the last step of each episode, which ends its task, and 0 elsewhere.",
      valueName: "rule"))
  public var rewardRule: RewardScaleRule?

  @Option(
    help: ArgumentHelp(
      "Scale as this dataset directory was, whatever these data are like: for data held out.",
      valueName: "directory"))
  public var scalesOf: String?

  /// Settings that only a parser can fill, as with every `ParsableArguments`.
  public init() {}

  /// Rejects values that are out of range or contradict each other.
  public func validate() throws {
    try require((rewardScale ?? 1).isFinite && rewardScale != 0, "--reward-scale must be a number but 0")
    try require((rewardShift ?? 0).isFinite, "--reward-shift must be a number")
    try require(
      rewardRule == nil || (rewardScale == nil && rewardShift == nil),
      "--reward-rule takes the place of --reward-scale and --reward-shift: leave one out")
    let isScaled =
      actionRange != nil || normalizeObservations != nil || rewardScale != nil || rewardShift != nil
      || (rewardRule ?? .lastStep) != .lastStep
    try require(
      scalesOf == nil || !isScaled,
      "--scales-of takes the place of the other options that scale: leave one of them out")
  }
}

/// What actions are scaled from.
public enum ActionRange: CustomStringConvertible, Equatable, Sendable {
  /// The same range for all columns, if there is one, or one for each.
  case ranges([ClosedRange<Float>])
  /// The smallest and the largest value of each column of the data.
  case data
  /// The bounds of an environment's actions.
  case environment

  /// Parses `LOW,HIGH;LOW,HIGH`, `data` or `environment`.
  ///
  /// - Throws: `ValidationError` that says what is wrong.
  @Sendable public init(_ argument: String) throws {
    switch argument {
    case "data": self = .data
    case "environment": self = .environment
    default:
      self = .ranges(
        try argument.split(separator: ";", omittingEmptySubsequences: false).map { try Self.range($0) })
    }
  }

  private static func range(_ text: Substring) throws -> ClosedRange<Float> {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map {
      Float($0.trimmingCharacters(in: .whitespaces))
    }
    let range = "'\(printable(String(text)))'"
    guard numbers.count == 2, let low = numbers[0], let high = numbers[1], (high - low).isFinite else {
      throw ValidationError(
        "\(range) is not LOW,HIGH, two numbers; ranges of several columns are separated by ;, and data and environment are the words"
      )
    }
    try require(low < high, "\(range): LOW must be less than HIGH")
    return low...high
  }

  /// The same text again.
  public var description: String {
    switch self {
    case .data: "data"
    case .environment: "environment"
    case .ranges(let ranges):
      ranges.map { "\($0.lowerBound),\($0.upperBound)" }.joined(separator: ";")
    }
  }
}

/// What observations are scaled to.
public enum ObservationRule: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// Mean 0 and standard deviation 1.
  case meanStd = "mean-std"
  /// From −1 to 1.
  case minMax = "min-max"
}

/// A rule for rewards.
public enum RewardScaleRule: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// As they are.
  case recorded
  /// r − 1: FAN, FQL and IQL on D4RL's antmaze.
  case antmaze
  /// 100 · r: ReBRAC on D4RL's antmaze.
  case antmazeRebrac = "antmaze-rebrac"
  /// 1000 · r / (largest − smallest return of an episode): IQL on D4RL's locomotion.
  case locomotion
  /// 1 in the last step of each episode, 0 elsewhere, whatever is recorded.
  case lastStep = "last-step"
}
