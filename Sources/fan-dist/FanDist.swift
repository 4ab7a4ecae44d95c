import ArgumentParser
import Basics
import Foundation
import Kernels
import MPI

/// The command and its subcommands.
struct FanDist: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fan-dist",
    abstract: "Trains policies from fixed datasets with FAN, on one rank or on many.",
    discussion: """
      Without a subcommand: trains the embedded default task. On several ranks: mpirun -n 8 fan-dist.

      Exit codes: 0 done · 64 wrong flag, key or value · 65 malformed data · 66 missing file · 69 Python \
      or an environment could not be used · 70 numbers went wrong · 71 system or MPI error · 73 cannot write · \
      75 stopped by a signal and saved, run again with --resume auto · 76 stopped, nothing saved since the last \
      checkpoint · 78 ranks, or run and checkpoint, disagree.
      """,
    version: version,
    subcommands: [
      Train.self, SweepCommand.self, ReportCommand.self, Evaluate.self, ExportCommand.self, Act.self,
      DatasetCommand.self, Bench.self, LauncherCommand.self, Example.self,
    ],
    defaultSubcommand: Train.self)
}

@main
enum Main {
  static func main() {
    BLAS.restartWithFittingKernels()
    Signals.tolerateClosedStreams()
    let parsed = Result { try FanDist.parseAsRoot(arguments(CommandLine.arguments.dropFirst())) }
    let command = try? parsed.get()
    let trainsSweep = (command as? SweepCommand)?.trains ?? false
    let handlesStops = command is Train || trainsSweep || command is DatasetCommand.Import
    // Before MPI starts, which takes a second, and again in case it has changed that.
    handlesStops ? Signals.catchStops() : Signals.release()
    let job: Job
    do {
      job = try Job(
        patience: (command as? Train)?.patience ?? Job.usualPatience,
        needsRanks: command is Train || command is Bench || trainsSweep)
    } catch {
      endUnconnected(Failure(error))
    }
    if handlesStops { Signals.catchStops() }
    do {
      var command = try parsed.get()
      switch command {
      case let train as Train: try train.run(job)
      case let bench as Bench: try bench.run(job)
      case let sweep as SweepCommand: try sweep.run(job)
      case let evaluate as Evaluate: try evaluate.run(job)
      // The others compute on one rank; further ranks have nothing to do.
      default: if job.isFirst { try command.run() }
      }
      job.finish(0)
    } catch let stop as ExitCode {
      job.finish(stop.rawValue)
    } catch let error as MPIError {
      // The other ranks may wait in a collective: only an abort reaches them.
      job.abort(Failure(.system, "\(error)"))
    } catch let error as RankFailure {
      job.abort(error.failure)
    } catch let failure as Failure {
      job.finish(failure.code.rawValue, message: "fan-dist: \(failure.message)")
    } catch {
      finish(job, parserError: error)
    }
  }

  /// The command line's words, with `--name -5` as `--name=-5`: the parser takes a word after a dash for a flag.
  private static func arguments(_ words: some Sequence<String>) -> [String] {
    words.reduce(into: []) { words, word in
      if let flag = words.last, flag.hasPrefix("--"), flag.count > 2, !flag.contains("="),
        word.hasPrefix("-"),
        Double(word) != nil
      {
        words[words.count - 1] = "\(flag)=\(word)"
      } else {
        words.append(word)
      }
    }
  }

  /// Ends a rank that has not found the others. Wrong use is the same on all, so the first one speaks; the others wait a
  /// moment, because the launcher may end all ranks as soon as one has ended.
  private static func endUnconnected(_ failure: Failure) -> Never {
    if failure.code == .usage, let rank = Launcher.rank, rank > 0 {
      sleep(1)
    } else {
      StandardStream.error.attempt("fan-dist: \(failure.message)\n")
    }
    exit(failure.code.rawValue)
  }

  /// Ends the job after an error of the parser. Help is one, too, and ends with code 0; all others are wrong use, of
  /// which one line tells.
  private static func finish(_ job: Job, parserError error: any Error) -> Never {
    let code = FanDist.exitCode(for: error)
    if code == .success { job.finish(0, message: FanDist.fullMessage(for: error), toOutput: true) }
    let known = Failure(error)
    guard code == .validationFailure else {
      job.finish(known.code.rawValue, message: "fan-dist: \(known.message)")
    }
    let line = FanDist.message(for: error).split(separator: "\n").joined(separator: " ")
    let wrongUse = Failure(.usage, "\(line.prefix(2000)); see fan-dist --help")
    job.finish(wrongUse.code.rawValue, message: "fan-dist: \(wrongUse.message)")
  }
}
