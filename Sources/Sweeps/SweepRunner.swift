import Basics
import CProcesses
import Foundation
import Glibc
import MPI
import Running
import Settings
import TrainingData

/// Runs the training runs of a sweep on this machine, one after another or several at a time, each in processes of its
/// own: one that crashes ends no other.
public final class SweepRunner {
  /// What the program does for the sweep.
  public struct Host {
    /// Prints a line.
    public let say: (String) -> Void
    /// The terminal on which a table is drawn when several runs train at a time; nil for lines.
    public let terminal: ProgressTable.Terminal?
    /// Polled while runs are running; when it returns true, these save and the sweep ends.
    public let shouldStop: () -> Bool

    /// A program that does this.
    public init(
      say: @escaping (String) -> Void, terminal: ProgressTable.Terminal? = nil,
      shouldStop: @escaping () -> Bool
    ) {
      (self.say, self.terminal, self.shouldStop) = (say, terminal, shouldStop)
    }
  }

  /// A run that is running.
  private struct Child {
    let index: Int
    let process: pid_t
    var wasAsked = false
  }

  private let sweep: Sweep
  private let directory: SweepDirectory
  private let program: String
  private let arguments: [String]
  private let host: Host
  private var outcome = SweepOutcome()
  private var children: [Child] = []
  /// Whether several runs train at a time.
  private var isSeveral = false
  /// The table that is drawn.
  private var table: ProgressTable?

  /// Makes a runner for `sweep`.
  ///
  /// - Parameters:
  ///   - directory: the directory that will contain one directory for each run.
  ///   - program: the path of `fan-dist`.
  ///   - arguments: arguments of all runs that are not settings.
  public init(_ sweep: Sweep, directory: String, program: String, arguments: [String], host: Host) {
    (self.sweep, self.directory, self.program) = (sweep, SweepDirectory(path: directory), program)
    (self.arguments, self.host) = (arguments, host)
  }

  /// The command line of a run, which starts the run or continues it.
  public func command(_ run: Sweep.Run) -> [String] {
    command(
      run, launcher: Launcher.command(ranks: sweep.ranks, threads: run.configuration.threads))
  }

  private func command(_ run: Sweep.Run, launcher: [String], options: [String] = []) -> [String] {
    let path = directory.directory(of: run).path
    return (sweep.ranks > 1 ? launcher : []) + [program, "train", "--run-dir", path, "--resume", "auto"]
      + options + arguments + run.arguments
  }

  // MARK: One after another

  /// Runs the sweep's runs with the given indices, one after another, except those that are finished.
  ///
  /// - Throws: `Failure` with code 75 if a signal ended the sweep; otherwise, after all runs have been tried,
  ///   with the exit code of the first run that failed or was stopped.
  public func run(_ indices: Range<Int>) throws {
    host.say("runs 0 to \(sweep.runs.count - 1) in \(directory.path)")
    for index in indices where isUnfinished(index) {
      host.say("\(place(index)): starts")
      if !host.shouldStop() { try start(index, command(sweep.runs[index])) }
      while !children.isEmpty { try follow() }
      if host.shouldStop() { throw stopped([index]) }
    }
    try conclude(indices.count)
  }

  private func place(_ index: Int) -> String { "run \(index), \(sweep.runs[index].name)" }

  /// Whether a run has something to do.
  private func isUnfinished(_ index: Int) -> Bool {
    guard directory.isFinished(sweep.runs[index]) else { return true }
    host.say("\(place(index)): finished before")
    outcome.skipped += 1
    return false
  }

  private func stopped(_ indices: [Int]) -> Failure {
    let names = indices.map { sweep.runs[$0].name }.joined(separator: ", ")
    return Failure(
      .requeue,
      "stopped by a signal\(names.isEmpty ? "" : " in ")\(names); the same command goes on from there")
  }

  private func conclude(_ count: Int) throws {
    try outcome.requireSuccess(sweep, of: count)
    host.say("done: \(count) run(s), \(outcome.skipped) of them finished before")
    host.say("next: \(program) report \(directory.path)")
  }

  // MARK: Several at a time

