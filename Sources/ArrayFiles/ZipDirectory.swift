/// One member of a ZIP file, as the central directory describes it.
struct ZipMember: Sendable {
  enum Method: Sendable { case stored, deflate }

  let name: String
  let nameBytes: [UInt8]
  let method: Method
  let checksum: UInt32
  /// The number of bytes that the member's data takes in the file.
  let compressedSize: Int
  /// The number of bytes when unpacked.
  let size: Int
  /// The offset of the local header in the file.
  let headerOffset: Int
  /// The offset of the next member or of the central directory. The member must end before it.
  var limit: Int
}

/// Reads the central directory of a ZIP file (APPNOTE.TXT 4.3, with ZIP64) as untrusted input.
///
/// The sizes in local headers are ignored: programs that write in one pass leave 0xFFFFFFFF or zero there.
struct ZipDirectory {
  private static let largestDirectory = 64 << 20
  private static let mostMembers = 100_000
  /// The most bytes of output that deflate gets from one byte: every 258 bytes of output take at least two
  /// bits.
  private static let deflateExpansion = 1032

  private let file: RandomAccessFile
  private var offset = 0
  private var length = 0
  private var count = 0

  /// The members of `file` in the order of the directory. Throws ``FileError``.
  static func members(of file: RandomAccessFile) throws(FileError) -> [ZipMember] {
    var directory = ZipDirectory(file: file)
    try directory.locate()
    return try directory.read()
  }

  private init(file: RandomAccessFile) { self.file = file }

  private func malformed(_ reason: String) -> FileError { .malformed(file.path, nil, reason) }

  private func malformed(_ member: String, _ reason: String) -> FileError {
    .malformed(file.path, member, reason)
  }

  // MARK: The end record

  private mutating func locate() throws(FileError) {
    let tailOffset = max(0, file.size - 22 - 65_535)
    let tail = try file.bytes(at: tailOffset, count: file.size - tailOffset)
    guard let start = Self.endRecord(in: tail) else {
      throw malformed("is not a ZIP file or is cut short: it has no end record")
    }
    var cursor = ByteCursor(tail[(start + 4)...], overrun: malformed("its end record is cut short"))
    let disk = try cursor.integer(UInt16.self)
    let directoryDisk = try cursor.integer(UInt16.self)
    let countHere = try cursor.size(UInt16.self)
    count = try cursor.size(UInt16.self)
    length = try cursor.size(UInt32.self)
    offset = try cursor.size(UInt32.self)
    var end = tailOffset + start
    if let zip64 = try locateZip64(before: end) {
      end = zip64
    } else if disk != 0 || directoryDisk != 0 || countHere != count {
      throw malformed("is split into several files")
    }
    try checkExtent(end: end)
  }

  /// The last position of an end record whose comment reaches exactly to the end of the file.
  private static func endRecord(in tail: [UInt8]) -> Int? {
    guard tail.count >= 22 else { return nil }
    return stride(from: tail.count - 22, through: 0, by: -1).first { start in
      tail[start] == 0x50 && tail[start + 1] == 0x4B && tail[start + 2] == 5 && tail[start + 3] == 6
        && Int(tail[start + 20]) + Int(tail[start + 21]) << 8 == tail.count - start - 22
    }
  }

  /// If there is a ZIP64 end record, takes the extent of the directory from it and returns its offset;
  /// otherwise nil.
  private mutating func locateZip64(before end: Int) throws(FileError) -> Int? {
    guard end >= 20 else { return nil }
    let broken = malformed("its ZIP64 end record is damaged")
    var locator = ByteCursor(try file.bytes(at: end - 20, count: 20)[...], overrun: broken)
    guard try locator.integer(UInt32.self) == 0x0706_4B50 else { return nil }
    _ = try locator.take(4)
    let start = try locator.size(UInt64.self)
    guard start <= end - 20, end - 20 - start >= 56 else { throw broken }
    var record = ByteCursor(try file.bytes(at: start, count: 56)[...], overrun: broken)
    guard try record.integer(UInt32.self) == 0x0606_4B50 else { throw broken }
    _ = try record.take(12)  // record size, versions
    let disks = try record.integer(UInt64.self)
    let countHere = try record.size(UInt64.self)
    count = try record.size(UInt64.self)
    length = try record.size(UInt64.self)
    offset = try record.size(UInt64.self)
    guard disks == 0, countHere == count else { throw malformed("is split into several files") }
    return start
  }

  private func checkExtent(end: Int) throws(FileError) {
    guard offset <= end, length <= end - offset else {
      throw malformed("its directory lies outside the file")
    }
    guard length <= Self.largestDirectory, count <= Self.mostMembers else {
      throw malformed("has too many members (\(count))")
    }
    guard count <= length / 46 else { throw malformed("its directory is too short for \(count) members") }
  }

