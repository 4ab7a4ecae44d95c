import Basics
import Foundation

/// Lines as they arrive, of limited length.
struct LineReader {
  /// A line, without its end.
  enum Line {
    case text(Data)
    /// A line that went beyond the limit; nothing of it is kept.
    case tooLong
  }

  private let descriptor: Int32
  private let limit: Int
  private var pending = Data()
  private var isTooLong = false

  /// Lines of an open file of up to `limit` bytes.
  init(descriptor: Int32, limit: Int) {
    self.descriptor = descriptor
    self.limit = limit
  }

  /// The next line; nil at the end. A last line needs no end.
  mutating func next() throws -> Line? {
    var searched = pending.startIndex
    while true {
      if let end = pending[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { pending = Data(pending[(end + 1)...]) }
        return take(pending[..<end])
      }
      if pending.count > limit {
        isTooLong = true
        pending = Data()
      }
      searched = pending.endIndex
      guard try readMore() else { return pending.isEmpty && !isTooLong ? nil : takeLast() }
    }
  }

  private mutating func takeLast() -> Line {
    defer { pending = Data() }
    return take(pending)
  }

  private mutating func take(_ line: Data) -> Line {
    defer { isTooLong = false }
    return isTooLong || line.count > limit ? .tooLong : .text(line)
  }

  /// Appends what has arrived; false at the end.
  private mutating func readMore() throws -> Bool {
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        throw Failure(.noInput, "standard input: cannot be read: \(String(cString: strerror(errno)))")
      }
      pending.append(contentsOf: chunk[..<count])
      return count > 0
    }
  }
}
