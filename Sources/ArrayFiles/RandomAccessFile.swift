import Glibc

/// A regular file opened for reading at any offset. Ranges are checked against the file's size before memory
/// is reserved for them.
final class RandomAccessFile: Sendable {
  let path: String
  /// Bytes in the file when it was opened.
  let size: Int
  private let descriptor: Int32

  /// Opens the file at `path`; without `followsLinks` that is not a symbolic link.
  init(path: String, followsLinks: Bool = true) throws(FileError) {
    // O_NONBLOCK: opening a pipe that nobody writes to must not wait for ever. It means nothing for files.
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW)
    let descriptor = open(path, flags)
    guard descriptor >= 0 else {
      if errno == ELOOP && !followsLinks {
        throw .malformed(path, nil, "is a symbolic link; put the file itself there")
      }
      throw .system(.missing, path, "cannot be opened")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw FileError(.missing, file: path, reason: "is not a regular file")
    }
    self.path = path
    self.size = Int(status.st_size)
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Fills `destination` with the bytes from `offset` on.
  func read(at offset: Int, into destination: UnsafeMutableRawBufferPointer) throws(FileError) {
    guard offset >= 0, offset <= size, destination.count <= size - offset else {
      throw .malformed(path, nil, "is cut short: bytes beyond its end are referred to")
    }
    var done = 0
    while done < destination.count {
      let target = destination.baseAddress! + done
      let got = pread(descriptor, target, destination.count - done, off_t(offset + done))
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw .system(.malformed, path, "cannot be read") }
      guard got > 0 else { throw .malformed(path, nil, "became shorter while it was read") }
      done += got
    }
  }

  /// Tells the system that reads will be scattered over the file.
  func expectRandomReads() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM) }

  /// Lets the system begin to read `count` bytes from `offset` on. It is a hint: whether it worked does not matter.
  func prefetch(at offset: Int, count: Int) {
    posix_fadvise(descriptor, off_t(offset), off_t(count), POSIX_FADV_WILLNEED)
  }

  /// The `count` bytes from `offset` on.
  func bytes(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
      throw .malformed(path, nil, "is cut short: bytes beyond its end are referred to")
    }
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
    }
    return bytes
  }
}

/// All bytes of the regular file at `path`. Throws ``FileError``, also if there are more than `limit`.
public func readFile(path: String, limit: Int) throws(FileError) -> [UInt8] {
  let file = try RandomAccessFile(path: path)
  guard file.size <= limit else {
    throw .malformed(path, nil, "has \(file.size) bytes; \(limit) are the most that make sense")
  }
  return try file.bytes(at: 0, count: file.size)
}

/// Reads little-endian integers and byte runs from the front of a buffer, throwing `overrun` at its end.
struct ByteCursor {
  private let bytes: ArraySlice<UInt8>
  private let overrun: FileError
  private(set) var position: Int

  init(_ bytes: ArraySlice<UInt8>, overrun: FileError) {
    self.bytes = bytes
    self.overrun = overrun
    position = bytes.startIndex
  }

  var remaining: Int { bytes.endIndex - position }

  mutating func take(_ count: Int) throws(FileError) -> ArraySlice<UInt8> {
    guard count >= 0, count <= remaining else { throw overrun }
    defer { position += count }
    return bytes[position..<position + count]
  }

  mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_: T.Type) throws(FileError) -> T {
    try take(T.bitWidth / 8).reversed().reduce(0) { $0 << 8 | T($1) }
  }

  /// The next `T` as an Int; a value beyond Int's range cannot describe any file and throws `overrun`.
  mutating func size<T: FixedWidthInteger & UnsignedInteger>(_: T.Type) throws(FileError) -> Int {
    guard let value = Int(exactly: try integer(T.self)) else { throw overrun }
    return value
  }
}
