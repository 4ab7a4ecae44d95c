import Agents
import ArgumentParser
import ArrayFiles
import Basics
import Foundation
import MPI
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

      mpirun -n 64 fan-dist sweep FILE trains on all ranks of a job: groups of as many ranks as a run has take run \
      after run. Without a launcher, --jobs 8 trains eight runs at a time on this machine.
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

  @Option(
    help: ArgumentHelp(
      "Runs that train at a time on this machine, each in processes of its own.",
      discussion: "auto: as many as fit the cores, the quota of processor time and the memory.",
      valueName: "n|auto"))
  var jobs = JobCount.number(1)

  @OptionGroup(title: "Gymnasium environments")
  var environments: RunWorkerOptions

  func validate() throws {
    try requirePath(out, "--out")
    if case .number(1) = jobs { return }
    try require(!list && index == nil, "--jobs: --list trains nothing and --index one run; leave it out")
  }

  /// Whether the command trains, and does not only print.
  var trains: Bool { !list }

  func run(_ job: Job) throws {
    if job.isLaunched { return try train(on: job.world(), job) }
    guard job.isFirst else { return }
    let (sweep, indices) = try read()
    let console = Console(style: .plain)
    let runner = SweepRunner(
      sweep, directory: directory, program: program, arguments: environments.arguments,
      host: SweepRunner.Host(
        say: console.say, terminal: Console.terminal, shouldStop: { Signals.stopRequested }))
    guard !list else {
      for run in sweep.runs[indices] {
        try StandardStream.output.say(shellCommand(runner.command(run)))
      }
      return
    }
    switch jobs {
    case .number(1): try runner.run(indices)
    case .number(let count): try runner.run(indices, jobs: count)
    case .auto: try runner.run(indices, jobs: nil)
    }
  }

  /// Trains on all ranks of a job.
  private func train(on world: Communicator, _ job: Job) throws {
    let (sweep, indices) = try world.together {
      guard case .number(1) = jobs else {
        throw Failure(
          .usage,
          "--jobs is for a sweep without a launcher; the ranks of this job train as many runs as they can")
      }
      return try read()
    }
    try world.requireAgreement(
      on: "the sweep", digest(sweep, indices), advice: "give all ranks the same file and arguments")
    let console = Console(style: .plain)
    let host = SweepJob.Host(
      say: console.say, terminal: world.rank == 0 ? Console.terminal : nil,
      shouldStop: { Signals.stopRequested }, watchdog: job.watchdog,
      watchdogOfRun: { job.watchdog(seconds: $0, of: $1) })
    try SweepJob(sweep, directory: directory, workers: environments, world: world, host: host).run(indices)
    if world.rank == 0 { console.say("next: \(program) report \(directory)") }
  }

  /// The sweep and the numbers of the runs that are asked for.
  private func read() throws -> (Sweep, Range<Int>) {
    let sweep = try Sweep(path: file)
    if let index, !sweep.runs.indices.contains(index) {
      throw Failure(.usage, "--index must be between 0 and \(sweep.runs.count - 1), the runs of \(file)")
    }
    return (sweep, index.map { $0..<$0 + 1 } ?? sweep.runs.indices)
  }

  private func digest(_ sweep: Sweep, _ indices: Range<Int>) -> UInt64 {
    var digest = Digest()
    let runs = sweep.runs.map { "\($0.name)\n\($0.configuration.digest)\n" }.joined()
    Array("\(directory)\n\(sweep.ranks)\n\(indices)\n\(runs)".utf8).withUnsafeBytes { digest.update($0) }
    return digest.value
  }

  /// The directory for the runs.
  private var directory: String {
    out ?? "runs/\(URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent)"
  }

  /// The path of this program.
  private var program: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
  }
}

/// The value of `--jobs`.
enum JobCount: ExpressibleByArgument {
  case auto
  case number(Int)

  /// `auto`, or a number from 1.
  init?(argument: String) {
    if argument == "auto" {
      self = .auto
    } else if let number = Int(argument), (1...4096).contains(number) {
      self = .number(number)
    } else {
      return nil
    }
  }

  var defaultValueDescription: String {
    switch self {
    case .auto: "auto"
    case .number(let count): "\(count)"
    }
  }
}
