import ArrayFiles
import Basics
import Logging
import MPI
import Running
import Settings
import Synchronization
import TrainingData

/// Trains the runs of a sweep on the ranks that a launcher has started as one job: groups of ranks take run after run
/// from one queue until none is left.
///
/// What a run computes does not depend on the others: it gets a communicator of its own, and what it shares with them is
/// only read.
public final class SweepJob {
  /// What the program does for the job.
  public struct Host {
    /// Prints a line.
    public let say: (String) -> Void
    /// The terminal on which rank 0 draws a table of the runs; nil for lines.
    public let terminal: ProgressTable.Terminal?
    /// Whether a signal has asked this rank to save and stop.
    public let shouldStop: @Sendable () -> Bool
    /// Watches the job's own phases.
    public let watchdog: Watchdog
    /// Makes what watches a run of a group, whose ranks may be silent for so many seconds.
    public let watchdogOfRun: (_ seconds: Double, _ group: Communicator) -> Watchdog

    /// A program that does this.
    public init(
      say: @escaping (String) -> Void, terminal: ProgressTable.Terminal?,
      shouldStop: @escaping @Sendable () -> Bool, watchdog: Watchdog,
      watchdogOfRun: @escaping (_ seconds: Double, _ group: Communicator) -> Watchdog
    ) {
      (self.say, self.terminal, self.shouldStop) = (say, terminal, shouldStop)
      (self.watchdog, self.watchdogOfRun) = (watchdog, watchdogOfRun)
    }
  }

  private let sweep: Sweep
  private let directory: SweepDirectory
  private let workers: RunWorkerOptions
  private let world: Communicator
  private let host: Host
  private let groups: JobGroups
  private var outcome = SweepOutcome()
  /// Whether this rank's group has stopped before the queue was empty.
  private var wasStopped = false
  /// Whether rank 0 draws a table.
  private var isDrawn = false

  /// The most threads that a rank has in some run.
  private var mostThreads: Int { sweep.runs.map(\.configuration.threads).max() ?? 1 }

  /// Time between two looks at what other groups ask for.
  private static let lookInterval = Duration.seconds(1)

  /// A job for a sweep. Collective over `world`, all ranks of the job.
  ///
  /// - Parameters:
  ///   - directory: the directory that holds one directory for each run, on a disk that all ranks see.
  ///   - workers: how Gymnasium environments are run.
  /// - Throws: `Failure` if the ranks are too few for one run.
  public init(
    _ sweep: Sweep, directory: String, workers: RunWorkerOptions, world: Communicator, host: Host
  ) throws {
    guard world.size >= sweep.ranks else {
      throw Failure(
        .usage,
        "the runs of the sweep have \(sweep.ranks) ranks each (ranks: \(sweep.ranks)), but the job has \(world.size): start at least \(sweep.ranks)"
      )
    }
    (self.sweep, self.directory, self.workers) = (sweep, SweepDirectory(path: directory), workers)
    (self.world, self.host) = (world, host)
    groups = try JobGroups(world, size: sweep.ranks)
  }

  /// Trains the runs with the given indices, except those that are finished. Collective over the job.
  ///
  /// - Throws: the same `Failure` on all ranks: with code 75 if a signal ended the job; otherwise, after all runs have
  ///   been tried, with the exit code of the first run that failed.
  public func run(_ indices: Range<Int>) throws {
    host.watchdog.enter("the start of the sweep")
    world.whenAllRun = { [watchdog = host.watchdog] in watchdog.allRun() }
    defer { world.whenAllRun = nil }
    // Held by rank 0 until the job ends: two jobs of one sweep would take each other's runs.
    let lock = try world.workTogether { try world.rank == 0 ? prepare() : nil }
    try withExtendedLifetime(lock) { try Releases.around { try train(indices, $0) } }
  }

  private func prepare() throws -> RunLock {
    try createDirectory(directory.path)
    let lock = try RunLock(directory: directory.path, .sweep) { host.say("warning: \($0)") }
    try RunQueue.prepare(RunQueue.directory(in: directory))
    return lock
  }