  // MARK: The entries

  private func read() throws(FileError) -> [ZipMember] {
    let bytes = try file.bytes(at: offset, count: length)
    var cursor = ByteCursor(bytes[...], overrun: malformed("its directory is cut short"))
    var members: [ZipMember] = []
    var names: Set<String> = []
    members.reserveCapacity(count)
    for _ in 0..<count {
      let member = try entry(&cursor)
      guard names.insert(member.name).inserted else {
        throw malformed(member.name, "occurs more than once")
      }
      members.append(member)
    }
    try limitExtents(&members)
    return members
  }

  private func entry(_ cursor: inout ByteCursor) throws(FileError) -> ZipMember {
    guard try cursor.integer(UInt32.self) == 0x0201_4B50 else { throw malformed("its directory is damaged") }
    _ = try cursor.take(4)  // versions
    let flags = try cursor.integer(UInt16.self)
    let method = try cursor.integer(UInt16.self)
    _ = try cursor.take(4)  // time and date
    let checksum = try cursor.integer(UInt32.self)
    var sizes = Sizes(
      compressed: try cursor.size(UInt32.self), unpacked: try cursor.size(UInt32.self), header: 0)
    let nameLength = try cursor.size(UInt16.self)
    let extraLength = try cursor.size(UInt16.self)
    let commentLength = try cursor.size(UInt16.self)
    let disk = try cursor.integer(UInt16.self)
    _ = try cursor.take(6)  // attributes
    sizes.header = try cursor.size(UInt32.self)
    let nameBytes = Array(try cursor.take(nameLength))
    let name = String(decoding: nameBytes, as: UTF8.self)
    try readZip64(try cursor.take(extraLength), name, &sizes)
    _ = try cursor.take(commentLength)
    guard flags & 0x2041 == 0 else { throw malformed(name, "is encrypted") }
    guard disk == 0 || disk == 0xFFFF else { throw malformed(name, "is in another file of a split archive") }
    return ZipMember(
      name: name, nameBytes: nameBytes, method: try check(method, sizes, name), checksum: checksum,
      compressedSize: sizes.compressed, size: sizes.unpacked, headerOffset: sizes.header, limit: offset)
  }

  private struct Sizes {
    var compressed: Int
    var unpacked: Int
    var header: Int
  }

  /// Replaces each size that is 0xFFFFFFFF by the next number of the ZIP64 extra field (header 0x0001).
  private func readZip64(_ extra: ArraySlice<UInt8>, _ name: String, _ sizes: inout Sizes) throws(FileError) {
    var cursor = ByteCursor(extra, overrun: malformed(name, "its ZIP64 field is damaged"))
    while cursor.remaining >= 4 {
      let header = try cursor.integer(UInt16.self)
      let field = try cursor.take(try cursor.size(UInt16.self))
      guard header == 1 else { continue }
      var numbers = ByteCursor(field, overrun: malformed(name, "its ZIP64 field is damaged"))
      if sizes.unpacked == 0xFFFF_FFFF { sizes.unpacked = try numbers.size(UInt64.self) }
      if sizes.compressed == 0xFFFF_FFFF { sizes.compressed = try numbers.size(UInt64.self) }
      if sizes.header == 0xFFFF_FFFF { sizes.header = try numbers.size(UInt64.self) }
      return
    }
  }

  private func check(_ method: UInt16, _ sizes: Sizes, _ name: String) throws(FileError) -> ZipMember.Method {
    switch method {
    case 0:
      guard sizes.compressed == sizes.unpacked else {
        throw malformed(name, "is stored, but its two sizes differ")
      }
      return .stored
    case 8:
      guard sizes.unpacked / Self.deflateExpansion <= sizes.compressed else {
        throw malformed(
          name, "claims \(sizes.unpacked) bytes from \(sizes.compressed), more than deflate can expand")
      }
      return .deflate
    default:
      throw malformed(name, "uses compression method \(method); only stored and deflate are read")
    }
  }

  /// Throws if a member overlaps another or lies outside the file's data, and sets each member's `limit`.
  private func limitExtents(_ members: inout [ZipMember]) throws(FileError) {
    let order = members.indices.sorted { members[$0].headerOffset > members[$1].headerOffset }
    var limit = offset
    for index in order {
      let member = members[index]
      let header = 30 + member.nameBytes.count
      guard member.headerOffset <= limit, header <= limit - member.headerOffset,
        member.compressedSize <= limit - member.headerOffset - header
      else { throw malformed(member.name, "overlaps another member or reaches beyond the file's data") }
      members[index].limit = limit
      limit = member.headerOffset
    }
  }
}
