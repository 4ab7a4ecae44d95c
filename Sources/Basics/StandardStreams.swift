import Glibc

/// Writes a line to a file that is open, such as standard error (2). False if it cannot be written: nothing else happens
/// then, also when the stream is closed or its disk is full.
@discardableResult
public func writeLine(_ line: String, to descriptor: Int32) -> Bool {
  var rest = Array((line + "\n").utf8)[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    if count > 0 {
      rest = rest.dropFirst(count)
    } else if count < 0 && errno == EAGAIN {
      usleep(1000)
    } else if count == 0 || errno != EINTR {
      return false
    }
  }
  return true
}