  private func train(_ indices: Range<Int>, _ releases: Releases) throws {
    let unfinished = try unfinished(indices)
    let importing = DatasetLocation.Import(
      python: workers.workers.python, isCancelled: host.shouldStop, say: host.say)
    let datasets = try LoadedDatasets(
      unfinished.map { sweep.runs[$0].configuration }, importing, world: world, releases)
    let order = try ordered(unfinished)
    var queue = RunQueue(directory: RunQueue.directory(in: directory), order: order)
    try world.workTogether { try queue.requireVisible() }
    let cores = try SpareCores(world, threads: mostThreads).shared(among: groups.leadersOnNode)
    try sayHowRanksDivide(order.count)

    let table = try startTable(order.count, queue)
    defer { table?.end() }
    // From here on groups go their own ways. Runs are watched one by one.
    host.watchdog.enter(nil)
    var problem: Failure?
    do {
      if let group = groups.own { try work(off: &queue, group, datasets, cores) }
    } catch let failure as Failure { problem = failure }
    defer { host.watchdog.enter("the end of the sweep") }
    try world.workTogether { if let problem { throw problem } }
    table?.end()
    if world.rank == 0 { queue.remove() }
    try conclude(indices.count)
  }

  // MARK: Start

  /// The runs that are not finished, which rank 0 finds out. Collective.
  private func unfinished(_ indices: Range<Int>) throws -> [Int] {
    let found = try world.workTogether {
      guard world.rank == 0 else { return [Int]() }
      host.say("runs 0 to \(sweep.runs.count - 1) in \(directory.path)")
      return indices.filter { index in
        guard directory.isFinished(sweep.runs[index]) else { return true }
        host.say("run \(index), \(sweep.runs[index].name): finished before")
        return false
      }
    }
    let unfinished = try world.broadcast(indices: found)
    outcome.skipped = indices.count - unfinished.count
    return unfinished
  }

  /// The runs in the order in which they start. Collective.
  private func ordered(_ indices: [Int]) throws -> [Int] {
    let order = try world.workTogether {
      guard world.rank == 0 else { return [Int]() }
      var costs = ExpectedCosts { ExpectedData($0) }
      return try costs.longestFirst(indices, of: sweep, in: directory)
    }
    return try world.broadcast(indices: order)
  }

  private func sayHowRanksDivide(_ count: Int) throws {
    let nodes = try NodeFacts(world, threads: mostThreads)
    guard world.rank == 0 else { return }
    for line in nodes.lines + nodes.warnings.map({ "warning: \($0)" }) { host.say(line) }
    let idle = world.size - groups.count * sweep.ranks
    host.say(
      "\(count) run(s) on \(groups.count) group(s) of \(sweep.ranks) rank(s)"
        + (idle > 0 ? "; \(idle) rank(s) are left over and have nothing to do" : ""))
  }

  /// Starts to draw the table, on rank 0. Collective.
  private func startTable(_ count: Int, _ queue: RunQueue) throws -> TableThread? {
    isDrawn = try world.broadcast([world.rank == 0 && host.terminal != nil ? 1 : 0])[0] == 1
    return try world.together {
      guard world.rank == 0, let terminal = host.terminal else { return nil }
      return try TableThread(ProgressTable(sweep, count: count, directory: queue.directory, terminal))
    }
  }

  // MARK: Run after run

  /// Takes runs from the queue and trains them. Collective over the group.
  private func work(
    off queue: inout RunQueue, _ group: Communicator, _ datasets: LoadedDatasets, _ cores: SpareCores
  ) throws {
    while true {
      let asked = try group.allReduce(Int64(host.shouldStop() || queue.isAskedToStop ? 1 : 0), .max) == 1
      wasStopped = wasStopped || asked
      if wasStopped {
        if group.rank == 0 { queue.askToStop() }
        return
      }
      let own = try group.together { group.rank == 0 ? try queue.next() : nil }
      let next = try group.broadcast(indices: own.map { [$0] } ?? [])
      guard let index = next.first else { return }
      try train(index, queue, group, datasets, cores)
    }
  }

