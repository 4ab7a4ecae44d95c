import ArrayFiles
import Foundation

/// A dataset in OGBench's format, opened and checked as far as headers and `terminals` go: one `.npz` file, or a
/// directory of them (shards).
///
/// Members: `observations` (rows, O), `actions` (rows, A), `terminals` (rows), and optionally `rewards` and `masks`
/// (rows), any number type. `terminals` is not zero on the last row of each episode, whose action is not used.
/// Transition i leads from row i to row i + 1 wherever `terminals[i]` is zero; episodes also end with their file.
public struct OGBenchSource: Sendable {
  /// The file or directory.
  public let path: String
  /// What the dataset needs in memory.
  public let plan: DatasetPlan
  /// Whether the files hold rewards and masks themselves.
  public let hasRewards: Bool
  let shards: [OGBenchShard]
  /// For each row of all shards: whether it is the last of its episode.
  let terminals: [Bool]

  /// Opens the file `path`, or all `.npz` files of the directory `path` in the order of their names, without those
  /// that end in `-val.npz`. Throws ``FileError`` if a member is missing or its shape or type is wrong, if
  /// shards differ in sizes, dtypes or members, or if there is no episode or no transition.
  public init(path: String) throws(FileError) {
    self.path = path
    shards = try Self.open(path)
    hasRewards = shards[0].hasRewards
    terminals = try Self.terminals(of: shards, path)
    plan = DatasetPlan(
      rows: terminals.count, observationSize: shards[0].observationSize, actionSize: shards[0].actionSize,
      transitions: terminals.count { !$0 })
  }

  /// The validation file that OGBench puts beside a dataset: `NAME-val.npz` for `NAME.npz`; for a directory, that
  /// of its first shard. Nil if there is none.
  public static func companionPath(of path: String) -> String? {
    guard let first = try? shardPaths(path).first, first.hasSuffix(".npz") else { return nil }
    let companion = String(first.dropLast(4)) + validationSuffix
    return FileManager.default.fileExists(atPath: companion) ? companion : nil
  }

  private static let validationSuffix = "-val.npz"

  private static func shardPaths(_ path: String) throws(FileError) -> [String] {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue
    else {
      return [path]
    }
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      throw FileError(.missing, file: path, reason: "the directory cannot be read")
    }
    let shards = names.filter {
      $0.hasSuffix(".npz") && !$0.hasSuffix(validationSuffix) && !$0.hasPrefix(".")
    }
    guard !shards.isEmpty else {
      throw FileError(.missing, file: path, reason: "the directory has no .npz files other than *-val.npz")
    }
    return shards.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { "\(path)/\($0)" }
  }

  private static func open(_ path: String) throws(FileError) -> [OGBenchShard] {
    var shards: [OGBenchShard] = []
    for path in try shardPaths(path) {
      let shard = try OGBenchShard(path: path)
      if let first = shards.first { try shard.checkAgreement(with: first) }
      shards.append(shard)
    }
    // Transitions are stored as 32-bit row numbers.
    let rows = shards.reduce(0) { $0 + $1.rows }
    guard rows <= Int(UInt32.max) else {
      throw FileError(.malformed, file: path, reason: "has \(rows) rows; at most \(UInt32.max) are supported")
    }
    return shards
  }

  private static func terminals(of shards: [OGBenchShard], _ path: String) throws(FileError) -> [Bool] {
    var terminals: [Bool] = []
    var hasEnd = false
    for shard in shards {
      let flags = try shard.file.flags("terminals")
      hasEnd = hasEnd || flags.contains(true)
      terminals += flags
      // No row follows: an unfinished episode ends here.
      terminals[terminals.count - 1] = true
    }
    guard hasEnd else {
      throw FileError(
        .malformed, file: path, member: "terminals",
        reason: "is zero everywhere: no episodes; set it to 1 on the last row of each")
    }
    guard terminals.contains(false) else {
      throw FileError(
        .malformed, file: path, member: "terminals", reason: "ends an episode on every row: no transitions")
    }
    return terminals
  }
}

