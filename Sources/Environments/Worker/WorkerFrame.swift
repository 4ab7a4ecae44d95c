import Basics
import Foundation

/// The frames that fan-dist and a worker exchange; `frames.py` describes them.
enum WorkerFrame {
  /// The kind of a frame: the request that it makes or answers, or an error.
  enum Kind: UInt16 {
    case error = 0
    case open = 1
    case reset = 2
    case step = 3
    case `import` = 4
    case rows = 5
  }

  static let magic: [UInt8] = Array("FANW".utf8)
  static let version: UInt16 = 1
  static let headerLength = 12
  /// The largest payload in bytes. Longer ones are neither sent nor accepted.
  static let largest = 16 << 20

  /// The header of a frame.
  struct Header {
    let kind: Kind
    let length: Int

    /// Reads a header from a worker as untrusted input.
    init(_ bytes: [UInt8], expecting expected: Kind) throws(WorkerFailure) {
      guard Array(bytes.prefix(4)) == magic else {
        throw WorkerFailure("wrote something that is not a frame: '\(shown(bytes))'")
      }
      let version: UInt16 = word(bytes, at: 4)
      guard version == WorkerFrame.version else {
        throw WorkerFailure("speaks version \(version) of the protocol, not \(WorkerFrame.version)")
      }
      let kind: UInt16 = word(bytes, at: 6)
      guard let known = Kind(rawValue: kind), known == expected || known == .error else {
        throw WorkerFailure("answered with a frame of kind \(kind), not \(expected.rawValue)")
      }
      let length: UInt32 = word(bytes, at: 8)
      guard length <= largest else {
        throw WorkerFailure("announced a frame of \(length) bytes; at most \(largest) are accepted")
      }
      (self.kind, self.length) = (known, Int(length))
    }
  }

  /// The bytes of a frame: header and payload.
  static func encode(_ kind: Kind, _ payload: [UInt8]) -> [UInt8] {
    precondition(payload.count <= largest, "the payload is too large for a frame")
    return magic + bytes(version) + bytes(kind.rawValue) + bytes(UInt32(payload.count)) + payload
  }

  /// The bytes of an integer, least significant first.
  static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  /// The little-endian integer at `offset` of `bytes`.
  static func word<T: FixedWidthInteger>(_ bytes: [UInt8], at offset: Int) -> T {
    bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  /// The bytes that a worker wrote as one line of at most `limit` characters, without those that do not print.
  static func shown(_ bytes: some Sequence<UInt8>, limit: Int = 200) -> String {
    printable(String(decoding: Array(bytes.prefix(4 * limit)), as: UTF8.self), limit: limit)
  }
}

/// An error that says why a worker cannot be used any more.
public struct WorkerFailure: Error, CustomStringConvertible, Sendable {
  /// One line that says what happened, followed by the last lines that the worker wrote to standard error, if
  /// any.
  public let description: String
  /// The error, with Python's name for it, that the worker's program reported before it ended; nil if it
  /// reported none.
  let report: String?

  init(_ description: String, report: String? = nil) {
    self.description = description
    self.report = report
  }
}