  /// Trains a run. A failure of the run, which all ranks of the group know, is noted and not thrown.
  private func train(
    _ index: Int, _ queue: RunQueue, _ group: Communicator, _ datasets: LoadedDatasets, _ cores: SpareCores
  ) throws {
    let run = sweep.runs[index]
    let leads = group.rank == 0
    let file = isDrawn && leads ? try? ProgressFile(path: queue.file(index)) : nil
    let voice = RunVoice(run.name, file: file, print: host.say)
    let place = "run \(index), \(run.name)"
    if leads && file == nil { host.say("\(place): starts") }
    let watchdog = host.watchdogOfRun(run.configuration.stallTimeout, group)
    defer { watchdog.enter(nil) }
    var runHost = RunHost(
      logger: leads ? voice.logger : Logger(label: "fan-dist") { _ in SwiftLogNoOpLogHandler() },
      watch: voice.show, shouldStop: stopSigns(queue), watchdog: watchdog)
    (runHost.datasets, runHost.spareCores) = (datasets, cores)
    let directory = directory.directory(of: run)
    let request = RunRequest(run.configuration, workers: workers, directory: directory, resumes: true)
    let failure: Failure?
    do {
      let summary = try Trainer.run(request, world: group, host: runHost)
      wasStopped = summary.wasStopped
      failure = summary.failure(in: directory)
      if leads && !wasStopped && failure == nil {
        voice.say(
          "\(place): done\(summary.policy?.success.map { ", success \(decimals($0.mean, 2))" } ?? "")")
      }
    } catch let problem as Failure {
      failure = problem
    } catch let problem as RankFailure where group.size == 1 {
      // Nobody waits for this rank.
      failure = problem.failure
    }
    guard leads else { return }
    file?.writeEnd()
    outcome.note(index, code: wasStopped ? 0 : failure?.code.rawValue ?? 0)
    if let failure {
      voice.say("\(place): \(SweepOutcome.ending(failure.code.rawValue)): \(failure.message)")
    }
  }

  /// Tells whether a signal has reached this rank, or another group of the job.
  private func stopSigns(_ queue: RunQueue) -> @Sendable () -> Bool {
    // A look goes to the file server. The run asks on several threads.
    let lastLook = LastLook()
    return { [asked = host.shouldStop] in
      asked() || lastLook.isLongerAgo(than: Self.lookInterval) && queue.isAskedToStop
    }
  }

  // MARK: The end

  /// Says on rank 0 how the job went. Throws unless all runs have come to their end. Collective.
  private func conclude(_ count: Int) throws {
    let stops = try world.allReduce(Int64(wasStopped ? 1 : 0), .max) == 1
    var codes = [Int64](repeating: -1, count: sweep.runs.count)
    for (index, code) in outcome.codes { codes[index] = Int64(code) }
    try world.allReduce(&codes, count: codes.count, .max)
    for (index, code) in codes.enumerated() where code >= 0 { outcome.note(index, code: Int32(code)) }
    guard !stops else {
      throw Failure(
        .requeue,
        "stopped by a signal; the runs that trained are saved, and the same command goes on from there")
    }
    try outcome.requireSuccess(sweep, of: count)
    guard world.rank == 0 else { return }
    host.say("done: \(count) run(s), \(outcome.skipped) of them finished before")
  }
}

/// When somebody last looked at something, on any thread.
private final class LastLook: Sendable {
  private let time = Mutex(ContinuousClock.now)

  /// Whether that is longer ago; if so, somebody looks now.
  func isLongerAgo(than interval: Duration) -> Bool {
    time.withLock { last in
      guard ContinuousClock.now - last > interval else { return false }
      last = .now
      return true
    }
  }
}
