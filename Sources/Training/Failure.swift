import ArrayFiles
import MPI

/// Why a run ends, as a documented exit code and one line for people.
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
    /// Ranks, or a run and its checkpoint, disagree on configuration or data.
    case configuration = 78
  }

  /// The exit code.
  public let code: Code
  /// One line: what, where, and what to do.
  public let message: String

  /// A failure with this code and line.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// Any error as a failure.
  public init(_ error: any Error) {
    switch error {
    case let failure as Failure: self = failure
    case let error as FileError:
      let codes: [FileError.Kind: Code] = [.missing: .noInput, .malformed: .data, .unwritable: .cannotCreate]
      self.init(codes[error.kind] ?? .data, error.description)
    default: self.init(.system, "\(error)")
    }
  }

  /// A finite gradient can still lead to parameters that are not finite, at an absurd learning rate.
  static func notFinite(step: Int) -> Failure {
    Failure(
      .software,
      "update \(step): the parameters are not finite and are not saved; checkpoints before it are kept. Lower --lr, or look with --check"
    )
  }

  /// The line.
  public var description: String { message }
}

/// A failure that only this rank knows of, in the middle of an update: nothing but the job's end can tell the others.
public struct RankFailure: Error {
  /// What failed.
  public let failure: Failure

  init(_ failure: Failure) { self.failure = failure }
}

extension Communicator {
  /// Runs `body` on every rank. When it throws on any, all ranks throw the failure of the lowest of those.
  /// Collective; `body` makes no collective calls after a point where it can throw on some ranks only.
  public func together<Result>(_ body: () throws -> Result) throws -> Result {
    var failure: Failure?
    var result: Result?
    do { result = try body() } catch { failure = Failure(error) }
    let failing = try allReduce(Int64(failure == nil ? size : rank), .min)
    guard failing < size else { return result! }
    let text = try broadcast(Array((failure?.message ?? "").utf8), from: Int(failing))
    let code = try broadcast([UInt8(truncatingIfNeeded: failure?.code.rawValue ?? 0)], from: Int(failing))[0]
    throw Failure(Failure.Code(rawValue: Int32(code)) ?? .system, String(decoding: text, as: UTF8.self))
  }

  /// Throws on all ranks unless all give the same value. Collective.
  ///
  /// - Parameter what: names the value in the failure.
  public func requireAgreement(on what: String, _ value: UInt64, advice: String) throws {
    var first = value
    try broadcast(&first, count: 8)
    let differing = try allReduce(Int64(value == first ? size : rank), .min)
    guard differing < size else { return }
    let host = try broadcast(Array(MPI.processorName.utf8), from: Int(differing))
    throw Failure(
      .configuration,
      "rank \(differing) on \(String(decoding: host, as: UTF8.self)) disagrees with rank 0 on \(what): \(advice)"
    )
  }
}
