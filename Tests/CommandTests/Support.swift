import ArrayFiles
import Foundation
import TestSupport
import Testing

/// Training runs of the built command with small networks, in a directory of their own.
struct Runs {
  let folder = TemporaryDirectory()

  /// Small networks, every update logged, nothing evaluated or saved before the end.
  static let small = [
    "--actor-hidden-dims", "16,16", "--value-hidden-dims", "16,16", "--batch-size", "64", "--log-interval",
    "1",
    "--eval-interval", "0", "--eval-episodes", "5", "--save-interval", "0", "--progress", "plain",
  ]

  /// The command line of a run in the directory `name`.
  func command(_ name: String, _ options: [String]) -> [String] {
    [built("fan-dist")] + Self.small + ["--run-dir", folder.file(name)] + options
  }

  /// Runs it to its end.
  func train(_ name: String, ranks: Int? = nil, _ options: String...) throws -> CommandResult {
    try run(ranks: ranks, command(name, options))
  }

  /// Runs it to its end, which must be a good one.
  @discardableResult
  func complete(
    _ name: String, ranks: Int? = nil, _ options: String..., location: SourceLocation = #_sourceLocation
  ) throws -> CommandResult {
    try complete(name, ranks: ranks, options, location: location)
  }

  /// Runs it to its end, which must be a good one.
  @discardableResult
  func complete(
    _ name: String, ranks: Int? = nil, _ options: [String], location: SourceLocation = #_sourceLocation
  ) throws -> CommandResult {
    let result = try run(ranks: ranks, command(name, options))
    try #require(result.code == 0 && result.errorLines == [], "\(result)", sourceLocation: location)
    return result
  }

  /// The environment in which calls on files of this directory are disturbed; `launch/drills/faults.c` has the variables.
  func faults(_ variables: [String: String]) throws -> [String: String] {
    let library = try #require(faultsLibrary, "launch/drills/faults.c does not compile")
    return variables.merging(["LD_PRELOAD": library, "DRILL_ROOT": folder.path]) { $1 }
  }

  func table(_ name: String, _ file: String = "train.csv") throws -> Table {
    try Table(folder.file("\(name)/\(file)"))
  }

  func text(_ name: String, _ file: String) throws -> String {
    try String(contentsOfFile: folder.file("\(name)/\(file)"), encoding: .utf8)
  }

  /// The names of a run's checkpoints.
  func checkpoints(_ name: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.file("\(name)/checkpoints")).sorted()
  }

  func checkpoint(_ name: String, _ step: Int) -> String {
    folder.file("\(name)/checkpoints/step-\(String(format: "%09d", step)).safetensors")
  }

  /// The tensors of a checkpoint, whose checksums must hold.
  func tensors(_ name: String, _ step: Int) throws -> [String: [Float]] {
    let file = try SafetensorsFile(path: checkpoint(name, step))
    try file.verify()
    return try Dictionary(uniqueKeysWithValues: file.tensors.keys.map { ($0, try file.floats($0)) })
  }
}

extension Runs {
  /// The small maze from above.
  static let visualMaze = "visual-pointmaze-u-stitch-singletask-v0"

  /// The path of a few of its episodes.
  func images() throws -> String {
    let path = folder.file("images.npz")
    if !FileManager.default.fileExists(atPath: path) {
      let arguments = ["dataset", "generate", Self.visualMaze, "--episodes", "20", "--out", path]
      let result = try run(built("fan-dist"), arguments)
      try #require(result.code == 0, "\(result)")
    }
    return path
  }

  /// The options of a run on them.
  func onImages(steps: Int, _ others: [String] = []) throws -> [String] {
    ["--env", Self.visualMaze, "--dataset", try images(), "--steps", "\(steps)", "--batch-size", "16"]
      + ["--frame-stack", "2", "--p-aug", "0.5"] + others
  }
}

