import Glibc

/// A file that appears under its name only when it is complete: it is written under a temporary name in the
/// same directory, synced and renamed, and then the directory is synced. If ``commit()`` is never called,
/// nothing is left behind.
package final class AtomicFile {
  let path: String
  let temporaryPath: String
  private var descriptor: Int32

  package init(path: String) throws(FileError) {
    self.path = path
    // The process number keeps the files of two processes apart. A file of the same name was left by a killed
    // process.
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

  /// Waits until the bytes written so far are on the storage device.
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
  guard handle >= 0 else { throw .system(.unwritable, path, "its directory cannot be opened") }
  defer { close(handle) }
  // Some network file systems refuse to sync a directory; nothing more can be done on those.
  guard fsync(handle) == 0 || errno == EINVAL || errno == ENOTSUP else {
    throw .system(.unwritable, path, "its directory cannot be synced")
  }
}
