import ArgumentParser
import Basics
import Foundation
import Settings
import Sweeps

/// `fan-dist sweep FILE`: several settings and seeds.
struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep", abstract: "Train with several settings and seeds.",
    discussion: """
      FILE is YAML: settings, of all runs; grid, lists of values of which each combination is run; runs, a list of \
      settings of single runs; seeds, a list; ranks, the number of ranks of each run. Settings are named as in a \
      configuration file.

        settings: {steps: 30000}
        grid: {alpha1: [1, 3, 10]}
        seeds: [0, 1, 2]

      Runs that are finished are skipped, those that were interrupted continue: the same command again does what is \
      left. Then: fan-dist report DIR.
      """)

  @Argument(help: "The sweep's file.")
  var file: String

  @Option(
    help: ArgumentHelp(
      "Directory for the runs.", discussion: "By default runs/ and the file's name.", valueName: "dir"))
  var out: String?

  @Flag(help: "Print the runs' command lines instead of running them, run 0 first.")
  var list = false

  @Option(help: ArgumentHelp("Only the run of this number, counted from 0: for a job array.", valueName: "i"))
  var index: Int?

  @OptionGroup(title: "Gymnasium environments")
  var workers: WorkerOptions

  func validate() throws { try requirePath(out, "--out") }

  func run(_ job: Job) throws {
    guard !job.isLaunched else {
      throw Failure(.usage, "sweep starts the ranks of its runs itself: call it without mpirun or srun")
    }
    let sweep = try Sweep(path: file)
    let console = Console(style: .plain)
    let runner = SweepRunner(
      sweep, directory: out ?? "runs/\(URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent)",
      program: program, arguments: workers.arguments, say: console.say, shouldStop: { Signals.stopRequested })
    if let index, !sweep.runs.indices.contains(index) {
      throw Failure(.usage, "--index must be between 0 and \(sweep.runs.count - 1), the runs of \(file)")
    }
    let indices = index.map { $0..<$0 + 1 } ?? sweep.runs.indices
    guard list else { return try runner.run(indices) }
    for run in sweep.runs[indices] {
      try StandardStream.output.say(runner.command(run).map(quoted).joined(separator: " "))
    }
  }

  /// The path of this program.
  private var program: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
  }

  /// A word with the quotes that a shell needs to read it back.
  private func quoted(_ word: String) -> String {
    let isPlain = word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.,_/=:@%".contains($0)) }
    return isPlain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
  }
}
