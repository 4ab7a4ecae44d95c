import Basics
import CProcesses
import Foundation
import Glibc
import MPI
import Running
import Settings

/// Runs the training runs of a sweep one after another, each in its own processes.
public struct SweepRunner {
  private let sweep: Sweep
  private let directory: String
  private let program: String
  private let arguments: [String]
  private let say: (String) -> Void
  private let shouldStop: () -> Bool

  /// Makes a runner for `sweep`.
  ///
  /// - Parameters:
  ///   - directory: the directory that will contain one directory for each run.
  ///   - program: the path of `fan-dist`.
  ///   - arguments: arguments of all runs that are not settings.
  ///   - say: prints a line.
  ///   - shouldStop: polled while runs are running; when it returns true, the current run saves and the sweep
  ///     ends.
  public init(
    _ sweep: Sweep, directory: String, program: String, arguments: [String], say: @escaping (String) -> Void,
    shouldStop: @escaping () -> Bool
  ) {
    (self.sweep, self.directory, self.program, self.arguments) = (sweep, directory, program, arguments)
    (self.say, self.shouldStop) = (say, shouldStop)
  }

  /// The command line of a run, which starts the run or continues it.
  public func command(_ run: Sweep.Run) -> [String] {
    let launcher =
      sweep.ranks > 1 ? Launcher.command(ranks: sweep.ranks, threads: run.configuration.threads) : []
    return launcher + [program, "train", "--run-dir", path(run), "--resume", "auto"] + arguments
      + run.arguments
  }

  /// Runs the sweep's runs with the given indices, except those that are finished.
  ///
  /// - Throws: `Failure` with code 75 if a signal ended the sweep; otherwise, after all runs have been tried,
  ///   with the exit code of the first run that failed or was stopped.
  public func run(_ indices: Range<Int>) throws {
    var failures: [(name: String, code: Int32)] = []
    var skipped = 0
    say("runs 0 to \(sweep.runs.count - 1) in \(directory)")
    for index in indices {
      let run = sweep.runs[index]
      let place = "run \(index), \(run.name)"
      if RunDirectory(path: path(run)).isFinished(run.configuration) {
        say("\(place): finished before")
        skipped += 1
        continue
      }
      say("\(place): starts")
      let code = shouldStop() ? Failure.Code.requeue.rawValue : try start(command(run))
      if shouldStop() {
        throw Failure(.requeue, "stopped by a signal in \(run.name); the same command goes on from there")
      }
      if code != 0 {
        say("\(place): \(Self.ending(code))")
        failures.append((run.name, code))
      }
    }
    if let first = failures.first {
      let names = failures.map { "\($0.name) (\($0.code))" }.joined(separator: ", ")
      throw Failure(
        Failure.Code(rawValue: first.code) ?? .system,
        "\(failures.count) of \(indices.count) run(s) failed: \(names); the same command tries them again"
      )
    }
    say("done: \(indices.count) run(s), \(skipped) of them finished before")
    say("next: \(program) report \(directory)")
  }

  /// How a run ended that is not finished, from its exit code.
  private static func ending(_ code: Int32) -> String {
    switch Failure.Code(rawValue: code) {
    case .requeue: "was stopped and is saved (exit code \(code))"
    case .stoppedUnsaved: "was stopped, and nothing was saved since its last checkpoint (exit code \(code))"
    default: "failed with exit code \(code)"
    }
  }

  /// The directory of a run. One that was named when the settings stood in another order in the sweep's file is the same
  /// run's.
  private func path(_ run: Sweep.Run) -> String {
    let path = "\(directory)/\(run.name)"
    guard access(path, F_OK) != 0 else { return path }
    func settings(_ name: String) -> [Substring] { name.split(separator: ",").sorted() }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.first { settings($0) == settings(run.name) }.map { "\(directory)/\($0)" } ?? path
  }

  /// Runs a command to its end and returns its exit code, or 128 plus the number of the signal that ended it.
  ///
  /// The signal that asks it to stop is USR1, because mpirun reacts to INT and TERM by ending the ranks before they have
  /// saved. It gets the same signal when this process ends without a word. Ctrl-C does not reach it by itself.
  private func start(_ command: [String]) throws -> Int32 {
    var words = command.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let process = process_start(&words)
    guard process > 0 else {
      throw Failure(.system, "\(command[0]): cannot be started: \(String(cString: strerror(errno)))")
    }
    var wasAsked = false
    var status: Int32 = 0
    while true {
      let ended = waitpid(process, &status, WNOHANG)
      if ended == process { break }
      guard ended == 0 || errno == EINTR else {
        throw Failure(.system, "\(command[0]): cannot be waited for: \(String(cString: strerror(errno)))")
      }
      if !wasAsked && shouldStop() {
        kill(process, SIGUSR1)
        wasAsked = true
      }
      usleep(50_000)
    }
    let signal = status & 0x7f
    return signal == 0 ? status >> 8 & 0xff : 128 + signal
  }
}
