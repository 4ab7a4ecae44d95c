import Logging
import MPI
import Settings
import TrainingData

/// What a run is asked to do, the same on all ranks.
public struct RunRequest: Sendable {
  /// All that decides what the run computes.
  public let configuration: Configuration
  /// How a Gymnasium environment is run.
  public let workers: WorkerOptions
  /// Whether an environment that cannot be evaluated at the start is tried again later.
  public let evalAnyway: Bool
  /// Where the run writes.
  public let directory: RunDirectory
  /// Whether to continue from the newest whole checkpoint in `directory`, if there is one.
  public let resumes: Bool
  /// The checkpoint whose parameters and moments a new run begins with; nil to begin with those of the seed.
  public let origin: String?
  /// Where what was collected online is written at the end, as a dataset directory; nil for nowhere.
  public let rollouts: String?

  /// A request for a run.
  public init(
    _ configuration: Configuration, workers: RunWorkerOptions, directory: RunDirectory, resumes: Bool,
    origin: String? = nil, rollouts: String? = nil
  ) {
    self.configuration = configuration
    (self.workers, evalAnyway) = (workers.workers, workers.evalAnyway)
    self.directory = directory
    self.resumes = resumes
    self.origin = origin
    self.rollouts = rollouts
  }
}

/// What a run asks of the program that it is part of.
public struct RunHost {
  /// Takes what the run says to people.
  public let logger: Logger
  /// Is told on rank 0 where the run stands, after each logged update and about every second.
  public let watch: (RunStatus) -> Void
  /// Asked on every rank before each update; when any rank says yes, the run saves and ends.
  public let shouldStop: @Sendable () -> Bool
  /// Is told which phase the run is in, and ends the process when one does not end because another rank has stopped.
  public let watchdog: Watchdog
  /// The data of this run and of others that share them; nil for a run that loads its own.
  public var datasets: LoadedDatasets?
  /// Cores for the evaluating thread and what it starts; nil for those that this run's ranks leave.
  public var spareCores: SpareCores?

  /// A program that does this.
  public init(
    logger: Logger, watch: @escaping (RunStatus) -> Void, shouldStop: @escaping @Sendable () -> Bool,
    watchdog: Watchdog
  ) {
    self.logger = logger
    self.watch = watch
    self.shouldStop = shouldStop
    self.watchdog = watchdog
  }

  /// The same program, for which a wish of any rank counts, also while one rank works and the others wait.
  func listening(to world: Communicator) -> RunHost {
    var host = RunHost(
      logger: logger, watch: watch,
      shouldStop: { [shouldStop] in shouldStop() || world.someRankWasAskedToStop }, watchdog: watchdog)
    (host.datasets, host.spareCores) = (datasets, spareCores)
    return host
  }
}
