import Foundation

/// Throws ``FileError`` of kind `.unwritable` unless a file can be made or replaced at `path`. Commands ask before work
/// that takes long.
public func requirePlace(forFile path: String) throws(FileError) {
  if isDirectory(path) {
    throw FileError(.unwritable, file: path, reason: "is a directory; name a file")
  }
  try requireWritable(parent(of: path), for: path)
}

/// Throws ``FileError`` of kind `.unwritable` unless a directory can be made at `path`, with those of its parents that
/// are not there yet.
public func requirePlace(forDirectory path: String) throws(FileError) {
  var folder = parent(of: path)
  while access(folder, F_OK) != 0 && errno == ENOENT { folder = parent(of: folder) }
  try requireWritable(folder, for: path)
}

private func parent(of path: String) -> String {
  URL(fileURLWithPath: path).deletingLastPathComponent().path
}

private func requireWritable(_ folder: String, for path: String) throws(FileError) {
  // The dot makes a file in place of a directory an error.
  guard access(folder + "/.", W_OK | X_OK) == 0 else {
    throw .system(.unwritable, path, "cannot be made in \(folder)")
  }
}
