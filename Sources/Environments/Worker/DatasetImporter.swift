import Basics
import Foundation

/// A dataset of another project, read with that project's own reader in a Python process.
///
/// The training data come first, in parts, then the validation data if there are any.
public final class DatasetImporter {
  /// What to read.
  public struct Request: Encodable, Sendable {
    /// Whose reader to use.
    public enum Source: String, Encodable, Sendable { case ogbench, minari, d4rl }
    /// Whose reader to use.
    public var source: Source
    /// The name of a task or dataset; for D4RL the path of a file.
    public var name: String
    /// OGBench: the `.npz` files that hold the data; nil for those of the task's name.
    public var files: [String]?
    /// Where the project keeps its datasets; nil for its own choice.
    public var directory: String?
    /// D4RL: which of the published conventions to follow, `antmaze` or `other`; nil to go by the file's name.
    public var convention: String?
    /// D4RL: steps after which an episode is cut off, for files that do not say so.
    public var episodeLimit: Int?

    /// A request for the dataset `name` of `source`.
    public init(_ source: Source, _ name: String) {
      self.source = source
      self.name = name
    }
  }

  /// What the reader says about the data.
  public struct Description: Decodable, Sendable {
    /// O, the numbers of an observation.
    public let observationSize: Int
    /// A, the numbers of an action.
    public let actionSize: Int
    /// Whether there are validation data.
    public let hasValidation: Bool
    /// Where the data are from, in words for people.
    public let provenance: [String: String]
  }

  /// Some rows: their number, and the bytes of observations, actions, rewards and masks (float32) and terminals (one
  /// byte each), one behind the other.
  public struct Rows {
    /// Their number.
    public let count: Int
    /// Their bytes.
    public let bytes: ArraySlice<UInt8>
  }

  /// What the reader says about the data.
  public let description: Description
  private let process: WorkerProcess
  private let python: String

  /// Starts Python and opens a dataset. Throws ``ImportFailure``.
  ///
  /// - Parameter isCancelled: asked while waiting; yes ends the wait with a failure.
  public init(
    _ request: Request, python: String, isCancelled: @escaping () -> Bool
  ) throws(ImportFailure) {
    self.python = python
    // A download may take hours.
    let process = WorkerProcess(timeout: .seconds(86_400), isCancelled: isCancelled)
    self.process = process
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    // Strings and numbers can always be encoded.
    let payload = [UInt8](try! encoder.encode(request))
    let answer = try Self.asking(process, python) { () throws(WorkerFailure) in
      try process.start(python: python, PackageResources.importer_py)
      process.send(.import, payload)
      return try process.receive(.import)
    }
    description = try Self.description(answer)
  }

  deinit { process.stop() }

  /// The next rows, at most `limit`; nil at the end of the training data, and again at the end of the validation
  /// data. Throws ``ImportFailure``.
  public func rows(limit: Int) throws(ImportFailure) -> Rows? {
    let size = 4 * (description.observationSize + description.actionSize + 2) + 1
    let limit = min(limit, (WorkerFrame.largest - 4) / size)
    let answer = try Self.asking(process, python) { () throws(WorkerFailure) in
      process.send(.rows, WorkerFrame.bytes(UInt32(limit)))
      return try process.receive(.rows)
    }
    let count = answer.count < 4 ? limit + 1 : Int(WorkerFrame.word(answer, at: 0) as UInt32)
    guard count <= limit, answer.count == 4 + count * size else {
      throw ImportFailure(
        .broken, "the reader (\(python)) answered with \(answer.count) bytes, not whole rows")
    }
    return count == 0 ? nil : Rows(count: count, bytes: answer[4...])
  }

  private static func asking(
    _ process: WorkerProcess, _ python: String, _ body: () throws(WorkerFailure) -> [UInt8]
  ) throws(ImportFailure) -> [UInt8] {
    do {
      return try body()
    } catch {
      let lines = process.lastLines
      process.stop()
      throw ImportFailure(error, python, lastLines: lines)
    }
  }

  private static func description(_ answer: [UInt8]) throws(ImportFailure) -> Description {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard answer.count < 1 << 16, let description = try? decoder.decode(Description.self, from: Data(answer)),
      (1...1 << 16).contains(description.observationSize), (1...1 << 16).contains(description.actionSize)
    else {
      throw ImportFailure(.broken, "the reader does not describe its data: '\(WorkerFrame.shown(answer))'")
    }
    return description
  }
}

/// Why a dataset cannot be imported.
public struct ImportFailure: CodedError, Sendable {
  /// The classes of failure, for callers that react differently to them.
  public enum Kind: Sendable {
    /// The data are not there.
    case missing
    /// The data are not what they should be, or not supported.
    case malformed
    /// Python or a package it needs is missing, or the reader broke off.
    case broken
  }

  /// The class of the failure.
  public let kind: Kind
  /// One line: what is wrong and what to do.
  public let description: String

  /// The exit code of a command that this failure ends.
  public var code: Failure.Code {
    switch kind {
    case .missing: .noInput
    case .malformed: .data
    case .broken: .system
    }
  }

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// What a failure of the reading process means. Errors that the reader raises itself are Python's `ValueError` and
  /// `FileNotFoundError`; what other errors mean is told by their names.
  init(_ failure: WorkerFailure, _ python: String, lastLines: [String]) {
    guard let report = failure.report else {
      let last = lastLines.isEmpty ? "" : "; its last lines: " + lastLines.joined(separator: " | ")
      self.init(.broken, "the reader (\(python)) \(failure)\(last)")
      return
    }
    let parts = report.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
    switch parts[0] {
    case "FileNotFoundError": self.init(.missing, parts.last ?? report)
    case "ValueError": self.init(.malformed, parts.last ?? report)
    case "ModuleNotFoundError", "ImportError", "PackageNotFoundError":
      self.init(
        .broken,
        "\(python) \(report); launch/python-env makes an environment with all packages, --python names it")
    default: self.init(.malformed, "\(report), says the reader (\(python))")
    }
  }
}
