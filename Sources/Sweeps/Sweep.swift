import Basics
import Foundation
import Settings
import Yams

/// The training runs of a sweep, a grid of settings × seeds that a YAML file describes:
///
///     settings: {steps: 30000}               # settings of all runs
///     grid: {alpha1: [1, 3], lr: [1e-3]}     # every combination of these values …
///     runs: [{z_agg: mean}, {z_agg: min}]    # … with each of these sets of settings …
///     seeds: [0, 1, 2]                       # … and each of these seeds
///     ranks: 2                               # the number of ranks of each run
///
/// All keys are optional. Runs are in the order of seeds, so the first runs already compare all settings.
public struct Sweep: Sendable {
  /// One run of a sweep.
  public struct Run: Sendable {
    /// The name of the run and of its directory, made of the settings that vary: `alpha1=3,seed=0`.
    public let name: String
    /// The run's settings as arguments of `fan-dist train`.
    public let arguments: [String]
    /// All settings of the run, including the preset of its task.
    public let configuration: Configuration
  }

  /// The runs in the order in which they are started.
  public let runs: [Run]
  /// The number of ranks of each run.
  public let ranks: Int

  /// Reads a sweep from the file `path` and checks the settings of all its runs.
  ///
  /// - Throws: `Failure` that names the file and, where they are known, the line and the key.
  public init(path: String) throws {
    let file = try SweepFile(text: textOfSettings(path), path: path)
    ranks = file.ranks
    runs = try file.seeds.flatMap { seed in
      try file.combinations.map { choices in try Self.run(file, choices + [seed]) }
    }
    try Self.requireDifferent(runs, path: path)
  }

  /// Throws unless all runs have settings and directories of their own. A value may be spelled in several ways.
  private static func requireDifferent(_ runs: [Run], path: String) throws(Failure) {
    let ofSettings = Dictionary(grouping: runs) { $0.configuration.yaml }.values
    if let same = ofSettings.filter({ $0.count > 1 }).min(by: { $0[0].name < $1[0].name }) {
      let names = Set(same.map(\.name)).sorted().joined(separator: " and ")
      throw Failure(.usage, "\(path): \(same.count) runs would be the same, \(names)")
    }
    if let (name, same) = Dictionary(grouping: runs, by: \.name).first(where: { $1.count > 1 }) {
      throw Failure(
        .usage, "\(path): \(same.count) different runs would have one directory, \(name); rename a value")
    }
  }

  private static func run(_ file: SweepFile, _ choices: [Choice]) throws -> Run {
    let name = choices.map(\.label).joined(separator: ",")
    guard name.utf8.count <= 250 else {
      throw Failure(
        .usage, "\(file.path): too long for a directory: \(printable(name)); vary fewer settings")
    }
    let arguments = file.common.flatMap(\.arguments) + choices.flatMap(\.arguments)
    do {
      return Run(name: name, arguments: arguments, configuration: try .layered(arguments))
    } catch {
      throw Failure(.usage, "\(file.path): \(name): \(oneLine(error))")
    }
  }
}

/// A setting with one of its values.
struct Choice {
  /// The key in the file, with underscores.
  let key: String
  /// Key and value in the name of a directory.
  let label: String
  /// Key and value as command-line arguments.
  let arguments: [String]
}

/// The message, on one line, of an error that the parser of settings throws.
func oneLine(_ error: any Error) -> String {
  if let failure = error as? Failure { return failure.message }
  return Configuration.message(for: error).split(separator: "\n").joined(separator: " ")
}
