import CZlib

/// Writes a NumPy `.npz` file: arrays in NPY format 1.0, C order, deflated.
///
/// The same arrays in the same order give the same bytes: all times are 1980-01-01 and the compression level
/// is fixed. Arrays are compressed straight into a temporary file beside the target, which ``finish()`` syncs
/// and renames. If ``finish()`` is not called, nothing appears. All functions throw ``FileError`` of kind
/// `.unwritable`.
public final class NpzWriter {
  private let file: AtomicFile
  private var members: [Member] = []
  private var position = 0

  private struct Member {
    let name: [UInt8]
    let headerOffset: Int
    let size: Int
    let isLarge: Bool
    var compressedSize = 0
    var checksum: UInt = 0
  }

  /// Starts the file that will appear at `path`.
  public init(path: String) throws(FileError) { file = try AtomicFile(path: path) }

  /// Adds the array `name`, which must not have been added before. `shape` must have as many elements as
  /// `values`; nil means one dimension.
  public func add(_ name: String, _ values: [Float], shape: [Int]? = nil) throws(FileError) {
    try add(name, array: values, .float32, shape)
  }

  /// Adds an array of Double; names and shapes as for Float.
  public func add(_ name: String, _ values: [Double], shape: [Int]? = nil) throws(FileError) {
    try add(name, array: values, .float64, shape)
  }

  /// Adds an array of truth values; names and shapes as for Float.
  public func add(_ name: String, _ values: [Bool], shape: [Int]? = nil) throws(FileError) {
    try add(name, array: values, .bool, shape)
  }

  /// Adds an array of 8-bit integers; names and shapes as for Float.
  public func add(_ name: String, _ values: [Int8], shape: [Int]? = nil) throws(FileError) {
    try add(name, array: values, .int8, shape)
  }

  /// Adds an array of unsigned 8-bit integers; names and shapes as for Float.
  public func add(_ name: String, _ values: [UInt8], shape: [Int]? = nil) throws(FileError) {
    try add(name, array: values, .uint8, shape)
  }

  /// Adds an array of 32-bit integers; names and shapes as for Float.
  public func add(_ name: String, _ values: [Int32], shape: [Int]? = nil) throws(FileError) {
    try add(name, array: values, .int32, shape)
  }

  /// Adds an array of 64-bit integers; names and shapes as for Float.
  public func add(_ name: String, _ values: [Int64], shape: [Int]? = nil) throws(FileError) {
    try add(name, array: values, .int64, shape)
  }

  /// Adds an array of Float from memory that the caller owns; names and shapes as above.
  public func add(_ name: String, _ values: UnsafeBufferPointer<Float>, shape: [Int]? = nil) throws(FileError)
  {
    try add(name, values, .float32, shape)
  }

  /// Completes the file and makes it appear under its name. Nothing can be added afterwards.
  public func finish() throws(FileError) {
    let directory = position
    for member in members { try append(Self.directoryEntry(member)) }
    try append(Self.endRecords(members: members.count, start: directory, end: position))
    try file.synchronize()
    try file.commit()
  }

  // MARK: Arrays

  private func add<Element>(
    _ name: String, array: [Element], _ type: ElementType, _ shape: [Int]?
  ) throws(FileError) {
    try array.withUnsafeBufferPointer { (values) throws(FileError) in try add(name, values, type, shape) }
  }

  private func add<Element>(
    _ name: String, _ values: UnsafeBufferPointer<Element>, _ type: ElementType, _ shape: [Int]?
  ) throws(FileError) {
    try add(name, type, shape: shape ?? [values.count]) { (append) throws(FileError) in
      try append(UnsafeRawBufferPointer(values))
    }
  }