  /// The same with several runs at a time, those that take longest first.
  ///
  /// - Parameter jobs: how many runs at a time; nil for as many as fit the machine.
  public func run(_ indices: Range<Int>, jobs: Int?) throws {
    host.say("runs 0 to \(sweep.runs.count - 1) in \(directory.path)")
    let unfinished = indices.filter(isUnfinished)
    var costs = ExpectedCosts(data: { ExpectedData($0) })
    var waiting = try costs.longestFirst(unfinished, of: sweep, in: directory)
    let needs = try costs.needs(of: waiting, of: sweep)
    let share = MachineShare()
    let machine = MachineFit(cores: Launcher.coreCount, quota: share.processors, freeMemory: share.freeMemory)
    let jobs = jobs ?? machine.jobs(needs)
    if !waiting.isEmpty { host.say(machine.description(min(jobs, waiting.count), needs)) }
    isSeveral = true
    try inBoard(count: waiting.count) { board in
      let launch = launch(board, jobs: jobs, freeCores: machine.cores - jobs * needs.cores)
      var shouldStop = host.shouldStop()
      var interrupted: [Int] = []
      while true {
        while !shouldStop && children.count < jobs && !waiting.isEmpty { try launch(waiting.removeFirst()) }
        if children.isEmpty { break }
        if shouldStop && interrupted.isEmpty { interrupted = children.map(\.index) }
        try follow()
        shouldStop = shouldStop || host.shouldStop()
      }
      if shouldStop && (!interrupted.isEmpty || !waiting.isEmpty) { throw stopped(interrupted) }
    }
    try conclude(indices.count)
  }

  /// Draws a table while `body` runs, if there is a terminal for it. The runs say how far they are in files.
  private func inBoard(count: Int, _ body: (_ board: String?) throws -> Void) throws {
    guard let terminal = host.terminal else { return try body(nil) }
    var name = Array((NSTemporaryDirectory() + "/fan-dist-sweep-XXXXXX").utf8CString)
    guard mkdtemp(&name) != nil else {
      throw Failure(.cannotCreate, "\(NSTemporaryDirectory()): \(String(cString: strerror(errno)))")
    }
    let board = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let table = ProgressTable(sweep, count: count, directory: board, terminal)
    self.table = table
    defer {
      table.finish()
      self.table = nil
      try? FileManager.default.removeItem(atPath: board)
    }
    try body(board)
  }

  /// What starts a run beside others.
  private func launch(_ board: String?, jobs: Int, freeCores: Int) -> (Int) throws -> Void {
    let workers = WorkerOptions.workers(freeCores: freeCores / jobs)
    let share = arguments.contains("--eval-workers") ? [] : ["--eval-workers", "\(workers)"]
    return { [self] index in
      let run = sweep.runs[index]
      // Each mpirun would bind its ranks to the same cores, the first ones.
      let launcher = Launcher.command(
        ranks: sweep.ranks, threads: run.configuration.threads, binds: false)
      let options = ["--label", run.name] + share
      guard let board else {
        host.say("\(place(index)): starts")
        return try start(index, command(run, launcher: launcher, options: options))
      }
      let file = "\(board)/\(index)"
      _ = try ProgressFile(path: file)
      let output = open("\(file).output", O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0o644)
      defer { close(output) }
      try start(
        index, command(run, launcher: launcher, options: options + ["--progress-file", file]), output: output)
    }
  }

  // MARK: Processes

  /// Starts a command.
  ///
  /// The signal that asks it to stop is USR1, because mpirun reacts to INT and TERM by ending the ranks before they have
  /// saved. It gets the same signal when this process ends without a word. Ctrl-C does not reach it by itself.
  private func start(_ index: Int, _ command: [String], output: Int32 = -1) throws {
    var words = command.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let process = process_start(&words, output)
    guard process > 0 else {
      throw Failure(.system, "\(command[0]): cannot be started: \(String(cString: strerror(errno)))")
    }
    children.append(Child(index: index, process: process))
  }

  /// Waits a moment, notes the runs that have ended, and asks the others to stop if somebody asks the sweep.
  private func follow() throws {
    usleep(50_000)
    let stops = host.shouldStop()
    for place in children.indices where stops && !children[place].wasAsked {
      kill(children[place].process, SIGUSR1)
      children[place].wasAsked = true
    }
    for child in children {
      var status: Int32 = 0
      let ended = waitpid(child.process, &status, WNOHANG)
      guard ended != 0, !(ended < 0 && errno == EINTR) else { continue }
      guard ended > 0 else {
        throw Failure(.system, "\(program): cannot be waited for: \(String(cString: strerror(errno)))")
      }
      children.removeAll { $0.process == child.process }
      let signal = status & 0x7f
      note(child.index, code: signal == 0 ? status >> 8 & 0xff : 128 + signal, stops: stops)
    }
    table?.redrawNowAndThen()
  }

  /// Notes how a run ended: its exit code, or 128 plus the number of the signal that ended it.
  private func note(_ index: Int, code: Int32, stops: Bool) {
    outcome.note(index, code: code)
    let line = "\(place(index)): \(code == 0 ? "done" : SweepOutcome.ending(code))"
    if let table {
      table.end(index, line)
    } else if code == 0 ? isSeveral : !stops {
      host.say(line)
    }
  }
}
