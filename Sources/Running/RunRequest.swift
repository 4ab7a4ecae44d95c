import Logging
import Settings

/// What a run is asked to do, the same on all ranks.
public struct RunRequest: Sendable {
  /// All that decides what the run computes.
  public let configuration: Configuration
  /// How a Gymnasium environment is run.
  public let workers: WorkerOptions
  /// Where the run writes.
  public let directory: RunDirectory
  /// Whether to continue from the newest whole checkpoint in `directory`, if there is one.
  public let resumes: Bool

  /// A request for a run.
  public init(
    _ configuration: Configuration, workers: WorkerOptions, directory: RunDirectory, resumes: Bool
  ) {
    self.configuration = configuration
    self.workers = workers
    self.directory = directory
    self.resumes = resumes
  }
}

/// What a run asks of the program that it is part of.
public struct RunHost {
  /// Takes what the run says to people.
  public let logger: Logger
  /// Is told on rank 0 where the run stands, after each logged update and about every second.
  public let watch: (RunStatus) -> Void
  /// Asked on every rank before each update; when any rank says yes, the run saves and ends.
  public let shouldStop: () -> Bool
  /// Called with one line, on a thread of its own, when an update does not end because another rank has stopped. Only
  /// the end of the process helps then.
  public let whenStalled: @Sendable (String) -> Void

  /// A program that does this.
  public init(
    logger: Logger, watch: @escaping (RunStatus) -> Void, shouldStop: @escaping () -> Bool,
    whenStalled: @escaping @Sendable (String) -> Void
  ) {
    self.logger = logger
    self.watch = watch
    self.shouldStop = shouldStop
    self.whenStalled = whenStalled
  }
}
