import Basics
import Glibc

/// What was wrong with which file. ``description`` is one line, safe to print: nothing that a file contains is
/// echoed raw.
public struct FileError: CodedError, Sendable, Equatable {
  /// The classes of failure, for callers that react differently to them.
  public enum Kind: Sendable {
    /// The file cannot be opened.
    case missing
    /// The file was opened, but its contents are not what they should be or cannot be read.
    case malformed
    /// The file cannot be written.
    case unwritable
  }

  /// The class of the failure.
  public let kind: Kind
  /// The path of the file.
  public let file: String
  /// The array or tensor concerned, if it is one.
  public let member: String?
  /// What is wrong and, where that is useful, what to do.
  public let reason: String

  /// An error of `kind` in `file`, in its `member` if there is one, because of `reason`.
  public init(_ kind: Kind, file: String, member: String? = nil, reason: String) {
    self.kind = kind
    self.file = file
    self.member = member
    self.reason = reason
  }

  /// File, member and reason in one line, such as
  /// `data.npz: member 'actions': dtype '>f4' is big-endian; convert it to little-endian`.
  public var description: String {
    let place = member.map { " member '\(printable($0))':" } ?? ""
    return "\(printable(file, limit: 1024)):\(place) \(printable(reason, limit: 512))"
  }

  /// The exit code of a command that this error ends.
  public var code: Failure.Code {
    switch kind {
    case .missing: .noInput
    case .malformed: .data
    case .unwritable: .cannotCreate
    }
  }

  static func malformed(_ file: String, _ member: String? = nil, _ reason: String) -> FileError {
    FileError(.malformed, file: file, member: member, reason: reason)
  }

  /// The reason the last system call failed; call it before anything else changes `errno`.
  package static func system(_ kind: Kind, _ file: String, _ action: String) -> FileError {
    FileError(kind, file: file, reason: "\(action): \(String(cString: strerror(errno)))")
  }
}

/// A shape as NumPy prints it, such as `(1000, 2)`.
func describe(shape: [Int]) -> String {
  "(" + shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? ",)" : ")")
}

/// The number of elements of an array of `shape`, nil if a dimension is negative or the product overflows.
func elementCount(shape: [Int]) -> Int? {
  var count = 1
  for dimension in shape {
    let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
    if overflow || dimension < 0 { return nil }
    count = product
  }
  return count
}
