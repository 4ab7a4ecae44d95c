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
  ///
  /// - Parameters:
  ///   - task: gives rewards and masks when the data hold none; the data must fit it.
  ///   - verify: whether to read all of a dataset directory and compare it with its digests.
  public init(path: String, task: PointMazeTask?, verify: Bool) throws {
    let source = try openDataset(path, task: task)
    if let task { try requireFit(source, task) }
    if let path = validationPath(of: path) {
      let validation = try openDataset(path, task: task)
      try validation.rowSpec.requireFit(source.rowSpec, of: source.path, data: path)
    }
    if verify {
      guard let directory = source as? DatasetDirectory else {
        throw Failure(.usage, "\(path): only a dataset directory has digests to --verify")
      }
      try directory.verify()
    }
    let statistics = try source.survey()
    let plan = source.plan
    let sizes =
      plan.observation.isImage
      ? "\(plan.observation) for observations, \(plan.actionSize) numbers an action"
      : "\(plan.observation) an observation, \(plan.actionSize) an action"
    lines =
      statistics.lines + [
        "dataset: \(sizes); \(decimals(Double(plan.byteCount) / 1e6, 1)) MB in memory"
      ]
      + (source.observationOrder.map { ["dataset: observations are \(orderText($0))"] } ?? [])
      + (source.scales?.lines ?? []).map { "dataset: \($0)" }
      + columnLines(statistics) + provenanceLines(source.provenance)
    warnings = statistics.warnings
  }
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
