import ArrayFiles
import Foundation

/// A directory that is removed with this object.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("\(NSTemporaryDirectory())/array-files-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template)!)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes `bytes` to `name` and returns its path.
  func write(_ bytes: [UInt8], to name: String = "data.npz") -> String {
    let target = "\(path)/\(name)"
    // The old file is removed first: some file systems flush a file to the disk when it is truncated and
    // rewritten.
    unlink(target)
    let file = fopen(target, "w")!
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
    return target
  }
}

func contents(_ path: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path)!) }

/// The description of the error that `body` throws; nil if it throws none.
func failure(_ body: () throws(FileError) -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return error.description
  }
}

func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

func raw<T: BitwiseCopyable>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

/// The bytes of a `.npy` file. `header` replaces the header's dictionary.
func npy(
  _ descr: String = "<f4", _ shape: String = "(3,)", fortran: String = "False", data: [UInt8],
  header: String? = nil, version: UInt8 = 1
) -> [UInt8] {
  let text = header ?? "{'descr': '\(descr)', 'fortran_order': \(fortran), 'shape': \(shape), }"
  let bytes = Array(text.utf8) + [0x0A]
  let length = version == 1 ? little(UInt16(bytes.count)) : little(UInt32(bytes.count))
  return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + bytes + data
}

/// A ZIP file in which fields can be set to wrong values.
struct ZipFixture {
  struct Member {
    var name = "x.npy"
    var data: [UInt8] = []
    /// The compressed bytes; nil for `data` in uncompressed deflate blocks.
    var packed: [UInt8]?
    var method: UInt16 = 8
    var flags: UInt16 = 0
    var checksum: UInt32?
    var claimedSize: UInt64?
    var claimedPackedSize: UInt64?
    var claimedOffset: UInt64?
    var localName: String?
    /// Whether the local header has 0xFFFFFFFF for sizes and the sizes in a ZIP64 extra field, as NumPy
    /// writes it.
    var isZip64 = false
    /// Whether the directory entry has such a field.
    var isZip64InDirectory = false
  }

  var members: [Member]
  var claimedCount: UInt16?
  var claimedDirectorySize: UInt32?
  var claimedDirectoryOffset: UInt32?
  var hasZip64End = false

  init(_ members: [Member]) { self.members = members }

  /// A file with one array called `x`.
  init(array: [UInt8]) { members = [Member(data: array)] }

  var bytes: [UInt8] {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for member in members {
      directory += entry(member, offset: file.count)
      file += localHeader(member) + packed(member)
    }
    let start = file.count
    file += directory
    if hasZip64End { file += zip64End(start: start, length: directory.count, end: file.count) }
    return file + little(UInt32(0x0605_4B50)) + [0, 0, 0, 0]
      + little(claimedCount ?? UInt16(members.count)) + little(claimedCount ?? UInt16(members.count))
      + little(claimedDirectorySize ?? UInt32(directory.count))
      + little(hasZip64End ? UInt32.max : claimedDirectoryOffset ?? UInt32(start)) + [0, 0]
  }

  private func zip64End(start: Int, length: Int, end: Int) -> [UInt8] {
    let count = little(UInt64(members.count))
    return little(UInt32(0x0606_4B50)) + little(UInt64(44)) + [45, 0, 45, 0] + [UInt8](repeating: 0, count: 8)
      + count + count + little(UInt64(length)) + little(UInt64(start)) + little(UInt32(0x0706_4B50))
      + [0, 0, 0, 0] + little(UInt64(end)) + little(UInt32(1))
  }

  private func packed(_ member: Member) -> [UInt8] {
    member.packed ?? (member.method == 8 ? deflateStored(member.data) : member.data)
  }

  private func sizes(_ member: Member) -> (packed: UInt64, unpacked: UInt64) {
    (
      member.claimedPackedSize ?? UInt64(packed(member).count),
      member.claimedSize ?? UInt64(member.data.count)
    )
  }

  private func localHeader(_ member: Member) -> [UInt8] {
    let (packed, unpacked) = sizes(member)
    let name = Array((member.localName ?? member.name).utf8)
    let extra =
      member.isZip64 ? little(UInt16(1)) + little(UInt16(16)) + little(unpacked) + little(packed) : []
    return little(UInt32(0x0403_4B50)) + [45, 0] + little(member.flags) + little(member.method)
      + [0, 0, 0x21, 0] + little(member.checksum ?? crc32(member.data))
      + little(member.isZip64 ? UInt32.max : UInt32(truncatingIfNeeded: packed))
      + little(member.isZip64 ? UInt32.max : UInt32(truncatingIfNeeded: unpacked))
      + little(UInt16(name.count)) + little(UInt16(extra.count)) + name + extra
  }

  private func entry(_ member: Member, offset: Int) -> [UInt8] {
    let (packed, unpacked) = sizes(member)
    let isLarge = member.isZip64InDirectory
    let start = member.claimedOffset ?? UInt64(offset)
    let extra =
      isLarge
      ? little(UInt16(7)) + [1, 0, 9] + little(UInt16(1)) + little(UInt16(24)) + little(unpacked)
        + little(packed) + little(start) : []
    return little(UInt32(0x0201_4B50)) + [45, 3, 45, 0] + little(member.flags) + little(member.method)
      + [0, 0, 0x21, 0] + little(member.checksum ?? crc32(member.data))
      + little(isLarge ? UInt32.max : UInt32(truncatingIfNeeded: packed))
      + little(isLarge ? UInt32.max : UInt32(truncatingIfNeeded: unpacked))
      + little(UInt16(member.name.utf8.count)) + little(UInt16(extra.count))
      + [UInt8](repeating: 0, count: 10)
      + little(isLarge ? UInt32.max : UInt32(truncatingIfNeeded: start)) + Array(member.name.utf8) + extra
  }
}

/// Raw deflate without compression (RFC 1951, 3.2.4).
func deflateStored(_ data: [UInt8]) -> [UInt8] {
  var result: [UInt8] = []
  var start = 0
  repeat {
    let end = min(start + 0xFFFF, data.count)
    let length = UInt16(end - start)
    result += [end == data.count ? 1 : 0] + little(length) + little(~length) + data[start..<end]
    start = end
  } while start < data.count
  return result
}

/// CRC-32, computed bit by bit to check zlib's.
func crc32(_ bytes: [UInt8]) -> UInt32 {
  var crc = UInt32.max
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
  }
  return ~crc
}

/// A small seeded generator (SplitMix64), which makes the random tests repeatable.
struct Random: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// Runs a Python script and returns its output; nil if there is no Python or the script fails.
func python(_ script: String, _ arguments: String...) -> String? {
  let process = Process()
  let output = Pipe()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["python3", "-c", script] + arguments
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  guard (try? process.run()) != nil else { return nil }
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return process.terminationStatus == 0 ? text.trimmingCharacters(in: .whitespacesAndNewlines) : nil
}

let hasPython = python("print(1)") != nil
let hasNumPy = python("import numpy") != nil
