import Basics
import CZlib

/// A NumPy `.npz` file, read as untrusted input: a ZIP archive of `.npy` arrays, stored or deflated.
///
/// Every length, offset, shape and dtype is checked before memory is reserved; pickled objects are never
/// read. All functions throw a ``FileError`` that names the file, the member and the reason. Several threads
/// may read the same file.
public final class NpzFile: Sendable {
  /// The path of the file, as given to ``init(path:)``.
  public let path: String
  /// The names of the arrays, without `.npy`, in the order of the archive's directory.
  public let memberNames: [String]

  private let file: RandomAccessFile
  private let members: [String: ZipMember]

  /// Opens the file at `path` and reads the archive's directory, but none of the arrays.
  public init(path: String) throws(FileError) {
    let file = try RandomAccessFile(path: path)
    let arrays = try ZipDirectory.members(of: file).filter { $0.name.hasSuffix(".npy") }
    self.path = path
    self.file = file
    memberNames = arrays.map(memberName)
    members = Dictionary(uniqueKeysWithValues: arrays.map { (memberName($0), $0) })
  }

  /// Whether there is an array called `name`.
  public func contains(_ name: String) -> Bool { members[name] != nil }

  /// The element type and shape of the array `name`; the array itself is not read.
  public func header(_ name: String) throws(FileError) -> NpyHeader { try openArray(name).header }

  /// The elements of the array `name` in C order, converted to Float. Values of wider types are rounded.
  public func floats(_ name: String) throws(FileError) -> [Float] {
    let reader = try reader(name)
    var values = [Float](repeating: 0, count: reader.header.count)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in try reader.read(into: buffer) }
    return values
  }

  /// The elements of the array `name` in C order, converted to Double. 64-bit integers are rounded.
  public func doubles(_ name: String) throws(FileError) -> [Double] {
    let reader = try reader(name)
    var values = [Double](repeating: 0, count: reader.header.count)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in try reader.read(into: buffer) }
    return values
  }

  /// Unpacks the array `name` into `destination`, which must have exactly as many elements, and converts them
  /// to Float. The array is not held in memory a second time.
  public func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws(FileError) {
    let reader = try reader(name)
    guard reader.header.count == destination.count else {
      throw .malformed(
        path, name, "has \(reader.header.count) elements where \(destination.count) are expected")
    }
    try reader.read(into: destination)
  }

  /// A reader that yields the elements of the array `name` in chunks.
  public func reader(_ name: String) throws(FileError) -> NpzArrayReader {
    let (header, stream) = try openArray(name)
    return try NpzArrayReader(header, stream)
  }

  /// The header of the array `name` and a stream positioned at its first element. The header's size is known
  /// to agree with that of the archive's member.
  private func openArray(_ name: String) throws(FileError) -> (header: NpyHeader, stream: ZipMemberStream) {
    guard let member = members[name] else {
      let names = memberNames.prefix(12).map { printable($0, limit: 32) }.joined(separator: ", ")
      throw .malformed(path, name, "is not in the file, which has: \(names)")
    }
    let stream = try ZipMemberStream(file, member)
    let header = try NpyHeader.read(path, name, size: stream.remaining) { (count) throws(FileError) in
      var bytes = [UInt8](repeating: 0, count: count)
      try bytes.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
        try stream.read(into: UnsafeMutableRawBufferPointer(buffer))
      }
      return bytes
    }
    return (header, stream)
  }
}

/// Reads the elements of one array of an ``NpzFile``, from first to last, in chunks of any size.
///
/// The read that reaches the last element also checks the checksum of the whole array.
public final class NpzArrayReader {
  /// Element type and shape of the whole array.
  public let header: NpyHeader
  /// The number of elements that have not been read.
  public private(set) var remaining: Int

  private let stream: ZipMemberStream
  /// A buffer for elements before their conversion.
  private let chunk: UnsafeMutableRawBufferPointer
  private static let chunkElements = 32_768

  init(_ header: NpyHeader, _ stream: ZipMemberStream) throws(FileError) {
    self.header = header
    self.stream = stream
    remaining = header.count
    let elements = min(header.count, Self.chunkElements)
    chunk = .allocate(byteCount: max(elements, 1) * header.dtype.size, alignment: 16)
    if remaining == 0 { try stream.finish() }
  }

  deinit { chunk.deallocate() }

  /// Fills `destination` with the next elements, at most ``remaining``, converted to Float. Values of wider
  /// types are rounded. Throws ``FileError``.
  public func read(into destination: UnsafeMutableBufferPointer<Float>) throws(FileError) {
    if header.dtype == .float32 {
      try take(destination.count, UnsafeMutableRawBufferPointer(destination))
    } else {
      try forEachChunk(destination.count) { convert($0, header.dtype, to: destination.baseAddress! + $1) }
    }
  }

  /// Fills `destination` with the next elements, at most ``remaining``, which must be bytes: `uint8`. Throws
  /// ``FileError``.
  public func read(into destination: UnsafeMutableBufferPointer<UInt8>) throws(FileError) {
    precondition(header.dtype == .uint8, "not an array of bytes")
    try take(destination.count, UnsafeMutableRawBufferPointer(destination))
  }

  /// Fills `destination` with the next elements, at most ``remaining``, converted to Double. 64-bit integers
  /// are rounded. Throws ``FileError``.
  public func read(into destination: UnsafeMutableBufferPointer<Double>) throws(FileError) {
    if header.dtype == .float64 {
      try take(destination.count, UnsafeMutableRawBufferPointer(destination))
    } else {
      try forEachChunk(destination.count) { convert($0, header.dtype, to: destination.baseAddress! + $1) }
    }
  }

  /// Reads the next `count` elements in chunks and calls `body` with the bytes of each chunk and the index of
  /// its first element, counted from 0 at the start of this call.
  private func forEachChunk(
    _ count: Int, _ body: (UnsafeRawBufferPointer, Int) -> Void
  ) throws(FileError) {
    for start in stride(from: 0, to: count, by: Self.chunkElements) {
      let elements = min(Self.chunkElements, count - start)
      let part = UnsafeMutableRawBufferPointer(rebasing: chunk[..<(elements * header.dtype.size)])
      try take(elements, part)
      body(UnsafeRawBufferPointer(part), start)
    }
  }

  private func take(_ elements: Int, _ bytes: UnsafeMutableRawBufferPointer) throws(FileError) {
    precondition(elements <= remaining, "more elements than there are")
    guard elements > 0 else { return }
    try stream.read(into: bytes)
    remaining -= elements
    if remaining == 0 { try stream.finish() }
  }
}
