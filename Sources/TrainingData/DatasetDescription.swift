import ArrayFiles
import Basics
import Datasets
import Environments

/// What a dataset looks like, in lines for people.
public struct DatasetDescription: Sendable {
  /// Sizes, statistics, digest and where the data are from.
  public let lines: [String]
  /// One line for each thing that usually signals a mistake.
  public let warnings: [String]

  /// Describes the dataset at `path`: a dataset directory, an `.npz` file or a directory of them.
  ///
  /// A dataset directory says itself what it holds; the others are read. Throws `FileError` if the data are damaged
  /// or make no sense.
  public init(path: String) throws {
    let source = try openWithValidation(path, task: nil)
    let statistics = try source.survey()
    lines =
      statistics.lines + sizeLines(source) + columnLines(statistics) + provenanceLines(source.provenance)
    warnings = statistics.warnings(areClipped: source.statedStatistics != nil)
  }
}

/// A dataset all of whose rows have been looked at.
public struct ExaminedDataset: Sendable {
  /// Its path.
  public let path: String
  /// What was found.
  public let examination: DatasetExamination
  /// How many rows there are, and the digest if training accepts them.
  public let headline: String
  /// Statistics, sizes and where the data are from, a line each.
  public let facts: [String]

  /// Reads the dataset at `path`: a dataset directory, an `.npz` file or a directory of them. Throws `FileError` if it
  /// cannot be read. Rows that training refuses are examined like the others.
  ///
  /// - Parameters:
  ///   - task: gives rewards and masks when the data hold none; the data must fit it.
  ///   - verify: whether to compare a dataset directory with its digests, too.
  public init(path: String, task: PointMazeTask?, verify: Bool) throws {
    let source = try openWithValidation(path, task: task)
    if verify {
      guard let directory = source as? DatasetDirectory else {
        throw Failure(.usage, "\(path): only a dataset directory has digests to --verify")
      }
      try directory.verify()
    }
    self.path = path
    examination = try DatasetExamination(source)
    let plan = source.plan
    let lines = examination.statistics?.lines ?? []
    headline =
      lines.first
      ?? "dataset: \(plan.rows) rows, \(plan.transitions) transitions in \(plan.episodes) episodes; training refuses it"
    facts = lines.dropFirst() + sizeLines(source) + provenanceLines(source.provenance)
  }
}

/// Opens a dataset, which must fit the task, and its validation data, which must fit the dataset.
private func openWithValidation(_ path: String, task: PointMazeTask?) throws -> any DatasetSource {
  let source = try openDataset(path, task: task)
  if let task { try requireFit(source, task) }
  if let path = try validationPath(of: path) {
    let validation = try openDataset(path, task: task)
    try validation.rowSpec.requireFit(source.rowSpec, of: source.path, data: path)
  }
  return source
}

/// The sizes of a row and of the whole, and the order of an observation's entries if it is known.
private func sizeLines(_ source: any DatasetSource) -> [String] {
  let plan = source.plan
  let sizes =
    plan.observation.isImage
    ? "\(plan.observation) for observations, \(plan.actionSize) numbers an action"
    : "\(plan.observation) an observation, \(plan.actionSize) an action"
  return ["dataset: \(sizes); \(megabytes(plan.byteCount)) MB in memory"]
    + (source.observationOrder.map { ["dataset: observations are \(orderText($0))"] } ?? [])
    + scaleLines(source.scales)
}

/// How data were scaled, a line for each map.
package func scaleLines(_ scales: DataScales?) -> [String] {
  (scales?.lines ?? []).map { "dataset: \($0)" }
}

/// The range of each column, as far as it is known.
private func columnLines(_ statistics: DatasetStatistics) -> [String] {
  statistics.observationMinimum == nil
    ? ["dataset: the manifest does not give the ranges of the columns; import again to see them"]
    : statistics.columnLines
}

/// Where data are from, a line for each thing that is known. The words are a file's, so they are made printable.
package func provenanceLines(_ provenance: [String: String]) -> [String] {
  provenance.sorted { $0.key < $1.key }.map {
    "dataset: \(printable($0.key)): \(printable($0.value, limit: 400))"
  }
}
