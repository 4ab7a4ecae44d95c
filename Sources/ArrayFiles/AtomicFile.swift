import Basics
import Glibc

/// A file that appears under its name only when it is complete: it is written under a temporary name in the
/// same directory, synced and renamed, and then the directory is synced. If ``commit()`` is never called,
/// nothing is left behind.
///
/// Where the name is a symbolic link, the file that it points to is replaced and the link stays. What is no regular
/// file, such as a device or a pipe, is not replaced: the bytes are written into it by ``commit()``.
package final class AtomicFile {
  let path: String
  /// Where the bytes are until ``commit()``; nil for a device or a pipe.
  let temporaryPath: String?
  /// The file that is replaced: `path`, or what it points to.
  private let target: String
  private var descriptor: Int32
  /// The bytes for a device or a pipe.
  private var pending: [UInt8] = []

  package init(path: String) throws(FileError) {
    guard !path.isEmpty else { throw FileError(.unwritable, file: path, reason: "a file needs a name") }
    self.path = path
    var status = stat()
    let exists = stat(path, &status) == 0
    if isStream(path) {
      (target, temporaryPath) = (path, nil)
      descriptor = Self.openStream(path)
    } else {
      target = try Self.followed(path)
      // The process number keeps the files of two processes apart. A file of the same name was left by a killed
      // process.
      let temporaryPath = "\(target)\(temporarySuffix)\(getpid())"
      self.temporaryPath = temporaryPath
      unlink(temporaryPath)
      descriptor = open(temporaryPath, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    }
    guard descriptor >= 0 else {
      guard errno != ENXIO else {
        throw FileError(.unwritable, file: path, reason: "is a pipe that nobody reads; name a file")
      }
      throw .system(.unwritable, path, temporaryPath == nil ? "cannot be opened" : "cannot be created")
    }
    if temporaryPath != nil && exists { fchmod(descriptor, status.st_mode & 0o777) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    if let temporaryPath { unlink(temporaryPath) }
  }

  /// Opens a device or a pipe. A stream that is open already is shared, so that what others write into it comes before
  /// or behind, and not over it. A pipe that nobody reads must not keep this process for ever; one whose reader is slow
  /// may.
  private static func openStream(_ path: String) -> Int32 {
    if let open = openDescriptor(path) { return fcntl(open, F_DUPFD_CLOEXEC, 0) }
    for _ in 0..<20 {
      let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK)
      if descriptor >= 0 {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        return descriptor
      }
      guard errno == ENXIO else { return -1 }
      usleep(100_000)
    }
    errno = ENXIO
    return -1
  }

  /// What a chain of symbolic links ends at, whether or not it is there; the path itself if it is no link.
  private static func followed(_ path: String) throws(FileError) -> String {
    var path = path
    for _ in 0..<40 {
      var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
      let count = readlink(path, &bytes, bytes.count)
      guard count >= 0 else { return path }
      let link = String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
      let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
      path = link.hasPrefix("/") ? link : directory + link
    }
    throw FileError(.unwritable, file: path, reason: "is a link that leads nowhere")
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    guard temporaryPath != nil else {
      let end = offset + bytes.count
      if pending.count < end { pending += [UInt8](repeating: 0, count: end - pending.count) }
      pending.withUnsafeMutableBytes {
        UnsafeMutableRawBufferPointer(rebasing: $0[offset..<end]).copyMemory(from: bytes)
      }
      return
    }
    var done = 0
    while done < bytes.count {
      let put = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
      if put < 0 && errno == EINTR { continue }
      guard put > 0 else { throw .system(.unwritable, path, "cannot be written") }
      done += put
    }
  }

  package func write(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    try bytes.withUnsafeBufferPointer { (buffer) throws(FileError) in
      try write(UnsafeRawBufferPointer(buffer), at: offset)
    }
  }

  /// Waits until the bytes written so far are on the storage device.
  package func synchronize() throws(FileError) {
    guard temporaryPath != nil else { return }
    guard fsync(descriptor) == 0 else { throw .system(.unwritable, path, "cannot be synced") }
  }

  /// Makes the file appear under its name. Call ``synchronize()`` first.
  package func commit() throws(FileError) {
    if let temporaryPath {
      guard rename(temporaryPath, target) == 0 else { throw .system(.unwritable, path, "cannot be renamed") }
    } else if !writeAll(pending, to: descriptor) {
      throw .system(.unwritable, path, "cannot be written")
    }
    close(descriptor)
    descriptor = -1
    if temporaryPath != nil { try synchronizeDirectory(of: target) }
  }
}

/// What a temporary name has behind the name of its file, in front of the number of the process.
private let temporarySuffix = ".partial-"

/// Whether a name is that of an ``AtomicFile`` before it is complete. Such a file that nobody writes any more was left by
/// a process that was killed.
public func isTemporaryName(_ name: String) -> Bool {
  let number = name.reversed().prefix(while: \.isWholeNumber).count
  let rest = name.dropLast(number)
  return number > 0 && rest.hasSuffix(temporarySuffix) && rest.count > temporarySuffix.count
}

/// Writes `bytes` to a file that appears at `path` when it is complete. Throws ``FileError`` of kind
/// `.unwritable`.
public func writeFile(_ bytes: [UInt8], path: String) throws(FileError) {
  let file = try AtomicFile(path: path)
  try file.write(bytes, at: 0)
  try file.synchronize()
  try file.commit()
}

/// Syncs the directory that contains `path`, so that creating or renaming `path` survives a crash.
func synchronizeDirectory(of path: String) throws(FileError) {
  let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  let handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  // One may be allowed to make files in a directory and not to open it.
  if handle < 0 && errno == EACCES { return }
  guard handle >= 0 else { throw .system(.unwritable, path, "its directory cannot be opened") }
  defer { close(handle) }
  // Some network file systems refuse to sync a directory; nothing more can be done on those.
  guard fsync(handle) == 0 || errno == EINVAL || errno == ENOTSUP else {
    throw .system(.unwritable, path, "its directory cannot be synced")
  }
}
