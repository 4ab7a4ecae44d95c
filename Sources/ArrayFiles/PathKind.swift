import Glibc

/// Whether there is a regular file at `path`. Others, such as a pipe, may wait for ever when they are opened.
public func isFile(_ path: String) -> Bool { kind(of: path) == S_IFREG }

/// Whether there is a directory at `path`.
public func isDirectory(_ path: String) -> Bool { kind(of: path) == S_IFDIR }

/// Whether what is written to `path` goes into an open stream, a device or a pipe, and replaces nothing.
public func isStream(_ path: String) -> Bool {
  // What lies behind an open stream may well be a file.
  if openDescriptor(path) != nil || path.hasPrefix("/proc/") { return true }
  return kind(of: path).map { ![S_IFREG, S_IFDIR].contains($0) } ?? false
}

/// The number of this process's open stream that a path names, such as 1 for `/dev/stdout`; nil for all other paths.
func openDescriptor(_ path: String) -> Int32? {
  if path == "/dev/stdout" { return STDOUT_FILENO }
  if path == "/dev/stderr" { return STDERR_FILENO }
  let directory = ["/dev/fd/", "/proc/self/fd/"].first { path.hasPrefix($0) }
  return directory.flatMap { Int32(path.dropFirst($0.count)) }
}

/// What there is at `path`, or at what it links to, as `st_mode` has it; nil if there is nothing.
private func kind(of path: String) -> mode_t? {
  var status = stat()
  return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
}
