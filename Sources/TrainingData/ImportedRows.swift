import Agents
import ArrayFiles
import Basics
import Datasets
import Environments

/// A dataset of another project, as rows in the data's own units.
protocol ImportedRows: AnyObject {
  /// What the rows are like.
  var spec: DataSpec { get }
  /// Where they come from, as keys and values for people to read.
  var provenance: [String: String] { get }
  /// What people should know of the rows that have been passed, a line each.
  var notes: [String] { get }
  /// Whether there are validation data.
  var hasValidation: Bool { get }
  /// What to do with actions outside [−1, 1], or outside what that stands for.
  var bounds: ActionBounds { get }
  /// What [−1, 1] stands for unless people say otherwise; nil for itself.
  var actionRanges: [ClosedRange<Float>]? { get }
  /// The rule for rewards unless people say otherwise.
  var rewardRule: String? { get }

  /// Passes blocks of rows from the first to the last, whose contents the receiver may change. `first` is the number of a
  /// block's first row in `file`, or in the dataset if `file` is nil. The validation data come after the training data,
  /// which can be read again. Throws ``ReadingStopped`` when nobody wants the rows any more.
  func forEachBlock(
    validation: Bool, _ body: (_ rows: RowBlock, _ file: String?, _ first: Int) throws -> Void
  ) throws
}

/// Nobody wants the rows any more.
struct ReadingStopped: Error {}

/// OGBench's files, whose rewards are known without Python.
final class FileRows: ImportedRows {
  let provenance: [String: String]
  private let training: OGBenchSource
  private let validation: OGBenchSource?
  private let isCancelled: () -> Bool

  init(
    _ training: OGBenchSource, validation: OGBenchSource?, _ provenance: [String: String],
    isCancelled: @escaping () -> Bool
  ) throws {
    if let validation {
      try validation.rowSpec.requireFit(training.rowSpec, of: training.path, data: validation.path)
    }
    (self.training, self.validation, self.isCancelled) = (training, validation, isCancelled)
    self.provenance = provenance.merging(training.provenance) { $1 }
  }

  var spec: DataSpec { training.rowSpec }
  var notes: [String] { [] }
  var hasValidation: Bool { validation != nil }
  var bounds: ActionBounds { .refuse }
  var actionRanges: [ClosedRange<Float>]? { nil }
  var rewardRule: String? { nil }

  func forEachBlock(
    validation isValidation: Bool, _ body: (RowBlock, String?, Int) throws -> Void
  ) throws {
    let files = isValidation ? validation : training
    var failure: (any Error)?
    let stop = FileError(.malformed, file: training.path, reason: "was not read to its end")
    do {
      try files?.forEachBlock { (rows, file, first) throws(FileError) in
        do {
          guard !isCancelled() else { throw ReadingStopped() }
          try body(rows, file, first)
        } catch {
          failure = error
          throw stop
        }
      }
    } catch { throw failure ?? error }
  }
}

/// What a reader in Python sends.
final class PythonRows: ImportedRows {
  private let start: () throws -> DatasetImporter
  private let isCancelled: () -> Bool
  private var importer: DatasetImporter
  private var isUsed = false

  init(_ request: DatasetImporter.Request, python: String, isCancelled: @escaping () -> Bool) throws {
    let start = { try DatasetImporter(request, python: python, isCancelled: isCancelled) }
    (self.start, importer, self.isCancelled) = (start, try start(), isCancelled)
  }

  private var data: DatasetImporter.Description { importer.description }
  var spec: DataSpec {
    DataSpec(
      observation: data.observation, actionSize: data.actionSize, rewards: 0...0,
      observationOrder: data.observationOrder)
  }
  var provenance: [String: String] { data.provenance }
  var notes: [String] { importer.notes }
  var hasValidation: Bool { data.hasValidation }
  var bounds: ActionBounds { data.clipsActions ? .clip : .refuse }
  var actionRanges: [ClosedRange<Float>]? { data.actionRanges }
  var rewardRule: String? { data.rewardRule }

  func forEachBlock(validation: Bool, _ body: (RowBlock, String?, Int) throws -> Void) throws {
    if !validation {
      if isUsed { importer = try start() }
      isUsed = true
    }
    let block = RowBlock(observation: data.observation, actionSize: data.actionSize)
    var first = 0
    while let rows = try importer.rows(limit: block.capacity) {
      guard !isCancelled() else { throw ReadingStopped() }
      block.fill(rows.count, rows.bytes)
      try body(block, nil, first)
      first += rows.count
    }
  }
}
