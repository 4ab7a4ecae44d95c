import Foundation
import Glibc

/// A directory that appears under its name only when it is complete: it is filled as `PATH.partial` and renamed. An
/// AtomicDirectory that is never committed leaves nothing behind; what a killed process leaves, the next one that wants
/// to make the same directory removes.
///
/// One process at a time makes a directory. It holds a lock on a file in `PATH.partial`.
public final class AtomicDirectory {
  /// The directory's name once it is complete.
  public let path: String
  /// Where to put its contents.
  public let temporaryPath: String
  private var lock: Int32
  private static let lockName = ".lock"

  /// Starts the directory that will appear at `path`. Nil if there is something at `path`, perhaps because another
  /// process made it while this one waited for its turn.
  ///
  /// - Parameter wait: called before waiting for another process.
  public init?(path: String, wait: () -> Void = {}) throws(FileError) {
    self.path = path
    temporaryPath = path + ".partial"
    lock = -1
    repeat {
      guard access(path, F_OK) != 0 else { return nil }
      lock = try Self.lock(temporaryPath, wait)
    } while lock < 0
    guard access(path, F_OK) != 0 else {
      release()
      return nil
    }
    for name in (try? FileManager.default.contentsOfDirectory(atPath: temporaryPath)) ?? []
    where name != Self.lockName {
      try? FileManager.default.removeItem(atPath: "\(temporaryPath)/\(name)")
    }
  }

  /// Locks a directory, which is created if it is not there. -1 if it was renamed or removed meanwhile.
  private static func lock(_ directory: String, _ wait: () -> Void) throws(FileError) -> Int32 {
    try createDirectory(directory)
    let path = "\(directory)/\(lockName)"
    let file = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o666)
    if file < 0 && errno == ENOENT { return -1 }
    guard file >= 0 else { throw .system(.unwritable, path, "cannot be created") }
    if flock(file, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { wait() }
      while flock(file, LOCK_EX) != 0 {
        guard errno == EINTR else {
          defer { close(file) }
          throw .system(.unwritable, path, "cannot be locked")
        }
      }
    }
    var (held, named) = (stat(), stat())
    if fstat(file, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino { return file }
    close(file)
    return -1
  }

  deinit {
    if lock >= 0 { release() }
  }

  private func release() {
    try? FileManager.default.removeItem(atPath: temporaryPath)
    close(lock)
    lock = -1
  }

  /// Makes the directory appear under its name. Its files have been synced.
  public func commit() throws(FileError) {
    try synchronizeDirectory(of: "\(temporaryPath)/.")
    guard rename(temporaryPath, path) == 0 else { throw .system(.unwritable, path, "cannot be renamed") }
    // Not before: whoever waits must find that the lock's directory is gone, not take its place.
    unlink("\(path)/\(Self.lockName)")
    close(lock)
    lock = -1
    try synchronizeDirectory(of: path)
  }
}

/// Creates a directory and those above it unless they are there. Throws ``FileError`` of kind `.unwritable`.
public func createDirectory(_ path: String) throws(FileError) {
  do {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  } catch {
    throw FileError(.unwritable, file: path, reason: "cannot be created: \(error.localizedDescription)")
  }
}
