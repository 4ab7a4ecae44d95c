import ArrayFiles
import Foundation

/// A dataset as the project keeps it: a directory with one uncompressed `.npy` file for each field and a manifest.
///
///     manifest.json                        fields, statistics, digests, where the data are from
///     observations.npy (rows, O) float32   every state of an episode, the final one too
///     actions.npy (rows, A) float32        in ±(1 − 1e-5)
///     rewards.npy, masks.npy (rows)        float32
///     terminals.npy (rows)                 bool; true on the last row of each episode
///     validation/                          the same for validation data, if there are any
///
/// Row i starts a transition to row i + 1 wherever `terminals[i]` is false. A directory is only ever renamed into
/// place when it is whole, and read as untrusted input all the same.
public struct DatasetDirectory: DatasetSource {
  /// The directory.
  public let path: String
  /// Sizes.
  public let plan: DatasetPlan
  public var provenance: [String: String] { manifest.provenance }
  private let manifest: DatasetManifest
  private let files: [DatasetField: NpyFile]

  /// Whether `path` is a dataset directory, whole or not.
  public static func exists(at path: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(path)/\(DatasetManifest.fileName)")
  }

  /// Opens the directory and checks that its files are those of its manifest as far as types and sizes go. Throws
  /// ``FileError``.
  public init(path: String) throws(FileError) {
    self.path = path
    manifest = try DatasetManifest(path: "\(path)/\(DatasetManifest.fileName)")
    plan = manifest.plan
    var files: [DatasetField: NpyFile] = [:]
    for field in DatasetField.allCases { files[field] = try Self.open(field, path, manifest) }
    self.files = files
  }

  private static func open(
    _ field: DatasetField, _ path: String, _ manifest: DatasetManifest
  ) throws(FileError) -> NpyFile {
    let file = try NpyFile(path: "\(path)/\(field.rawValue).npy")
    guard let entry = manifest.fields[field.rawValue], file.header.shape == entry.shape,
      file.header.dtype == field.dtype
    else {
      throw FileError(
        .malformed, file: file.path,
        reason:
          "is \(file.header.dtype) of shape \(file.header.shape), not what the manifest says; import again")
    }
    return file
  }

  /// The validation data that belong to the dataset at `path`; nil if there are none.
  public static func validationPath(of path: String) -> String? {
    let validation = "\(path)/\(validationName)"
    return exists(at: validation) ? validation : nil
  }

  /// The name of the directory that holds the validation data of the one it is in.
  public static let validationName = "validation"

  /// What the data look like, according to the manifest.
  public func survey() -> DatasetStatistics { manifest.statistics }

  // MARK: Into memory

  /// Puts all data into memory. Every byte is held against the manifest's digests.
  public func load(into block: UnsafeMutableRawBufferPointer) throws(FileError) -> DatasetStatistics {
    var memory = DatasetMemory(plan, block)
    for field in DatasetField.allCases where field != .terminals {
      let values = UnsafeMutableRawBufferPointer(memory.floats(of: field))
      try verify(field) { (bytes) throws(FileError) in
        try file(field).read(
          from: bytes.lowerBound / 4, into: UnsafeMutableRawBufferPointer(rebasing: values[bytes]))
        return UnsafeRawBufferPointer(rebasing: values[bytes])
      }
    }
    try readIndex(&memory.index)
    return manifest.statistics
  }

  /// Reads all files and holds them against the manifest's digests.
  public func verify() throws(FileError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.piece, alignment: 64)
    defer { buffer.deallocate() }
    for field in DatasetField.allCases {
      try verify(field) { (bytes) throws(FileError) in
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes.count])
        try file(field).read(from: bytes.lowerBound / field.dtype.size, into: part)
        return UnsafeRawBufferPointer(part)
      }
    }
  }

  /// Bytes that are read at a time.
  private static let piece = 1 << 22

  private func file(_ field: DatasetField) -> NpyFile { files[field]! }

  /// Lets `read` read a field piece by piece and compares the digest.
  private func verify(
    _ field: DatasetField, _ read: (Range<Int>) throws(FileError) -> UnsafeRawBufferPointer
  ) throws(FileError) {
    let size = file(field).header.count * field.dtype.size
    var digest = Digest()
    for start in stride(from: 0, to: size, by: Self.piece) {
      digest.update(try read(start..<min(start + Self.piece, size)))
    }
    guard digest.hex == manifest.fields[field.rawValue]?.digest else {
      throw FileError(
        .malformed, file: file(field).path,
        reason: "is damaged: its digest is not the manifest's; import again")
    }
  }

  private func readIndex(_ index: inout EpisodeIndexBuilder) throws(FileError) {
    let contradiction = FileError(
      .malformed, file: file(.terminals).path,
      reason: "does not have the manifest's \(plan.episodes) episodes; import again")
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.piece, alignment: 64)
    defer { buffer.deallocate() }
    for start in stride(from: 0, to: plan.rows, by: Self.piece) {
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(Self.piece, plan.rows - start)])
      try file(.terminals).read(from: start, into: part)
      guard index.add(UnsafeBufferPointer(part.bindMemory(to: UInt8.self))) else { throw contradiction }
    }
    guard index.isComplete else { throw contradiction }
  }

  // MARK: Row by row

  /// Bytes that ``TransitionFiles`` of this dataset needs for its episode index.
  public var indexByteCount: Int { EpisodeIndex.byteCount(episodes: plan.episodes) }

  /// Writes the episode index to `block`, which has ``indexByteCount`` bytes at a multiple of 8.
  public func loadIndex(into block: UnsafeMutableRawBufferPointer) throws(FileError) {
    precondition(block.count >= indexByteCount, "the block is smaller than the index")
    var index = EpisodeIndexBuilder(block.baseAddress!, capacity: plan.episodes)
    try readIndex(&index)
  }

  /// The transitions, read from the files as they are needed, with the index that ``loadIndex(into:)`` wrote to
  /// `index`.
  public func transitions(index: UnsafeRawPointer) -> TransitionFiles {
    TransitionFiles(
      plan, EpisodeIndex(index, episodes: plan.episodes), observations: file(.observations),
      actions: file(.actions), rewards: file(.rewards), masks: file(.masks))
  }
}
