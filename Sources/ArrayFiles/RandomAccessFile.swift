import Glibc

/// A regular file opened for reading at any offset. Ranges are checked against the file's size before memory
/// is reserved for them. All functions throw ``FileError``.
final class RandomAccessFile: Sendable {
  let path: String
  /// The file's size in bytes when it was opened.
  let size: Int
  private let descriptor: Int32

  /// Opens the file at `path`. If `followsLinks` is false, a symbolic link is refused.
  init(path: String, followsLinks: Bool = true) throws(FileError) {
    // O_NONBLOCK keeps `open` from waiting for ever on a pipe without a writer. It has no effect on regular
    // files.
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
      throw .malformed(path, nil, "is cut short: it refers to bytes beyond its end")
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

  /// Asks the system to begin reading `count` bytes from `offset` on. This is a hint, so failures are
  /// ignored.
  func prefetch(at offset: Int, count: Int) {
    posix_fadvise(descriptor, off_t(offset), off_t(count), POSIX_FADV_WILLNEED)
  }

  /// The `count` bytes from `offset` on.
  func bytes(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
      throw .malformed(path, nil, "is cut short: it refers to bytes beyond its end")
    }
    var bytes = [UInt8](repeating: 0, count: count)
    try bytes.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
    }
    return bytes
  }
}

/// All bytes of the regular file at `path`. Throws ``FileError``, also if the file has more than `limit`
/// bytes.
public func readFile(path: String, limit: Int) throws(FileError) -> [UInt8] {
  let file = try RandomAccessFile(path: path)
  guard file.size <= limit else {
    throw .malformed(path, nil, "has \(file.size) bytes; at most \(limit) are read")
  }
  return try file.bytes(at: 0, count: file.size)
}

/// All bytes of the regular file at `path`; nil if there is nothing at `path`. A file that is there and cannot be read
/// is an error. Throws ``FileError``.
public func readFileIfPresent(path: String) throws(FileError) -> [UInt8]? {
  var status = stat()
  if lstat(path, &status) != 0 && errno == ENOENT { return nil }
  let file = try RandomAccessFile(path: path)
  return try file.bytes(at: 0, count: file.size)
}

/// Reads little-endian integers and runs of bytes from the front of a buffer. Throws `overrun` when too few
/// bytes are left.
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

  /// The next `T` as an Int. Throws `overrun` for a value beyond Int's range, which cannot be a size or an
  /// offset.
  mutating func size<T: FixedWidthInteger & UnsignedInteger>(_: T.Type) throws(FileError) -> Int {
    guard let value = Int(exactly: try integer(T.self)) else { throw overrun }
    return value
  }
}
