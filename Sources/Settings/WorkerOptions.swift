import Agents
import ArgumentParser
import Environments

/// How Gymnasium environments are run. Not part of a configuration: it does not change what comes out, and no file
/// decides which program is started.
public struct WorkerOptions: ParsableArguments, Sendable {
  @Option(help: "Python interpreter that runs Gymnasium environments; see launch/python-env.")
  public var python = "python3"

  @Option(
    help: ArgumentHelp(
      "Processes that play the episodes of a Gymnasium environment.",
      discussion: "By default 1, 2 or 4, as cores are free beside the ranks.", valueName: "n"))
  public var evalWorkers: Int?

  @Option(help: ArgumentHelp("Seconds that such a process may take to answer.", valueName: "seconds"))
  public var evalTimeout = 300.0

  /// Settings that only a parser can fill, as with every `ParsableArguments`.
  public init() {}

  /// Rejects values that are out of range.
  public func validate() throws {
    try require((1...256).contains(evalWorkers ?? 1), "--eval-workers must be between 1 and 256")
    try require(
      evalTimeout > 0 && evalTimeout <= 86_400, "--eval-timeout must be positive, and a day at most")
  }

  /// The arguments that set these options, but for options at their defaults.
  public var arguments: [String] {
    (python == "python3" ? [] : ["--python", python])
      + (evalWorkers.map { ["--eval-workers", "\($0)"] } ?? [])
      + (evalTimeout == 300 ? [] : ["--eval-timeout", "\(evalTimeout)"])
  }

  /// The options of an environment, where `freeCores` cores are idle beside what computes already.
  public func forEnvironment(freeCores: Int, video: String? = nil) -> GymnasiumEnvironment.Options {
    GymnasiumEnvironment.Options(
      python: python, workers: evalWorkers ?? Self.workers(freeCores: freeCores),
      timeout: .seconds(evalTimeout), video: video)
  }

  /// The processes that play episodes where nobody says how many.
  public static func workers(freeCores: Int) -> Int { freeCores >= 4 ? 4 : freeCores >= 2 ? 2 : 1 }
}

/// How the Gymnasium environments of a run are run.
public struct RunWorkerOptions: ParsableArguments, Sendable {
  @OptionGroup public var workers: WorkerOptions

  @Flag(help: "Train although the environment cannot be evaluated at the start; it is tried again later.")
  public var evalAnyway = false

  /// Settings that only a parser can fill, as with every `ParsableArguments`.
  public init() {}

  /// The arguments that set these options, but for options at their defaults.
  public var arguments: [String] { workers.arguments + (evalAnyway ? ["--eval-anyway"] : []) }
}
