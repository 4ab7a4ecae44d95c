import Glibc

/// Standard output or standard error. All that this program writes there goes through here: a stream that is full, closed
/// or without a reader is an error like any other, and never ends the process.
public enum StandardStream: Int32, Sendable {
  /// Results.
  case output = 1
  /// What went wrong.
  case error = 2

  /// Writes a line, at once.
  ///
  /// - Throws: `Failure` with code 73 if it cannot be written.
  public func say(_ line: String) throws(Failure) {
    guard attempt(line + "\n") else {
      let name = self == .output ? "standard output" : "standard error"
      throw Failure(.cannotCreate, "\(name): cannot write: \(String(cString: strerror(errno)))")
    }
  }

  /// Writes a text if that is possible, and returns whether it was; if not, errno says why.
  @discardableResult
  public func attempt(_ text: String) -> Bool { writeAll(Array(text.utf8), to: rawValue) }
}

/// Writes all bytes to an open file; false, with errno, if that fails.
public func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
  var done = 0
  while done < bytes.count {
    let put = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, $0.count - done) }
    if put < 0 && errno == EAGAIN {
      var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      poll(&ready, 1, -1)
      continue
    }
    if put < 0 && errno == EINTR { continue }
    if put <= 0 { return false }
    done += put
  }
  return true
}
