import CZlib

/// Unpacks the bytes of one ZIP member, from first to last, through a buffer of fixed size.
final class ZipMemberStream {
  private static let bufferSize = 64 << 10
  /// The bytes of output per call of zlib: few enough to be in the cache still when the checksum is computed.
  private static let step = 256 << 10

  private let file: RandomAccessFile
  private let member: ZipMember
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 16)
  // The stream is on the heap because zlib keeps a pointer to it.
  private let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private var position = 0
  private var end = 0
  private var produced = 0
  private var checksum: UInt = 0
  private var hasEnded = false

  init(_ file: RandomAccessFile, _ member: ZipMember) throws(FileError) {
    self.file = file
    self.member = member
    inflater.initialize(to: z_stream())
    // Negative window bits select raw deflate: ZIP members have no zlib header.
    guard inflateInit2_(inflater, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      fatalError("zlib cannot be initialised: out of memory or incompatible with its header")
    }
    position = try dataOffset()
    end = position + member.compressedSize
  }

  deinit {
    inflateEnd(inflater)
    inflater.deallocate()
    input.deallocate()
  }

  /// The number of unpacked bytes that have not been read.
  var remaining: Int { member.size - produced }

  private func malformed(_ reason: String) -> FileError { .malformed(file.path, memberName(member), reason) }

  /// The offset of the member's data, which follows the local header. The local header's name and extra field
  /// may have other lengths than in the central directory.
  private func dataOffset() throws(FileError) -> Int {
    let overrun = malformed("its local header is cut short")
    var header = ByteCursor(try file.bytes(at: member.headerOffset, count: 30)[...], overrun: overrun)
    guard try header.integer(UInt32.self) == 0x0403_4B50 else { throw malformed("has no local header") }
    _ = try header.take(22)
    let nameLength = try header.size(UInt16.self)
    let extraLength = try header.size(UInt16.self)
    let name = try file.bytes(at: member.headerOffset + 30, count: nameLength)
    guard name == member.nameBytes else { throw malformed("has another name in its local header") }
    let start = member.headerOffset + 30 + nameLength + extraLength
    guard start <= member.limit, member.compressedSize <= member.limit - start else {
      throw malformed("reaches into what follows it")
    }
    return start
  }

  /// Fills `destination` with the next unpacked bytes. Throws ``FileError``.
  func read(into destination: UnsafeMutableRawBufferPointer) throws(FileError) {
    guard destination.count <= remaining else { throw malformed("is too short") }
    var done = 0
    while done < destination.count {
      let count = min(Self.step, destination.count - done)
      let part = UnsafeMutableRawBufferPointer(rebasing: destination[done..<done + count])
      switch member.method {
      case .stored:
        try file.read(at: position, into: part)
        position += count
      case .deflate: try inflate(into: part)
      }
      checksum = crc32_z(checksum, part.baseAddress!.assumingMemoryBound(to: UInt8.self), count)
      done += count
    }
    produced += done
  }

  private func inflate(into part: UnsafeMutableRawBufferPointer) throws(FileError) {
    inflater.pointee.next_out = part.baseAddress!.assumingMemoryBound(to: UInt8.self)
    inflater.pointee.avail_out = UInt32(part.count)
    while inflater.pointee.avail_out > 0 {
      guard !hasEnded else { throw malformed("unpacks to fewer bytes than its directory entry says") }
      try inflateStep()
    }
  }

  private func inflateStep() throws(FileError) {
    if inflater.pointee.avail_in == 0 && position < end {
      let part = UnsafeMutableRawBufferPointer(rebasing: input[..<min(input.count, end - position)])
      try file.read(at: position, into: part)
      position += part.count
      inflater.pointee.next_in = part.baseAddress!.assumingMemoryBound(to: UInt8.self)
      inflater.pointee.avail_in = UInt32(part.count)
    }
    switch CZlib.inflate(inflater, Z_NO_FLUSH) {
    case Z_OK: break
    case Z_STREAM_END: hasEnded = true
    case Z_BUF_ERROR: throw malformed("its compressed data is cut short")
    default: throw malformed("its compressed data is damaged")
    }
  }

  /// Checks that the member's data ends where it should and that its CRC-32 is right. Call it once every byte
  /// has been read.
  func finish() throws(FileError) {
    if member.method == .deflate { try finishInflating() }
    guard UInt32(truncatingIfNeeded: checksum) == member.checksum else {
      throw malformed("its checksum (CRC-32) is wrong: the data is damaged")
    }
  }

  private func finishInflating() throws(FileError) {
    var extra: UInt8 = 0
    while !hasEnded {
      try withUnsafeMutablePointer(to: &extra) { (pointer) throws(FileError) in
        inflater.pointee.next_out = pointer
        inflater.pointee.avail_out = 1
        try inflateStep()
      }
      guard inflater.pointee.avail_out == 1 else {
        throw malformed("unpacks to more bytes than its directory entry says")
      }
    }
    guard inflater.pointee.avail_in == 0, position == end else {
      throw malformed("has bytes after its compressed data")
    }
  }
}

/// The member's name without `.npy`, as NumPy's users know it.
func memberName(_ member: ZipMember) -> String {
  member.name.hasSuffix(".npy") ? String(member.name.dropLast(4)) : member.name
}
