import CZlib

/// A NumPy `.npz` file, read as untrusted input: a ZIP of `.npy` arrays, stored or deflated.
///
/// Every length, offset, shape and dtype is checked before memory is reserved; pickled objects are never read.
/// All functions throw a ``FileError`` that names the file, the member and the reason. A file may be read from
/// several threads.
public final class NpzFile: Sendable {
  /// The path it was opened by.
  public let path: String
  /// The names of the arrays, without `.npy`, in the order of the file.
  public let memberNames: [String]

  private let file: RandomAccessFile
  private let members: [String: ZipMember]

  /// Opens the file at `path` and reads its directory, not its arrays.
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

  /// Element type and shape of the array `name`; the array itself is not read.
  public func header(_ name: String) throws(FileError) -> NpyHeader { try openArray(name).header }

  /// The elements of `name` in C order as Float. Wider types are rounded.
  public func floats(_ name: String) throws(FileError) -> [Float] {
    let (header, stream) = try openArray(name)
    var values = [Float](repeating: 0, count: header.count)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try fill(buffer, from: stream, header)
    }
    return values
  }

  /// The elements of `name` in C order as Double. 64-bit integers are rounded.
  public func doubles(_ name: String) throws(FileError) -> [Double] {
    let (header, stream) = try openArray(name)
    var values = [Double](repeating: 0, count: header.count)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      if header.dtype == .float64 {
        try stream.read(into: UnsafeMutableRawBufferPointer(buffer))
      } else {
        try forEachChunk(of: stream, header) { convert($0, header.dtype, to: buffer.baseAddress! + $1) }
      }
    }
    try stream.finish()
    return values
  }

  /// Unpacks `name` into `destination`, which has exactly as many elements, converting on the way; no second
  /// copy of the array is made.
  public func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws(FileError) {
    let (header, stream) = try openArray(name)
    guard header.count == destination.count else {
      throw .malformed(path, name, "has \(header.count) elements where \(destination.count) are expected")
    }
    try fill(destination, from: stream, header)
  }

  /// The elements of `name` as truth values: everything but zero is true. NaN is refused.
  public func flags(_ name: String) throws(FileError) -> [Bool] {
    let (header, stream) = try openArray(name)
    var flags = [Bool](repeating: false, count: header.count)
    var hasNaN = false
    let numbers = UnsafeMutablePointer<Double>.allocate(capacity: Self.chunk)
    defer { numbers.deallocate() }
    try forEachChunk(of: stream, header) { bytes, start in
      convert(bytes, header.dtype, to: numbers)
      for index in 0..<bytes.count / header.dtype.size {
        flags[start + index] = numbers[index] != 0
        hasNaN = hasNaN || numbers[index].isNaN
      }
    }
    try stream.finish()
    guard !hasNaN else { throw .malformed(path, name, "contains NaN where yes or no is expected") }
    return flags
  }

  // MARK: Streaming

  /// Elements converted at a time.
  private static let chunk = 32_768

  private func fill(
    _ destination: UnsafeMutableBufferPointer<Float>, from stream: ZipMemberStream, _ header: NpyHeader
  ) throws(FileError) {
    if header.dtype == .float32 {
      try stream.read(into: UnsafeMutableRawBufferPointer(destination))
    } else {
      try forEachChunk(of: stream, header) { convert($0, header.dtype, to: destination.baseAddress! + $1) }
    }
    try stream.finish()
  }

  /// Calls `body` with the bytes of each chunk and the index of its first element.
  private func forEachChunk(
    of stream: ZipMemberStream, _ header: NpyHeader, _ body: (UnsafeRawBufferPointer, Int) -> Void
  ) throws(FileError) {
    let width = header.dtype.size
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk * width, alignment: 16)
    defer { buffer.deallocate() }
    for start in stride(from: 0, to: header.count, by: Self.chunk) {
      let count = min(Self.chunk, header.count - start)
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(count * width)])
      try stream.read(into: part)
      body(UnsafeRawBufferPointer(part), start)
    }
  }

  /// The header of `name` and a stream that stands at its first element; the header's claim and the member's
  /// size have been found to agree.
  private func openArray(_ name: String) throws(FileError) -> (header: NpyHeader, stream: ZipMemberStream) {
    guard let member = members[name] else {
      let names = memberNames.prefix(12).map { printable($0, limit: 32) }.joined(separator: ", ")
      throw .malformed(path, name, "is not in the file, which has: \(names)")
    }
    let stream = try ZipMemberStream(file, member)
    let header = try readHeader(stream, name)
    guard header.byteCount == stream.remaining else {
      throw .malformed(
        path, name,
        "\(header.dtype) of shape \(describe(shape: header.shape)) does not fit \(stream.remaining) bytes of data"
      )
    }
    return (header, stream)
  }

  private func readHeader(_ stream: ZipMemberStream, _ name: String) throws(FileError) -> NpyHeader {
    let notAnArray = FileError.malformed(path, name, "is not a NumPy array")
    guard stream.remaining >= 10 else { throw notAnArray }
    let start = try take(8, from: stream)
    guard start.starts(with: [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]) else { throw notAnArray }
    guard (1...3).contains(start[6]), start[7] == 0 else {
      throw .malformed(path, name, "has NumPy format version \(start[6]).\(start[7]); 1.0 to 3.0 are read")
    }
    let field = try take(start[6] == 1 ? 2 : 4, from: stream)
    let length = field.reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= longestNpyHeader, length <= stream.remaining else {
      throw .malformed(path, name, "claims an array header of \(length) bytes")
    }
    var parser = NpyHeaderParser(try take(length, from: stream))
    do throws(NpyHeaderParser.Refusal) {
      return try parser.parse(dataOffset: 8 + field.count + length)
    } catch {
      throw .malformed(path, name, error.reason)
    }
  }

  private func take(_ count: Int, from stream: ZipMemberStream) throws(FileError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try stream.read(into: UnsafeMutableRawBufferPointer(buffer))
    }
    return bytes
  }
}
