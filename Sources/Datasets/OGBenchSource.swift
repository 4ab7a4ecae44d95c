import ArrayFiles
import Foundation

/// A dataset in OGBench's format: one `.npz` file, or a directory of them.
///
/// Members: `observations` (rows, O), `actions` (rows, A), `terminals` (rows), 1 on the last row of each episode,
/// and optionally `rewards` and `masks` (rows). Others are not read.
public struct OGBenchSource: DatasetSource {
  public let name: String
  public let observationSize: Int
  public let actionSize: Int
  public let terminals: [Bool]
  public let hasRewards: Bool
  private let shards: [(file: NpzFile, rows: Int)]

  /// Most rows that a dataset can have: they are numbered with 32 bits.
  private static let mostRows = Int(UInt32.max)

  /// Opens the file, or all `.npz` files of the directory but those named `…-val.npz`, in the order of their
  /// names. Reads and checks headers and `terminals` only.
  public init(path: String) throws {
    name = path
    var opened: [(file: NpzFile, rows: Int)] = []
    var terminals: [Bool] = []
    var first: ShardShape?
    for file in try Self.files(path) {
      let file = try NpzFile(path: file)
      let shape = try ShardShape(file)
      if let first { try shape.requireSame(as: first, in: file) }
      first = first ?? shape
      opened.append((file, shape.rows))
      let flags = try file.flags("terminals")
      guard flags.contains(true) else {
        throw FileError(
          .malformed, file: file.path, member: "terminals",
          reason: "is 1 nowhere, so there is no episode; it is 1 on the last row of each")
      }
      terminals += flags
      guard terminals.count <= Self.mostRows else {
        throw FileError(.malformed, file: path, reason: "has more than \(Self.mostRows) rows")
      }
      // An episode does not go on in the next file.
      terminals[terminals.count - 1] = true
    }
    shards = opened
    self.terminals = terminals
    observationSize = first!.observationSize
    actionSize = first!.actionSize
    hasRewards = first!.hasRewards
    guard terminals.contains(false) else {
      throw FileError(
        .malformed, file: path, member: "terminals", reason: "is 1 on every row, so there is no transition")
    }
  }

  public func read(_ field: DatasetField, into destination: UnsafeMutableBufferPointer<Float>) throws {
    let width = destination.count / terminals.count
    var start = 0
    for shard in shards {
      let part = start * width..<(start + shard.rows) * width
      try shard.file.read(field.rawValue, into: UnsafeMutableBufferPointer(rebasing: destination[part]))
      start += shard.rows
    }
  }

  /// The validation companion that OGBench keeps beside a dataset, if it is there: `NAME-val.npz` for
  /// `NAME.npz`, the directory `NAME-val` for the directory `NAME`.
  public static func companionPath(of path: String) -> String? {
    var stem = path
    while stem.count > 1 && stem.hasSuffix("/") { stem.removeLast() }
    let companion = stem.hasSuffix(".npz") ? stem.dropLast(4) + "-val.npz" : stem + "-val"
    return FileManager.default.fileExists(atPath: companion) ? companion : nil
  }

  private static func files(_ path: String) throws -> [String] {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw FileError(.missing, file: path, reason: "no such file or directory")
    }
    guard isDirectory.boolValue else { return [path] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let shards = names.filter { $0.hasSuffix(".npz") && !$0.hasSuffix("-val.npz") }.sorted()
    guard !shards.isEmpty else {
      throw FileError(.missing, file: path, reason: "this directory holds no .npz file")
    }
    return shards.map { path + "/" + $0 }
  }
}

/// What the headers of one file say.
private struct ShardShape {
  let rows: Int
  let observationSize: Int
  let actionSize: Int
  let hasRewards: Bool

  init(_ file: NpzFile) throws {
    func refuse(_ member: String, _ reason: String) -> FileError {
      FileError(.malformed, file: file.path, member: member, reason: reason)
    }
    let observations = try file.header("observations")
    let actions = try file.header("actions")
    for (member, header) in [("observations", observations), ("actions", actions)] {
      guard header.shape.count == 2, header.shape[1] >= 1 else {
        throw refuse(member, "has shape \(header.shape); it must be (rows, features)")
      }
      guard [.float16, .float32, .float64].contains(header.dtype) else {
        throw refuse(member, "has dtype \(header.dtype); only floating point is supported, no images")
      }
    }
    rows = observations.shape[0]
    guard rows >= 1 else { throw refuse("observations", "has no rows") }
    guard actions.shape[0] == rows else {
      throw refuse("actions", "has \(actions.shape[0]) rows, but observations has \(rows)")
    }
    observationSize = observations.shape[1]
    actionSize = actions.shape[1]
    for member in ["terminals", "rewards", "masks"] where member == "terminals" || file.contains(member) {
      let header = try file.header(member)
      guard header.count == rows, header.shape.count == 1 || header.shape == [rows, 1] else {
        throw refuse(member, "has shape \(header.shape); it must be one number for each of the \(rows) rows")
      }
    }
    hasRewards = file.contains("rewards")
    guard hasRewards == file.contains("masks") else {
      throw refuse(
        hasRewards ? "masks" : "rewards", "is missing: rewards and masks come together or not at all")
    }
  }

  func requireSame(as other: ShardShape, in file: NpzFile) throws {
    guard observationSize == other.observationSize, actionSize == other.actionSize,
      hasRewards == other.hasRewards
    else {
      throw FileError(
        .malformed, file: file.path,
        reason:
          "has observations of \(observationSize), actions of \(actionSize) and \(hasRewards ? "" : "no ")rewards, unlike the files before it"
      )
    }
  }
}
