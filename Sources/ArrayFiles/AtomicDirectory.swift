import Foundation
import Glibc

/// A directory that appears under its name only when it is complete: the caller fills `PATH.partial`, and
/// ``commit()`` renames that directory to `PATH`. If ``commit()`` is never called, nothing is left behind. If
/// a process is killed, its `PATH.partial` is emptied by the next process that makes the same directory. What somebody
/// else has put under this name stays, and nothing is made.
///
/// One process at a time makes a directory: it holds a lock on a file in `PATH.partial`. Where the file system has no
/// locks, each process fills a directory of its own, and the first that is complete takes the name.
public final class AtomicDirectory {
  /// The directory's name once it is complete.
  public let path: String
  /// The directory to put the contents in before ``commit()``.
  public private(set) var temporaryPath: String
  private var lock: Int32
  private static let lockName = ".lock"

  /// Starts the directory that will appear at `path`. Returns nil if there is already something at `path`,
  /// perhaps because another process made it while this process waited for its turn.
  ///
  /// - Parameters:
  ///   - wait: called before waiting for another process.
  ///   - isCancelled: asked while it waits; yes ends the wait with an error.
  /// - Throws: ``FileError`` of kind `.unwritable`.
  public init?(
    path: String, wait: () -> Void = {}, isCancelled: () -> Bool = { false }
  ) throws(FileError) {
    // With a slash at the end, which shells add, PATH.partial would be inside PATH.
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    (temporaryPath, lock) = (self.path + ".partial", -1)
    repeat {
      guard access(self.path, F_OK) != 0 else { return nil }
      lock = try Self.lock(&temporaryPath, wait, isCancelled)
    } while lock < 0
    guard access(self.path, F_OK) != 0 else {
      release()
      return nil
    }
    do throws(FileError) { try removeLeftovers() } catch {
      close(lock)
      lock = -1
      throw error
    }
  }

  /// Removes what a process that was killed has left in the directory: it must not become a part of this one.
  private func removeLeftovers() throws(FileError) {
    for name in try namesIfPresent(in: temporaryPath) where name != Self.lockName {
      let path = "\(temporaryPath)/\(name)"
      do { try FileManager.default.removeItem(atPath: path) } catch {
        throw FileError(.unwritable, file: path, reason: "cannot be removed: \(systemReason(error))")
      }
    }
  }

  /// Creates `directory` unless it exists, and locks it. Returns the descriptor of the lock file, or -1 if
  /// the directory was renamed or removed meanwhile.
  private static func lock(
    _ directory: inout String, _ wait: () -> Void, _ isCancelled: () -> Bool
  ) throws(FileError) -> Int32 {
    try createDirectory(directory)
    try requireOwn(directory)
    let path = "\(directory)/\(lockName)"
    let file = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o666)
    if file < 0 && errno == ENOENT { return -1 }
    guard file >= 0 else { throw .system(.unwritable, path, "cannot be created") }
    if flock(file, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { wait() }
      // A wait inside flock would go on in spite of signals, which are handled between two attempts.
      while flock(file, LOCK_EX | LOCK_NB) != 0 {
        guard errno == EINTR || errno == EWOULDBLOCK else {
          defer { close(file) }
          guard lacksLocks(errno) else { throw .system(.unwritable, path, "cannot be locked") }
          unlink(path)
          rmdir(directory)
          directory += "-\(ProcessInfo.processInfo.hostName)-\(getpid())"
          try createDirectory(directory)
          return try unlocked(directory)
        }
        guard !isCancelled() else {
          close(file)
          throw FileError(
            .unwritable, file: directory, reason: "the wait for another process was stopped")
        }
        usleep(100_000)
      }
    }
    var (held, named) = (stat(), stat())
    if fstat(file, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino { return file }
    close(file)
    return -1
  }

  /// Throws unless a directory is empty or one that another process has begun to make, and no link.
  private static func requireOwn(_ directory: String) throws(FileError) {
    var status = stat()
    let isLink = lstat(directory, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    let names = try namesIfPresent(in: directory)
    guard !isLink, names.isEmpty || names.contains(lockName) else {
      throw FileError(
        .unwritable, file: directory,
        reason:
          "is needed for a moment, but holds something else already; move it away, or choose another name")
    }
  }

  /// The file that is locked elsewhere, in a directory of this process alone.
  private static func unlocked(_ directory: String) throws(FileError) -> Int32 {
    let path = "\(directory)/\(lockName)"
    let file = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard file >= 0 else { throw .system(.unwritable, path, "cannot be created") }
    return file
  }

  deinit {
    if lock >= 0 { release() }
  }

  private func release() {
    // The lock's file is the last one, which tells others whose directory it is.
    try? removeLeftovers()
    unlink("\(temporaryPath)/\(Self.lockName)")
    rmdir(temporaryPath)
    close(lock)
    lock = -1
  }

  /// Makes the directory appear under its name. The caller has synced the files in it. Throws ``FileError``
  /// of kind `.unwritable`.
  public func commit() throws(FileError) {
    try synchronizeDirectory(of: "\(temporaryPath)/.")
    guard rename(temporaryPath, path) == 0 else { throw .system(.unwritable, path, "cannot be renamed") }
    // The lock's file is removed only after the rename: a process that waits for the lock must find that the
    // directory is gone, and must not take the maker's place.
    unlink("\(path)/\(Self.lockName)")
    close(lock)
    lock = -1
    try synchronizeDirectory(of: path)
  }
}

/// Creates a directory and its parents unless they exist, so that they survive a power cut. Throws ``FileError`` of kind
/// `.unwritable`.
public func createDirectory(_ path: String) throws(FileError) {
  var made: [String] = []
  var parent = path
  while !parent.isEmpty, access(parent, F_OK) != 0 {
    while parent.hasSuffix("/") { parent.removeLast() }
    made.append(parent)
    parent = parent.lastIndex(of: "/").map { String(parent[..<$0]) } ?? ""
  }
  for directory in made.reversed() where mkdir(directory, 0o777) != 0 && errno != EEXIST {
    throw .system(.unwritable, path, "cannot be created")
  }
  guard isDirectory(path) else {
    throw FileError(.unwritable, file: path, reason: "cannot be created: something else has this name")
  }
  for directory in made { try synchronizeDirectory(of: directory) }
}

/// Creates the directory `path` in a directory that exists; false if there is something of that name already, perhaps
/// made by another process at the same moment. Throws ``FileError`` of kind `.unwritable`.
public func createNewDirectory(_ path: String) throws(FileError) -> Bool {
  guard mkdir(path, 0o777) == 0 else {
    if errno == EEXIST { return false }
    throw .system(.unwritable, path, "cannot be created")
  }
  try synchronizeDirectory(of: path)
  return true
}
