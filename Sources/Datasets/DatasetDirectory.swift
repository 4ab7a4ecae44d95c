import ArrayFiles
import Basics
import Foundation

/// A dataset in the project's own format: a directory with one uncompressed `.npy` file for each field and a
/// manifest.
///
///     manifest.json                        fields, statistics, digests, provenance
///     observations.npy (rows, O) float32   every state of an episode, including the final one;
///                                          images are (rows, height, width, 3) uint8
///     actions.npy (rows, A) float32        in ±(1 − 1e-5)
///     rewards.npy, masks.npy (rows)        float32
///     terminals.npy (rows)                 bool; true on the last row of each episode
///     validation/                          a dataset directory of validation data, if there are any
///
/// Row i starts a transition to row i + 1 wherever `terminals[i]` is false. Whoever makes a directory renames
/// it into place only when it is complete; it is read as untrusted input nevertheless.
public struct DatasetDirectory: DatasetSource {
  /// The path of the directory.
  public let path: String
  /// The sizes of the dataset, from the manifest.
  public let plan: DatasetPlan
  public var provenance: [String: String] { manifest.provenance }
  public var observationOrder: [String]? { manifest.observationOrder }
  public var scales: DataScales? { manifest.scales }
  private let manifest: DatasetManifest
  private let files: [DatasetField: NpyFile]

  /// Whether `path` is a directory with a manifest. The other files are not looked at.
  public static func exists(at path: String) -> Bool {
    FileManager.default.fileExists(atPath: "\(path)/\(DatasetManifest.fileName)")
  }

  /// Opens the directory and checks the types and shapes of its files against the manifest. Throws
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
      file.header.dtype == field.dtype(manifest.plan.observation)
    else {
      throw FileError(
        .malformed, file: file.path,
        reason:
          "is \(file.header.dtype) of shape \(file.header.shape), not what the manifest says; import again")
    }
    return file
  }

  /// The path of the validation data of the dataset at `path`; nil if there are none.
  ///
  /// - Throws: `FileError` when there is something else in their place.
  public static func validationPath(of path: String) throws(FileError) -> String? {
    let validation = "\(path)/\(validationName)"
    if exists(at: validation) { return validation }
    guard FileManager.default.fileExists(atPath: validation) else { return nil }
    throw FileError(
      .malformed, file: validation,
      reason: "has no \(DatasetManifest.fileName): copy the dataset again, or remove this from it")
  }

  /// The name of the subdirectory that holds a dataset's validation data.
  public static let validationName = "validation"

  /// The statistics, as the manifest gives them.
  public func survey() -> DatasetStatistics { manifest.statistics }

  public var statedStatistics: DatasetStatistics? { manifest.statistics }

  public func forEachBlock(
    _ body: (_ rows: RowBlock, _ file: String, _ first: Int) throws(FileError) -> Void
  ) throws(FileError) {
    let block = RowBlock(observation: plan.observation, actionSize: plan.actionSize)
    for first in stride(from: 0, to: plan.rows, by: block.capacity) {
      block.rows = min(block.capacity, plan.rows - first)
      for field in DatasetField.allCases {
        let bytes = block.bytes(of: field)
        let width = file(field).header.count / plan.rows
        try file(field).read(from: first * width, into: bytes)
      }
      try body(block, path, first)
    }
  }

  // MARK: Into memory

  /// Reads all fields into `block` and checks every byte against the manifest's digests.
  public func load(into block: UnsafeMutableRawBufferPointer) throws(FileError) -> DatasetStatistics {
    var memory = DatasetMemory(plan, block)
    for field in DatasetField.allCases where field != .terminals {
      let values = memory.bytes(of: field)
      try verify(field) { (bytes) throws(FileError) in
        try file(field).read(
          from: bytes.lowerBound / file(field).header.dtype.size,
          into: UnsafeMutableRawBufferPointer(rebasing: values[bytes]))
        return UnsafeRawBufferPointer(rebasing: values[bytes])
      }
    }
    try readIndex(&memory.index)
    return manifest.statistics
  }

  /// Reads all files and compares their digests with the manifest's. Throws ``FileError``.
  public func verify() throws(FileError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.piece, alignment: 64)
    defer { buffer.deallocate() }
    for field in DatasetField.allCases {
      try verify(field) { (bytes) throws(FileError) in
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes.count])
        try file(field).read(from: bytes.lowerBound / file(field).header.dtype.size, into: part)
        return UnsafeRawBufferPointer(part)
      }
    }
  }

  /// The number of bytes that are read at a time.
  private static let piece = 1 << 22

  private func file(_ field: DatasetField) -> NpyFile { files[field]! }

  /// Calls `read` with consecutive byte ranges of `field`, and compares the digest of the bytes that it
  /// returns with the manifest's.
  private func verify(
    _ field: DatasetField, _ read: (Range<Int>) throws(FileError) -> UnsafeRawBufferPointer
  ) throws(FileError) {
    let size = file(field).header.count * file(field).header.dtype.size
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
    // All of the file passes here, so its digest costs nothing more.
    try verify(.terminals) { (bytes) throws(FileError) in
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes.count])
      try file(.terminals).read(from: bytes.lowerBound, into: part)
      guard index.add(UnsafeBufferPointer(part.bindMemory(to: UInt8.self))) else { throw contradiction }
      return UnsafeRawBufferPointer(part)
    }
    guard index.isComplete else { throw contradiction }
  }

  // MARK: Row by row

  /// The bytes of the episode index that ``transitions(index:)`` needs.
  public var indexByteCount: Int { EpisodeIndex.byteCount(episodes: plan.episodes) }

  /// Writes the episode index to `block`, which must have at least ``indexByteCount`` bytes and start at a
  /// multiple of 8. Throws ``FileError``.
  public func loadIndex(into block: UnsafeMutableRawBufferPointer) throws(FileError) {
    precondition(block.count >= indexByteCount, "the block is smaller than the index")
    var index = EpisodeIndexBuilder(block.baseAddress!, capacity: plan.episodes)
    try readIndex(&index)
  }

  /// The transitions, each read from the files when it is gathered.
  ///
  /// - Parameters:
  ///   - index: points to the episode index that ``loadIndex(into:)`` wrote.
  ///   - frames: successive rows that make an observation.
  public func transitions(index: UnsafeRawPointer, frames: Int = 1) -> TransitionFiles {
    TransitionFiles(
      plan, EpisodeIndex(index, episodes: plan.episodes), frames: frames, observations: file(.observations),
      actions: file(.actions), rewards: file(.rewards), masks: file(.masks))
  }
}
