import Basics
import Foundation
import Settings
import Yams

/// A grid of settings × seeds, as a file describes it: the training runs that it means.
///
///     settings: {steps: 30000}               # of all runs
///     grid: {alpha1: [1, 3], lr: [1e-3]}     # each combination of these
///     runs: [{z_agg: mean}, {z_agg: min}]    # each of these, with settings of its own
///     seeds: [0, 1, 2]                       # each of these
///     ranks: 2                               # of each run
///
/// All keys may be left out. The runs come seed by seed, so that the first ones already compare all settings.
public struct Sweep: Sendable {
  /// One run.
  public struct Run: Sendable {
    /// What tells it from the others, the name of its directory: `alpha1=3,seed=0`.
    public let name: String
    /// Its settings as arguments of `fan-dist train`.
    public let arguments: [String]
    /// All its settings, with the preset of its task.
    public let configuration: Configuration
  }

  /// The runs in the order in which they are started.
  public let runs: [Run]
  /// Ranks of each run.
  public let ranks: Int

  /// Reads a sweep and checks the settings of all its runs.
  ///
  /// - Throws: `Failure` naming the file, the line and the key.
  public init(path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.noInput, "\(path): cannot read this sweep")
    }
    let file = try SweepFile(text: String(decoding: data, as: UTF8.self), path: path)
    ranks = file.ranks
    runs = try file.seeds.flatMap { seed in
      try file.combinations.map { choices in try Self.run(file, choices + [seed]) }
    }
    if let (name, count) = Dictionary(grouping: runs, by: \.name).mapValues(\.count).first(where: { $1 > 1 })
    {
      throw Failure(.usage, "\(path): \(count) runs would be the same, \(name)")
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
  /// Both as part of a directory's name.
  let label: String
  /// Both as arguments.
  let arguments: [String]
}

/// The message of an error that the parser of settings throws.
func oneLine(_ error: any Error) -> String {
  if let failure = error as? Failure { return failure.message }
  return Configuration.message(for: error).split(separator: "\n").joined(separator: " ")
}
