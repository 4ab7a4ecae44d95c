import CZlib

/// A safetensors file, read as untrusted input: a JSON header and raw little-endian tensors.
///
/// Opening the file checks the whole header. All functions throw a ``FileError`` that names the file, the
/// tensor and the reason. Several threads may read the same file.
public final class SafetensorsFile: Sendable {
  /// The path of the file, as given to ``init(path:)``.
  public let path: String
  /// The `__metadata__` strings, without the checksums that ``SafetensorsWriter`` adds.
  public let metadata: [String: String]
  /// The tensors by name.
  public let tensors: [String: SafetensorsTensor]

  /// The checksum of the whole file, as it says itself; nil if it does not.
  public var checksum: String? { checksums[checksumKey] }

  private static let longestHeader = 100_000_000
  private let file: RandomAccessFile
  /// The bytes in front of the tensors, of which metadata and tensors were read.
  private let header: [UInt8]
  private let checksums: [String: String]
  /// The byte range of the whole file's checksum; nil if the file has none.
  private let checksumRange: Range<Int>?

  /// Opens the file at `path` and checks its header.
  public init(path: String) throws(FileError) {
    let file = try RandomAccessFile(path: path)
    guard file.size >= 8 else { throw .malformed(path, nil, "is too short to be a safetensors file") }
    let field = try file.bytes(at: 0, count: 8)
    let length = field.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= Self.longestHeader, length <= file.size - 8 else {
      throw .malformed(path, nil, "claims a header of \(length) bytes: not a safetensors file or cut short")
    }
    let offset = 8 + Int(length)
    let bytes = try file.bytes(at: 8, count: Int(length))
    let header = try Self.parse(bytes, offset, file)
    self.path = path
    self.file = file
    self.header = field + bytes
    tensors = header.tensors
    metadata = header.metadata.filter { !isChecksumKey($0.key) }.mapValues(\.text)
    checksums = header.metadata.filter { isChecksumKey($0.key) }.mapValues(\.text)
    checksumRange = header.metadata[checksumKey].map { 8 + $0.range.lowerBound..<8 + $0.range.upperBound }
  }

  private static func parse(
    _ bytes: [UInt8], _ dataOffset: Int, _ file: RandomAccessFile
  ) throws(FileError) -> SafetensorsHeader {
    do throws(SafetensorsHeader.Refusal) {
      return try SafetensorsHeader(bytes, dataOffset: dataOffset, fileSize: file.size)
    } catch {
      throw .malformed(file.path, error.tensor, error.reason)
    }
  }

  /// The elements of the tensor `name` in C order, converted to Float. Values of wider types are rounded.
  public func floats(_ name: String) throws(FileError) -> [Float] {
    var values = [Float](repeating: 0, count: try tensor(name).count)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in try read(name, into: buffer) }
    return values
  }

  /// Reads the tensor `name` into `destination`, which must have exactly as many elements, and converts them
  /// to Float. If the file has a checksum of the tensor, it must be that of the very bytes that were read.
  public func read(_ name: String, into destination: UnsafeMutableBufferPointer<Float>) throws(FileError) {
    let tensor = try tensor(name)
    guard tensor.count == destination.count else {
      throw .malformed(path, name, "has \(tensor.count) elements where \(destination.count) are expected")
    }
    var checksum: UInt = 0
    if tensor.dtype == .float32 {
      let bytes = UnsafeMutableRawBufferPointer(destination)
      try file.read(at: tensor.byteRange.lowerBound, into: bytes)
      checksum = crc32_z(0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
    } else {
      try forEachChunk(of: tensor.byteRange) { bytes, start in
        checksum = crc32_z(checksum, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), bytes.count)
        convert(bytes, tensor.dtype, to: destination.baseAddress! + start / tensor.dtype.size)
      }
    }
    if let expected = checksums[checksumKey(of: name)] { try requireEqual(checksum, expected, name) }
  }

  /// Checks all checksums. Throws for the first damaged tensor in the order of the file, for a damaged
  /// header, and for a file that ``SafetensorsWriter`` did not write.
  ///
  /// - Parameter requiresFinite: whether a number that is not finite counts as damage, too.
  public func verify(requiresFinite: Bool = false) throws(FileError) {
    guard let checksumRange, checksumRange.count == 8 else { throw .malformed(path, nil, "has no checksum") }
    var header = header
    header.replaceSubrange(checksumRange, with: repeatElement(UInt8(ascii: "0"), count: 8))
    var whole = crc32_z(0, header, header.count)
    let order = tensors.sorted { $0.value.byteRange.lowerBound < $1.value.byteRange.lowerBound }
    for (name, tensor) in order {
      var (checksum, areFinite) = (UInt(0), true)
      try forEachChunk(of: tensor.byteRange) { bytes, _ in
        checksum = crc32_z(checksum, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), bytes.count)
        if requiresFinite { areFinite = areFinite && Self.areFinite(bytes, tensor.dtype) }
      }
      try requireEqual(checksum, checksums[checksumKey(of: name)], name)
      guard areFinite else {
        throw .malformed(
          path, name,
          "has numbers that are not finite: the file is damaged or not fan-dist's; take another checkpoint")
      }
      whole = crc32_combine(whole, checksum, tensor.byteRange.count)
    }
    guard checksums[checksumKey] == hexadecimal(whole, digits: 8) else {
      throw .malformed(path, nil, "is damaged: the file's checksum (CRC-32) is wrong, its tensors' are right")
    }
  }

  /// Whether elements are finite as Float.
  private static func areFinite(_ bytes: UnsafeRawBufferPointer, _ dtype: ElementType) -> Bool {
    guard dtype != .float32 else { return bytes.bindMemory(to: Float.self).allSatisfy(\.isFinite) }
    let values = [Float](unsafeUninitializedCapacity: bytes.count / dtype.size) { buffer, count in
      convert(bytes, dtype, to: buffer.baseAddress!)
      count = buffer.count
    }
    return values.allSatisfy(\.isFinite)
  }

  private func requireEqual(_ checksum: UInt, _ expected: String?, _ name: String) throws(FileError) {
    guard expected == hexadecimal(checksum, digits: 8) else {
      throw .malformed(path, name, "is damaged: its checksum (CRC-32) is wrong")
    }
  }

  private func tensor(_ name: String) throws(FileError) -> SafetensorsTensor {
    guard let tensor = tensors[name] else { throw .malformed(path, name, "is not in the file") }
    return tensor
  }

  /// Reads the bytes of `range` in chunks and calls `body` with each chunk and its offset from the start of
  /// `range`.
  private func forEachChunk(
    of range: Range<Int>, _ body: (UnsafeRawBufferPointer, Int) -> Void
  ) throws(FileError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    for offset in stride(from: 0, to: range.count, by: buffer.count) {
      let count = min(buffer.count, range.count - offset)
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try file.read(at: range.lowerBound + offset, into: part)
      body(UnsafeRawBufferPointer(part), offset)
    }
  }
}

/// The metadata key of the whole file's CRC-32. The checksum is computed with zeros in place of its own eight
/// digits.
let checksumKey = "crc32"

/// The metadata key of one tensor's CRC-32.
func checksumKey(of tensor: String) -> String { "crc32/" + tensor }

func isChecksumKey(_ key: String) -> Bool { key == checksumKey || key.hasPrefix("crc32/") }
