import Basics
import Glibc

/// A file that grows at its end. What has been appended before ``synchronize()`` survives a power cut.
public final class AppendedFile {
  /// The file's path.
  public let path: String
  private let descriptor: Int32

  /// Opens a file for appending.
  ///
  /// - Parameter isNew: whether the file is made and must not be there yet; otherwise it must be there.
  /// - Throws: ``FileError`` of kind `.unwritable`.
  public init(path: String, isNew: Bool) throws(FileError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | (isNew ? O_CREAT | O_EXCL : 0), 0o666)
    guard descriptor >= 0 else {
      throw .system(.unwritable, path, isNew ? "cannot be created" : "cannot be opened")
    }
    if isNew { try synchronizeDirectory(of: path) }
  }

  deinit { close(descriptor) }

  /// Appends bytes with a single call of `write` where possible, so that a reader seldom sees a part of them.
  ///
  /// - Throws: ``FileError`` of kind `.unwritable`.
  public func append(_ bytes: [UInt8]) throws(FileError) {
    guard writeAll(bytes, to: descriptor) else { throw .system(.unwritable, path, "cannot be written") }
  }

  /// Waits until everything that has been appended is on the storage device.
  ///
  /// - Throws: ``FileError`` of kind `.unwritable`.
  public func synchronize() throws(FileError) {
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
      throw .system(.unwritable, path, "cannot be synced")
    }
  }
}