  /// Adds an array that need not be in memory as a whole; names as for Float.
  ///
  /// - Parameter fill: calls its argument with the bytes of the elements, piece by piece.
  public func add(
    _ name: String, _ type: ElementType, shape: [Int],
    _ fill: (_ append: (UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) -> Void
  ) throws(FileError) {
    guard let count = elementCount(shape: shape) else { preconditionFailure("\(name): no such shape") }
    let fileName = Array("\(name).npy".utf8)
    precondition(
      fileName.count <= 0xFFFF && !members.contains { $0.name == fileName }, "\(name): added twice")
    let header = NpyHeader.bytes(type, shape)
    let size = header.count + count * type.size
    // Deflate lengthens incompressible data by a few bytes in a thousand, so leave that much room below 4
    // GiB.
    var member = Member(name: fileName, headerOffset: position, size: size, isLarge: size > 0xFF00_0000)
    position += Self.localHeader(member).count
    let deflater = Deflater { [self] (bytes) throws(FileError) in
      try file.write(bytes, at: position)
      position += bytes.count
    }
    try header.withUnsafeBufferPointer { (bytes) throws(FileError) in
      try deflater.add(UnsafeRawBufferPointer(bytes))
    }
    var added = header.count
    try fill { (bytes) throws(FileError) in
      added += bytes.count
      try deflater.add(bytes)
    }
    precondition(added == size, "\(name): the shape does not fit the values")
    try deflater.finish()
    member.compressedSize = deflater.produced
    member.checksum = deflater.checksum
    try file.write(Self.localHeader(member), at: member.headerOffset)
    members.append(member)
  }

  private func append(_ bytes: [UInt8]) throws(FileError) {
    try file.write(bytes, at: position)
    position += bytes.count
  }

  // MARK: ZIP records (APPNOTE.TXT 4.3)

  private static func localHeader(_ member: Member) -> [UInt8] {
    let sizes = [member.size, member.compressedSize]
    let extra = member.isLarge ? zip64Field(sizes) : []
    return little(UInt32(0x0403_4B50)) + common(member, isLarge: member.isLarge)
      + little(UInt16(member.name.count)) + little(UInt16(extra.count)) + member.name + extra
  }

  private static func directoryEntry(_ member: Member) -> [UInt8] {
    let isFar = member.headerOffset >= 0xFFFF_FFFF
    let large =
      (member.isLarge ? [member.size, member.compressedSize] : []) + (isFar ? [member.headerOffset] : [])
    let extra = large.isEmpty ? [] : zip64Field(large)
    return little(UInt32(0x0201_4B50)) + little(version(isLarge: !extra.isEmpty))
      + common(member, isLarge: member.isLarge, needs: version(isLarge: !extra.isEmpty))
      + little(UInt16(member.name.count)) + little(UInt16(extra.count))
      + [UInt8](repeating: 0, count: 10)  // comment length, disk, attributes
      + little(isFar ? UInt32.max : UInt32(member.headerOffset)) + member.name + extra
  }

  /// The fields that the local header and the directory entry share, from the version needed to the unpacked
  /// size.
  private static func common(_ member: Member, isLarge: Bool, needs: UInt16? = nil) -> [UInt8] {
    // Bit 11 declares the name to be UTF-8. It is left out for ASCII names, which are the same bytes either
    // way.
    let flags: UInt16 = member.name.allSatisfy { $0 < 0x80 } ? 0 : 0x0800
    let deflate: UInt16 = 8
    let midnight: UInt16 = 0
    let firstOfJanuary1980: UInt16 = 1 << 5 | 1
    return little(needs ?? version(isLarge: isLarge)) + little(flags) + little(deflate) + little(midnight)
      + little(firstOfJanuary1980) + little(UInt32(truncatingIfNeeded: member.checksum))
      + little(isLarge ? UInt32.max : UInt32(member.compressedSize))
      + little(isLarge ? UInt32.max : UInt32(member.size))
  }

  private static func version(isLarge: Bool) -> UInt16 { isLarge ? 45 : 20 }

  private static func zip64Field(_ values: [Int]) -> [UInt8] {
    little(UInt16(1)) + little(UInt16(8 * values.count)) + values.flatMap { little(UInt64($0)) }
  }

  private static func endRecords(members: Int, start: Int, end: Int) -> [UInt8] {
    let isLarge = members >= 0xFFFF || end >= 0xFFFF_FFFF
    let count = isLarge ? UInt16.max : UInt16(members)
    return (isLarge ? zip64EndRecords(members: members, start: start, end: end) : [])
      + little(UInt32(0x0605_4B50)) + [0, 0, 0, 0] + little(count) + little(count)
      + little(isLarge ? UInt32.max : UInt32(end - start)) + little(isLarge ? UInt32.max : UInt32(start))
      + [0, 0]
  }

  private static func zip64EndRecords(members: Int, start: Int, end: Int) -> [UInt8] {
    let count = little(UInt64(members))
    return little(UInt32(0x0606_4B50)) + little(UInt64(44)) + little(UInt16(45)) + little(UInt16(45))
      + [UInt8](repeating: 0, count: 8) + count + count + little(UInt64(end - start)) + little(UInt64(start))
      + little(UInt32(0x0706_4B50)) + [0, 0, 0, 0] + little(UInt64(end)) + little(UInt32(1))
  }
}

/// The bytes of `value`, least significant first.
func little<T: FixedWidthInteger & UnsignedInteger>(_ value: T) -> [UInt8] {
  (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
}

/// Compresses bytes with raw deflate at a fixed level through a buffer of fixed size, and computes the CRC-32
/// of the uncompressed bytes.
private final class Deflater {
  private(set) var produced = 0
  private(set) var checksum: UInt = 0
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
  private let write: (UnsafeRawBufferPointer) throws(FileError) -> Void

  /// `write` receives the compressed bytes in order.
  init(write: @escaping (UnsafeRawBufferPointer) throws(FileError) -> Void) {
    self.write = write
    stream.initialize(to: z_stream())
    let size = Int32(MemoryLayout<z_stream>.size)
    guard deflateInit2_(stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK else {
      fatalError("zlib cannot be initialised: out of memory or incompatible with its header")
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
    output.deallocate()
  }

  func add(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    for start in stride(from: 0, to: bytes.count, by: 1 << 20) {
      let part = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + 1 << 20, bytes.count)])
      let base = part.baseAddress!.assumingMemoryBound(to: UInt8.self)
      checksum = crc32_z(checksum, base, part.count)
      stream.pointee.next_in = UnsafeMutablePointer(mutating: base)
      stream.pointee.avail_in = UInt32(part.count)
      try drain(Z_NO_FLUSH)
    }
  }

  func finish() throws(FileError) { try drain(Z_FINISH) }

  /// Runs zlib until it leaves room in the output buffer, which means that it has no more output for now.
  private func drain(_ flush: Int32) throws(FileError) {
    repeat {
      stream.pointee.next_out = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(output.count)
      // Z_STREAM_ERROR means misuse. Z_BUF_ERROR only means that there was nothing to do.
      let status = deflate(stream, flush)
      precondition(status != Z_STREAM_ERROR, "zlib was misused")
      let count = output.count - Int(stream.pointee.avail_out)
      if count > 0 { try write(UnsafeRawBufferPointer(rebasing: output[..<count])) }
      produced += count
    } while stream.pointee.avail_out == 0
  }
}