/// One file of a dataset with what its headers say.
struct OGBenchShard: Sendable {
  let file: NpzFile
  let rows: Int
  let observationSize: Int
  let actionSize: Int
  let hasRewards: Bool
  private let dtypes: [String: ElementType]

  init(path: String) throws(FileError) {
    file = try NpzFile(path: path)
    let observations = try file.header("observations")
    guard observations.dtype != .uint8 else {
      throw FileError(
        .malformed, file: path, member: "observations",
        reason: "is uint8: image observations are not supported; use the state version of the dataset")
    }
    let actions = try file.header("actions")
    (rows, observationSize) = try Self.matrix(observations, "observations", path)
    let (actionRows, actionSize) = try Self.matrix(actions, "actions", path)
    guard actionRows == rows else {
      throw FileError(
        .malformed, file: path, member: "actions",
        reason: "has \(actionRows) rows where observations has \(rows)")
    }
    self.actionSize = actionSize
    hasRewards = try Self.hasRewards(file)
    var dtypes = ["observations": observations.dtype, "actions": actions.dtype]
    for name in ["terminals"] + (hasRewards ? ["rewards", "masks"] : []) {
      dtypes[name] = try Self.column(try file.header(name), rows, name, path)
    }
    self.dtypes = dtypes
  }

  private static func matrix(
    _ header: NpyHeader, _ name: String, _ path: String
  ) throws(FileError) -> (rows: Int, columns: Int) {
    guard header.shape.count == 2, header.shape[0] >= 1, header.shape[1] >= 1 else {
      throw FileError(
        .malformed, file: path, member: name,
        reason: "has shape \(header.shape); (rows, numbers per row) is needed, each at least 1")
    }
    return (header.shape[0], header.shape[1])
  }

  /// Checks that there is one number a row, (rows) or (rows, 1), and returns its type.
  private static func column(
    _ header: NpyHeader, _ rows: Int, _ name: String, _ path: String
  ) throws(FileError) -> ElementType {
    guard header.shape == [rows] || header.shape == [rows, 1] else {
      throw FileError(
        .malformed, file: path, member: name,
        reason: "has shape \(header.shape) where observations has \(rows) rows; one number a row is needed")
    }
    return header.dtype
  }

  private static func hasRewards(_ file: NpzFile) throws(FileError) -> Bool {
    let hasRewards = file.contains("rewards")
    guard hasRewards == file.contains("masks") else {
      let (present, missing) = hasRewards ? ("rewards", "masks") : ("masks", "rewards")
      throw FileError(
        .malformed, file: file.path, member: missing,
        reason: "is missing although the file has \(present); add it, one number a row, or remove \(present)")
    }
    return hasRewards
  }

  func checkAgreement(with first: OGBenchShard) throws(FileError) {
    func disagreement(_ member: String?, _ here: String, _ there: String) -> FileError {
      FileError(
        .malformed, file: file.path, member: member, reason: "\(here), but \(there) in \(first.file.path)")
    }
    guard observationSize == first.observationSize else {
      throw disagreement("observations", "has \(observationSize) numbers a row", "\(first.observationSize)")
    }
    guard actionSize == first.actionSize else {
      throw disagreement("actions", "has \(actionSize) numbers a row", "\(first.actionSize)")
    }
    guard hasRewards == first.hasRewards else {
      let words = ["no rewards and masks", "rewards and masks"]
      throw disagreement(nil, "has \(words[hasRewards ? 1 : 0])", words[first.hasRewards ? 1 : 0])
    }
    for (name, dtype) in dtypes.sorted(by: { $0.key < $1.key }) where dtype != first.dtypes[name] {
      throw disagreement(name, "is \(dtype)", "\(first.dtypes[name]!)")
    }
  }
}
