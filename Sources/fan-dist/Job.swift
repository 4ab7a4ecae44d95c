import Basics
import Foundation
import MPI
import Running

/// This process as one of the ranks that a launcher started, or as the only one.
struct Job {
  /// All ranks; nil when there is no launcher and MPI has not been needed.
  private let launched: Communicator?
  /// Whether this rank speaks for all.
  let isFirst: Bool
  /// Ends this process when a rank stops without a word, in the phases that it is told of.
  let watchdog: Watchdog

  /// Seconds for which the other ranks may be silent at the start of a command that has no option for it.
  static let usualPatience = 600.0

  /// Starts MPI when a launcher started this process and the command needs ranks, so that they can end together with one
  /// message. Another command starts no MPI: the first rank does what there is to do.
  ///
  /// - Parameter patience: seconds for which the other ranks may be silent.
  init(patience: Double, needsRanks: Bool) throws {
    watchdog = try Watchdog(seconds: patience) { Self.endStalled($0) }
    isFirst = Launcher.rank ?? 0 == 0
    guard needsRanks else {
      launched = nil
      return
    }
    try Self.requireOpenFiles()
    guard MPI.isLaunched else {
      launched = nil
      if MPI.tasksOfStep > 1 {
        try refuse(
          "srun started \(MPI.tasksOfStep) tasks that cannot find each other: use "
            + "srun --mpi=\(Launcher.own == .openMPI ? "pmix" : "pmi2"), or \(Launcher.own.program)")
      }
      return
    }
    // Only the launcher knows so far which of how many ranks this is.
    watchdog.know(rank: Launcher.rank ?? 0, of: Launcher.size ?? 2)
    watchdog.enter("the start of MPI")
    try MPI.initialise()
    let world = try Communicator.world()
    watchdog.know(rank: world.rank, of: world.size)
    watchdog.enter(nil)
    launched = world
    do throws(Failure) { try Launcher.requireTogether(world) } catch { try refuse(error.message) }
  }

  /// Throws if so few files may be open that MPI, or what waits for it, ends without a word.
  private static func requireOpenFiles() throws(Failure) {
    let fewest = 32
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < fewest else {
      return
    }
    throw Failure(
      .system,
      "only \(limit.rlim_cur) files may be open at a time, and at least \(fewest) are needed: raise the limit (ulimit -n)"
    )
  }

  /// Throws, on the first process with the line: the others cannot be reached.
  private func refuse(_ problem: String) throws -> Never {
    guard isFirst else {
      // A launcher may end all processes when one has ended.
      sleep(1)
      exit(Failure.Code.usage.rawValue)
    }
    throw Failure(.usage, problem)
  }

  /// Whether a launcher started this process as one of its ranks.
  var isLaunched: Bool { launched != nil }

  /// All ranks; starts MPI if no launcher did.
  func world() throws(MPIError) -> Communicator {
    if let launched { return launched }
    try MPI.initialise()
    return try Communicator.world()
  }

  /// A watchdog for a run on some of the ranks, which may be silent for so many seconds.
  func watchdog(seconds: Double, of group: Communicator) -> Watchdog {
    do {
      let watchdog = try Watchdog(seconds: seconds) { Self.endStalled($0) }
      watchdog.know(rank: group.rank, of: group.size)
      return watchdog
    } catch { abort(error) }
  }

  /// Ends the job: all ranks call this with the same code; the first one says why. An answer on standard output that
  /// cannot be written is a failure of its own.
  func finish(_ code: Int32, message: String? = nil, toOutput: Bool = false) -> Never {
    var code = code
    if let message, isFirst {
      do { try (toOutput ? StandardStream.output : .error).say(message) } catch {
        if toOutput {
          StandardStream.error.attempt("fan-dist: \(error.message)\n")
          code = error.code.rawValue
        }
      }
    }
    // Nobody leaves before the first rank has spoken: the launcher ends all as soon as one fails. Without MPI nobody
    // knows when it has, and so only the first rank's code counts.
    if launched == nil && !isFirst { exit(0) }
    if let launched { try? launched.barrier() }
    if MPI.isInitialised { try? MPI.finalise() }
    exit(code)
  }

  /// Ends this process, with a line, while one of its threads waits inside MPI for a rank that has stopped. The launcher
  /// ends the other ranks once one has ended.
  private static func endStalled(_ line: String) -> Never {
    // A pipe that nobody reads is full at some time, and must not keep this process.
    var stream = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
    if poll(&stream, 1, 1000) > 0 { StandardStream.error.attempt("fan-dist: \(line)\n") }
    // Not exit, which runs handlers that wait for the thread inside MPI.
    _exit(Failure.Code.stoppedUnsaved.rawValue)
  }

  /// Ends the job when only this rank knows that something is wrong.
  func abort(_ failure: Failure) -> Never {
    let place = "[rank \(launched?.rank ?? 0) on \(MPI.processorName)]"
    StandardStream.error.attempt("fan-dist: \(place) \(failure.message)\n")
    MPI.abort(failure.code.rawValue)
  }
}
