import ArrayFiles

/// Files that hold what a run has collected online: each what came since the one before, so that a checkpoint writes only
/// what is new.
public enum CollectedFile {
  /// What a checkpoint says about one of them.
  public struct Entry: Codable, Equatable, Sendable {
    /// The number of its first transition.
    public var first: Int
    /// How many transitions it has.
    public var count: Int
    /// The file's checksum: another file of the same name is not taken for it.
    public var checksum: String

    /// The number behind that of its last transition, which its name has.
    public var end: Int { first + count }
  }

  private static let (format, tensor) = ("fan-dist collected 1", "transitions")

  /// Whether some files follow each other and end with a transition.
  static func follow(_ files: [Entry], to collected: Int) -> Bool {
    guard files.allSatisfy({ (0...1 << 40).contains($0.first) && (1...1 << 40).contains($0.count) }) else {
      return false
    }
    return zip(files, files.dropFirst()).allSatisfy { $0.end <= $1.first }
      && files.last?.end ?? 0 == collected
  }

  /// Writes transitions, `width` numbers each.
  public static func write(
    _ rows: [Float], width: Int, first: Int, to path: String
  ) throws -> Entry {
    let count = rows.count / width
    try rows.withUnsafeBufferPointer { values in
      try SafetensorsWriter.write(
        path: path, metadata: ["format": format, "first": "\(first)"],
        tensors: [(tensor, [count, width], values)])
    }
    return Entry(first: first, count: count, checksum: try SafetensorsFile(path: path).checksum ?? "")
  }

  /// Opens a file of a checkpoint and verifies it.
  ///
  /// - Throws: `FileError` if it is missing, damaged, or another one than the checkpoint says.
  public static func open(_ path: String, _ entry: Entry) throws(FileError) -> SafetensorsFile {
    let file = try SafetensorsFile(path: path)
    try file.verify()
    guard file.checksum == entry.checksum, file.tensors[tensor]?.shape.first == entry.count else {
      throw FileError(.malformed, file: path, reason: "is not the file that the checkpoint was saved with")
    }
    return file
  }

  /// The transitions of a file, `width` numbers each.
  public static func read(_ path: String, _ entry: Entry, width: Int) throws -> [Float] {
    let file = try open(path, entry)
    guard file.tensors[tensor]?.shape == [entry.count, width] else {
      throw FileError(.malformed, file: path, reason: "has transitions of other sizes than the dataset")
    }
    return try file.floats(tensor)
  }
}
