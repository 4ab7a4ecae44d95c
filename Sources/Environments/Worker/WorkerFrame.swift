import Foundation

/// The frames that this program and a worker exchange; `frames.py` describes them.
enum WorkerFrame {
  /// What a frame is about.
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
  /// Nothing longer is sent, or believed when a worker announces it.
  static let largest = 16 << 20

  /// A frame's header.
  struct Header {
    let kind: Kind
    let length: Int

    /// Reads a header that a worker has sent; its words are checked before they are believed.
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
        throw WorkerFailure("announced a frame of \(length) bytes; the largest there is has \(largest)")
      }
      (self.kind, self.length) = (known, Int(length))
    }
  }

  /// A whole frame.
  static func encode(_ kind: Kind, _ payload: [UInt8]) -> [UInt8] {
    precondition(payload.count <= largest, "a frame larger than any")
    return magic + bytes(version) + bytes(kind.rawValue) + bytes(UInt32(payload.count)) + payload
  }

  /// An integer's bytes, least significant first.
  static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  /// The integer at an offset.
  static func word<T: FixedWidthInteger>(_ bytes: [UInt8], at offset: Int) -> T {
    bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
  }

  /// What a worker wrote, as it may be shown: one line, of limited length.
  static func shown(_ bytes: some Sequence<UInt8>, limit: Int = 200) -> String {
    String(bytes.prefix(limit).map { (0x20..<0x7F).contains($0) ? Character(Unicode.Scalar($0)) : "?" })
  }
}

/// Why a worker cannot be used any more.
public struct WorkerFailure: Error, CustomStringConvertible, Sendable {
  /// One line: what happened, and the last lines that the worker wrote to standard error.
  public let description: String
  /// The error that the worker's program itself reported before it ended, with Python's name for it; nil otherwise.
  let report: String?

  init(_ description: String, report: String? = nil) {
    self.description = description
    self.report = report
  }
}
