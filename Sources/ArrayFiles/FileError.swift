import Basics
import Glibc

/// An error that names the file and says what is wrong with it. ``description`` is one line that is safe to
/// print: control and formatting characters from a file or its name are replaced.
public struct FileError: CodedError, Sendable, Equatable {
  /// The kinds of failure that callers handle differently.
  public enum Kind: Sendable {
    /// The file cannot be opened or is not a regular file.
    case missing
    /// The contents of the file cannot be read, or they are not what they should be.
    case malformed
    /// The file cannot be written.
    case unwritable
  }

  /// The kind of failure.
  public let kind: Kind
  /// The path of the file.
  public let file: String
  /// The array or tensor that the error is about; nil if it is about the whole file.
  public let member: String?
  /// What is wrong and, where that is useful, what to do.
  public let reason: String

  /// Makes an error of `kind` in `file`, and in the array or tensor `member` if that is not nil, because of
  /// `reason`.
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

  /// An error whose reason is `action` and the system's message for `errno`. Call it before anything else
  /// changes `errno`.
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

/// Whether a call that locks a file failed because the file system has no locks.
public func lacksLocks(_ error: Int32) -> Bool {
  [ENOLCK, ENOSYS, EOPNOTSUPP, ENOTSUP, EINVAL].contains(error)
}
