/// Why a command ends, as a documented exit code and one line for people.
///
/// Codes follow sysexits.h where it has one.
public struct Failure: Error, CustomStringConvertible, Equatable, Sendable {
  /// An exit code of the command.
  public enum Code: Int32, Sendable {
    /// The command was used wrongly: unknown flag or key, impossible value.
    case usage = 64
    /// Input data is malformed or does not fit.
    case data = 65
    /// An input file does not exist or cannot be opened.
    case noInput = 66
    /// What an evaluation needs could not be used: Python, its packages, an environment.
    case unavailable = 69
    /// The numbers went wrong: gradients that are not finite, or that differ from finite differences.
    case software = 70
    /// An operating-system or MPI call failed.
    case system = 71
    /// An output file or directory cannot be written.
    case cannotCreate = 73
    /// Stopped by a signal after saving a checkpoint: run the same command again to continue.
    case requeue = 75
    /// Stopped, and nothing was saved since the last checkpoint: the same command repeats what was done since.
    case stoppedUnsaved = 76
    /// Ranks, or a run and its checkpoint, disagree on configuration or data.
    case configuration = 78
  }

  /// The exit code.
  public let code: Code
  /// One line: what, where, and what to do.
  public let message: String

  /// A failure with this code and line. The line may quote files and arguments: what would not show in a line is
  /// replaced, and the end of what is very long is left out.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = printable(message, limit: 4000)
  }

  /// Any error as a failure. An error that does not know its exit code counts as the system's.
  public init(_ error: any Error) {
    switch error {
    case let failure as Failure: self = failure
    case let error as any CodedError: self.init(error.code, error.description)
    default: self.init(.system, "\(error)")
    }
  }

  /// The line.
  public var description: String { message }
}

/// An error that knows the exit code of the command that it ends. Its description is one line for people.
public protocol CodedError: Error, CustomStringConvertible {
  /// The exit code.
  var code: Failure.Code { get }
}
