import ArgumentParser
import Environments
import Foundation
import Training

/// `fan-dist dataset …`: generates datasets and looks at them.
struct DatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dataset", abstract: "Generate a dataset, or look at one.",
    subcommands: [Generate.self, Info.self])

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
      try write(BehaviourDataset(task: task, seed: seed, episodes: episodes), to: path)
      let few = episodes.map { max(1, $0 / 10) }
      try write(
        BehaviourDataset(task: task, seed: seed, episodes: few, validation: true),
        to: path.dropLast(4) + "-val.npz")
    }

    private func write(_ data: BehaviourDataset, to path: String) throws {
      try data.write(to: path)
      print("\(path): \(data.rows) rows")
    }
  }

  /// `fan-dist dataset info PATH`.
  struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Check a dataset and describe it.")

    @Argument(help: "Dataset directory, OGBench .npz file, or a directory of them.")
    var path: String

    @Option(help: "Embedded task whose rewards to compute when the file holds none.")
    var env: String?

    @Flag(help: "Read all of a dataset directory and compare it with its digests.")
    var verify = false

    func run() throws {
      let task = try env.map { try embeddedTask($0) }
      let description = try DatasetDescription(path: path, task: task, verify: verify)
      for line in description.lines { print(line) }
      for line in description.warnings { print("warning: \(line)") }
      if verify { print("every byte is as it was imported") }
    }
  }
}
