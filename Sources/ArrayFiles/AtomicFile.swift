import Glibc

/// A file that appears under its name only when it is complete: it is written beside its target, synced,
/// renamed, and the directory is synced. An AtomicFile that is never committed leaves nothing behind.
package final class AtomicFile {
  let path: String
  let temporaryPath: String
  private var descriptor: Int32

  package init(path: String) throws(FileError) {
    self.path = path
    // The process number keeps two programs apart; a leftover of a killed one with the same number is replaced.
    temporaryPath = "\(path).partial-\(getpid())"
    unlink(temporaryPath)
    descriptor = open(temporaryPath, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .system(.unwritable, path, "cannot be created") }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporaryPath)
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
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

  /// Forces what was written to the storage device.
  package func synchronize() throws(FileError) {
    guard fsync(descriptor) == 0 else { throw .system(.unwritable, path, "cannot be synced") }
  }

  /// Makes the file appear under its name. Call ``synchronize()`` first.
  package func commit() throws(FileError) {
    guard rename(temporaryPath, path) == 0 else { throw .system(.unwritable, path, "cannot be renamed") }
    close(descriptor)
    descriptor = -1
    try synchronizeDirectory(of: path)
  }
}

/// Writes a file that appears at `path` when it is complete. Throws ``FileError`` of kind `.unwritable`.
public func writeFile(_ bytes: [UInt8], path: String) throws(FileError) {
  let file = try AtomicFile(path: path)
  try file.write(bytes, at: 0)
  try file.synchronize()
  try file.commit()
}

/// Makes the entries of the directory that holds `path` last.
func synchronizeDirectory(of path: String) throws(FileError) {
  let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  let handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  guard handle >= 0 else { throw .system(.unwritable, path, "its directory cannot be opened") }
  defer { close(handle) }
  // Some network file systems refuse to sync a directory; there the rename is all that can be done.
  guard fsync(handle) == 0 || errno == EINVAL || errno == ENOTSUP else {
    throw .system(.unwritable, path, "its directory cannot be synced")
  }
}