/// What compiling `launch/drills/faults.c` makes, beside the programs that are built; nil if it does not compile without
/// warnings.
private let faultsLibrary: String? = {
  let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../launch/drills/faults.c").standardized.path
  let library = built("faults.so")
  let result = try? run("cc", ["-O1", "-Wall", "-shared", "-fPIC", "-o", library, source, "-ldl"])
  return result?.code == 0 && result?.errors == "" ? library : nil
}()

/// A CSV file.
struct Table: Equatable {
  let columns: [String]
  var rows: [[String]]

  init(_ path: String) throws {
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    columns = try #require(lines.first)
    rows = Array(lines.dropFirst())
  }

  var steps: [Int] { rows.compactMap { Int($0[0]) } }

  /// The same without the columns that say how long something took.
  var timeless: Table {
    let kept = columns.indices.filter { !columns[$0].hasPrefix("time/") }
    var table = self
    table.rows = rows.map { row in kept.map { row[$0] } }
    return table
  }

  /// A column's numbers.
  func numbers(_ column: String) throws -> [Double] {
    let index = try #require(columns.firstIndex(of: column))
    return try rows.map { try #require(Double($0[index])) }
  }
}

/// A dataset for the default task, any part of which can be made wrong.
struct DatasetFixture {
  var observations: [Float]
  var actions: [Float]
  var terminals: [Float]
  var observationSize = 2
  /// Rewards of all rows, with masks of 1; nil for a file without them.
  var rewards: [Float]?

  /// Episodes of 20 transitions.
  init(episodes: Int) {
    let rows = 21 * episodes
    observations = (0..<rows * 2).map { Float($0 * 37 % 101) / 101 }
    actions = (0..<rows * 2).map { Float($0 * 53 % 103) / 52 - 1 + 0.01 }
    terminals = (0..<rows).map { $0 % 21 == 20 ? 1 : 0 }
  }

  @discardableResult
  func write(to path: String) throws -> String {
    let writer = try NpzWriter(path: path)
    try writer.add(
      "observations", observations, shape: [observations.count / observationSize, observationSize])
    try writer.add("actions", actions, shape: [actions.count / 2, 2])
    try writer.add("terminals", terminals, shape: [terminals.count])
    if let rewards {
      try writer.add("rewards", rewards, shape: [rewards.count])
      try writer.add("masks", rewards.map { _ in Float(1) }, shape: [rewards.count])
    }
    try writer.finish()
    return path
  }
}

/// The processes whose command line has a word with this text.
func processesNaming(_ text: String) throws -> [pid_t] {
  try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter {
    let arguments = FileManager.default.contents(atPath: "/proc/\($0)/cmdline") ?? Data()
    return String(decoding: arguments, as: UTF8.self).contains(text)
  }
}

/// Whether a condition comes true soon.
func ends(_ condition: () throws -> Bool) rethrows -> Bool {
  for _ in 0..<200 {
    if try condition() { return true }
    usleep(50_000)
  }
  return false
}

/// Requires that a run was stopped by a signal, after an update that the result names.
///
/// - Parameter ranks: how many a launcher started; nil without one.
func expectStopped(
  _ result: CommandResult, ranks: Int? = nil, _ parts: [String] = ["stopped by a signal after update "],
  location: SourceLocation = #_sourceLocation
) {
  // Hydra, the launcher of MPICH, now and then loses the code of ranks that end after a signal.
  let isLost = ranks != nil && mpirun.hasSuffix("hydra") && result.code == 0
  expectFailure(result, isLost ? 0 : 75, parts, location: location)
}

/// Requires an exit code, and one line on standard error that holds all of `parts`.
func expectFailure(
  _ result: CommandResult, _ code: Int32, _ parts: [String] = [],
  location: SourceLocation = #_sourceLocation
) {
  #expect(result.code == code && !result.timedOut, "\(result)", sourceLocation: location)
  #expect(result.errorLines.count == 1, "\(result.errors)", sourceLocation: location)
  for part in ["fan-dist: "] + parts {
    #expect(result.errors.contains(part), "\(result.errors)", sourceLocation: location)
  }
}
