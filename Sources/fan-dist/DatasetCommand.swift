import Agents
import ArgumentParser
import ArrayFiles
import Basics
import Environments
import Foundation
import Report
import Settings
import TrainingData

/// `fan-dist dataset …`: imports, generates and describes datasets.
struct DatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dataset", abstract: "Import a dataset, generate one, or look at one.",
    subcommands: [Import.self, Generate.self, Info.self])

  /// `fan-dist dataset import SOURCE`.
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Turn a dataset of another project into a dataset directory.",
      discussion: """
        SOURCE is the name of an OGBench task with rewards (cube-single-play-singletask-v0), a Minari dataset \
        (minari:D4RL/pen/human-v2), or a file or directory: OGBench .npz or a directory of them, .npz of transitions, \
        d3rlpy .h5, D4RL .hdf5, a Minari, LeRobot or RLDS directory, CSV or Parquet with --columns. Readers in Python \
        do it (see launch/python-env). OGBench files that hold rewards, or whose rewards an embedded task knows, need \
        no Python.
        """)

    @Argument(help: "Name or file.")
    var source: String

    @Option(
      help: ArgumentHelp("Directory to make.", discussion: "By default where train --env NAME looks for it."))
    var out: String?

    @Option(
      help:
        "OGBench task whose rewards to compute for .npz files that hold none; environment of --action-range environment."
    )
    var env: String?

    @Option(help: "Kind of the file or directory; found out from it by default.")
    var format: DatasetImport.Format?

    @Option(
      help: ArgumentHelp(
        "Which columns of a CSV, Parquet or LeRobot table are what: observation=x,y,action=a,reward=r,terminal=done.",
        discussion:
          "Others are timeout, episode (a number, text or date that changes where an episode begins) and next_observation. A name may hold *.",
        valueName: "columns"), transform: TableColumns.init)
    var columns: TableColumns?

    @Option(help: "Where OGBench or Minari keeps its datasets, if not where it does by default.")
    var from: String?

    @Option(help: "Python interpreter with the projects' packages.")
    var python = "python3"

    @Option(
      help: "D4RL file: antmaze or other, the published ways to read it; by the file's name by default.")
    var convention: Convention?

    @Option(help: "D4RL file that does not say where episodes are cut off: after how many steps.")
    var episodeLimit: Int?

    @OptionGroup(title: "Scales")
    var scales: ScaleOptions

    enum Convention: String, ExpressibleByArgument, CaseIterable { case antmaze, other }

    func validate() throws {
      try requirePath(out, "--out")
      guard (1...1_000_000_000).contains(episodeLimit ?? 1) else {
        throw ValidationError("--episode-limit must be between 1 and 1000000000")
      }
    }

    func run() throws {
      var dataset = DatasetImport(source, python: python)
      (dataset.task, dataset.directory) = (env, from)
      (dataset.convention, dataset.episodeLimit) = (convention?.rawValue, episodeLimit)
      (dataset.format, dataset.columns, dataset.scales) = (format, columns?.names, scales)
      guard out != nil || !FileManager.default.fileExists(atPath: source) else {
        throw Failure(.usage, "\(source): only a dataset's name says where to put it; give --out")
      }
      let path = try out ?? DatasetImport.place(of: source)
      let isNew = try dataset.run(
        to: path, isCancelled: { Signals.stopRequested }, say: { StandardStream.output.attempt($0 + "\n") })
      guard isNew else {
        throw Failure(
          .cannotCreate, "\(path): exists already; remove it, or name another directory with --out")
      }
      try StandardStream.output.say("\(path): imported")
      let description = try DatasetDescription(path: path)
      for line in description.lines { try StandardStream.output.say(line) }
      for line in description.warnings { try StandardStream.output.say("warning: \(line)") }
    }
  }

  /// `fan-dist dataset generate TASK`.
  struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Record the behaviour dataset of an embedded task as OGBench .npz, with its validation companion.")

    @Argument(help: "An embedded task.")
    var task = PointMazeTask.defaultName

    @Option(help: ArgumentHelp("File to write.", discussion: "By default the dataset's name with .npz."))
    var out: String?

    @Option(help: "Seed; the same seed gives the same bytes.")
    var seed: UInt32 = 0

    @Option(help: "Number of episodes; as many as the published dataset by default.")
    var episodes: Int?

    func validate() throws {
      guard (1...1_000_000).contains(episodes ?? 1) else {
        throw ValidationError("--episodes must be between 1 and 1000000")
      }
      guard out?.hasSuffix(".npz") ?? true else { throw ValidationError("--out must end in .npz") }
    }

    func run() throws {
      let task = try embeddedTask(task)
      let path = out ?? task.datasetName + ".npz"
      let companion = "\(path.dropLast(4))-val.npz"
      for path in [path, companion] where isFile(path) {
        throw Failure(.cannotCreate, "\(path): exists already; remove it, or name another file with --out")
      }
      try write(BehaviourDataset(task: task, seed: seed, episodes: episodes), to: path)
      let few = episodes.map { max(1, $0 / 10) }
      try write(BehaviourDataset(task: task, seed: seed, episodes: few, validation: true), to: companion)
    }

    private func write(_ data: BehaviourDataset, to path: String) throws {
      try data.write(to: path)
      try StandardStream.output.say("\(path): \(data.rows) rows")
    }
  }

  /// `fan-dist dataset info PATH`.
  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Examine a dataset: what is suspicious, and what it looks like.",
      discussion: "Reads all rows once, in little memory. Ends with 65 if training would refuse the data.")

    @Argument(help: "Dataset directory, OGBench .npz file, or a directory of them.")
    var path: String

    @Option(help: "Embedded task whose rewards to compute when the file holds none.")
    var env: String?

    @Flag(help: "Compare a dataset directory with its digests, too.")
    var verify = false

    @Flag(help: "Show every column, however many there are.")
    var allColumns = false

    @Option(
      help: ArgumentHelp("Draw it on one page, too, for any browser.", valueName: "file.html"))
    var html: String?

    func validate() throws { try requirePage(html, "--html") }

    func run() throws {
      let task = try env.map { try embeddedTask($0) }
      let data = try ExaminedDataset(path: path, task: task, verify: verify)
      let output = StandardStream.output
      try output.say(data.headline)
      for line in data.examination.warnings(all: allColumns) { try output.say("warning: \(line)") }
      for line in data.facts + data.examination.lines(all: allColumns) { try output.say(line) }
      if verify { try output.say("every byte is as it was imported") }
      if let html {
        try DatasetPage(data).write(to: html)
        try output.say("\(html): the page")
      }
      if let refusal = data.examination.refusal { throw refusal }
    }
  }
}

extension DatasetImport.Format: ExpressibleByArgument {}

/// The columns of a table by what they are: `observation=x,y,action=a`.
struct TableColumns {
  let names: [String: [String]]

  private static let kinds = [
    "observation", "action", "reward", "terminal", "timeout", "episode", "next_observation",
  ]

  /// Parses the text.
  ///
  /// - Throws: `ValidationError` when a kind is unknown, is given twice or has no column.
  @Sendable init(_ argument: String) throws {
    var (names, kind) = ([String: [String]](), "")
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      var name = part
      if let sign = part.firstIndex(of: "=") {
        kind = String(part[..<sign])
        name = part[part.index(after: sign)...]
        try require(
          Self.kinds.contains(kind),
          "'\(printable(kind))' is not what a column can be: \(Self.kinds.joined(separator: ", "))")
        try require(names[kind] == nil, "\(kind) is given twice; write \(kind)=a,b for several columns")
      }
      try require(!kind.isEmpty, "'\(printable(argument))' does not begin with a kind, as observation= is")
      try require(!name.isEmpty, "\(kind) has a column without a name")
      names[kind, default: []].append(String(name))
    }
    self.names = names
  }
}
