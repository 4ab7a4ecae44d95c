import Basics
import Foundation

/// Reads a dataset of another project with that project's own reader in a Python process.
///
/// The training data come first, in blocks of rows, followed by the validation data if there are any.
public final class DatasetImporter {
  /// The dataset to read.
  public struct Request: Encodable, Sendable {
    /// The projects whose datasets can be read.
    public enum Source: String, Encodable, Sendable { case ogbench, minari, file }
    /// The project whose reader is used; `file` for a file or directory, whose kind the reader finds out.
    public var source: Source
    /// The name of a task or dataset, or the path of a file or directory.
    public var name: String
    /// OGBench: the paths of the `.npz` files to read; nil for the published files of the task.
    public var files: [String]?
    /// The directory in which the project keeps its datasets; nil for the project's default.
    public var directory: String?
    /// D4RL: the published convention to follow, `antmaze` or `other`; nil to decide by the file's name.
    public var convention: String?
    /// D4RL: the number of steps after which an episode is cut off, for files without `timeouts`.
    public var episodeLimit: Int?
    /// The kind of a file, by the name that `--format` has for it; nil to find out.
    public var format: String?
    /// Which columns of a table are what.
    public var columns: [String: [String]]?
    /// The ranges within which actions must lie, one for all columns or one for each: the reader of a file names what
    /// lies outside by its place in the file. Nil lets all pass.
    public var actionRange: [[Float]]?
    /// Whether the last step of each episode has reward 1 and ends its task, whatever is recorded.
    public var lastStep = false

    /// A request for the dataset `name` of `source`.
    public init(_ source: Source, _ name: String) {
      self.source = source
      self.name = name
    }
  }

  /// The reader's description of the data.
  public struct Description: Decodable, Sendable {
    /// What an observation is.
    public var observation: ObservationSpace { ObservationSpace(shape: observationShape)! }
    fileprivate let observationShape: [Int]
    /// A, the size of an action.
    public let actionSize: Int
    /// The entries of the dictionaries that observations are made of, in their order; nil if there are none.
    public let observationOrder: [String]?
    /// Whether there are validation data.
    public let hasValidation: Bool
    /// Whether actions outside their range are clipped, as environments do; otherwise they are refused.
    public let clipsActions: Bool
    /// What [−1, 1] stands for; nil for itself.
    public var actionRanges: [ClosedRange<Float>]? { actionRange?.map { $0[0]...$0[1] } }
    fileprivate let actionRange: [[Float]]?
    /// The name of the rule for rewards that the data ask for; nil for none.
    public let rewardRule: String?
    /// Where the data come from, as keys and values for people to read.
    public let provenance: [String: String]
  }

  /// A number of rows and their bytes: observations (float32, or bytes of images), actions, rewards and masks (float32)
  /// and terminals (one byte each), each field of all rows after the field before.
  public struct Rows {
    /// The number of rows.
    public let count: Int
    /// The bytes of the rows.
    public let bytes: ArraySlice<UInt8>
  }

  /// The reader's description of the data.
  public let description: Description
  /// What people should know of the data that have been read to their end, a line each.
  public private(set) var notes: [String] = []
  private let process: WorkerProcess
  private let python: String

  /// The program in Python. A file comes after those whose names it needs at once.
  private static let program = [
    PackageResources.rows_py, PackageResources.hdf5_py, PackageResources.npz_py, PackageResources.tables_py,
    PackageResources.videos_py, PackageResources.rlds_py, PackageResources.ogbench_py,
    PackageResources.minari_py,
    PackageResources.importer_py,
  ].flatMap(\.self)

  /// Starts Python and opens a dataset. Throws ``ImportFailure``.
  ///
  /// - Parameter isCancelled: polled while waiting; true ends the wait with a failure.
  public init(
    _ request: Request, python: String, isCancelled: @escaping () -> Bool
  ) throws(ImportFailure) {
    self.python = python
    // The reader may download the dataset, which can take hours.
    let process = WorkerProcess(timeout: .seconds(86_400), isCancelled: isCancelled)
    self.process = process
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    // Strings and numbers can always be encoded.
    let payload = [UInt8](try! encoder.encode(request))
    let answer = try Self.asking(process, python) { () throws(WorkerFailure) in
      try process.start(python: python, Self.program)
      process.send(.import, payload)
      return try process.receive(.import)
    }
    description = try Self.description(answer)
  }

  deinit { process.stop() }

  /// Reads the next rows, at most `limit`. Returns nil once at the end of the training data, and once at the
  /// end of the validation data. Throws ``ImportFailure``.
  public func rows(limit: Int) throws(ImportFailure) -> Rows? {
    let size = description.observation.byteCount + 4 * (description.actionSize + 2) + 1
    let limit = max(1, min(limit, (WorkerFrame.largest - 4) / size))
    let answer = try Self.asking(process, python) { () throws(WorkerFailure) in
      process.send(.rows, WorkerFrame.bytes(UInt32(limit)))
      return try process.receive(.rows)
    }
    let count = answer.count < 4 ? limit + 1 : Int(WorkerFrame.word(answer, at: 0) as UInt32)
    if count == 0 {
      notes = answer[4...].split(separator: UInt8(ascii: "\n")).map {
        printable(String(decoding: $0, as: UTF8.self))
      }
      return nil
    }
    guard count <= limit, answer.count == 4 + count * size else {
      throw ImportFailure(
        .broken, "the reader (\(python)) answered with \(answer.count) bytes, not whole rows")
    }
    return Rows(count: count, bytes: answer[4...])
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
    guard answer.count < 1 << 20, let description = try? decoder.decode(Description.self, from: Data(answer)),
      ObservationSpace(shape: description.observationShape) != nil,
      (1...1 << 16).contains(description.actionSize),
      description.actionRange.map({ ranges in
        ranges.count == description.actionSize && ranges.allSatisfy { $0.count == 2 && $0[0] <= $0[1] }
      }) ?? true
    else {
      throw ImportFailure(.broken, "the reader does not describe its data: '\(WorkerFrame.shown(answer))'")
    }
    return description
  }
}

/// An error that says why a dataset cannot be imported.
public struct ImportFailure: CodedError, Sendable {
  /// The kinds of failure that callers handle differently.
  public enum Kind: Sendable {
    /// The data do not exist.
    case missing
    /// The data are damaged or not supported.
    case malformed
    /// Python or a package is missing, or the reader ended unexpectedly.
    case broken
  }

  /// The kind of failure.
  public let kind: Kind
  /// One line that says what is wrong and what to do.
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

  /// Classifies a failure of the reader's process. The reader reports errors of its own as Python's
  /// `ValueError` and `FileNotFoundError`; other Python errors are classified by their names.
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
