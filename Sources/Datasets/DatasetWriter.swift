import ArrayFiles
import Basics
import Foundation

/// Writes the files of a ``DatasetDirectory`` from blocks of rows, in little memory.
///
/// The manifest is written last: a directory without a manifest is not taken for a dataset.
public final class DatasetWriter {
  private let directory: String
  private let source: String
  private let observation: ObservationSpace
  private var survey: DatasetSurvey
  private let files: [(field: DatasetField, writer: NpyWriter)]
  private var rows = 0
  private var endsEpisode = true

  /// Starts a dataset in `directory`, which is created unless it exists. Throws ``FileError`` of kind
  /// `.unwritable`.
  ///
  /// - Parameters:
  ///   - source: where the rows come from, for error messages.
  ///   - bounds: what to do with actions outside [−1, 1].
  public init(
    directory: String, observation: ObservationSpace, actionSize: Int, source: String, bounds: ActionBounds
  ) throws(FileError) {
    self.directory = directory
    self.observation = observation
    self.source = source
    survey = DatasetSurvey(bounds: bounds)
    try createDirectory(directory)
    var files: [(DatasetField, NpyWriter)] = []
    for field in DatasetField.allCases {
      let shape = field.rowShape(observation, actionSize: actionSize)
      let path = "\(directory)/\(field.rawValue).npy"
      files.append((field, try NpyWriter(path: path, dtype: field.dtype(observation), rowShape: shape)))
    }
    self.files = files
  }

  /// Appends the rows of `block`, the first of which is row `first` of `file`. Throws ``FileError``, naming
  /// field, row and value, for numbers that are not finite or out of range.
  public func append(_ block: RowBlock, from file: String, row first: Int) throws(FileError) {
    guard block.rows > 0 else { return }
    try survey.add(block, from: file, row: first)
    for (field, writer) in files { try writer.append(UnsafeRawBufferPointer(block.bytes(of: field))) }
    rows += block.rows
    endsEpisode = block.terminals[block.rows - 1] != 0
  }

  /// Appends the rows of `block`; errors count rows from the start of the dataset. Throws ``FileError``.
  public func append(_ block: RowBlock) throws(FileError) { try append(block, from: source, row: rows) }

  /// Completes the dataset. Its last episode must have ended, and there must be a transition; throws
  /// ``FileError`` if not.
  ///
  /// - Parameters:
  ///   - provenance: where the data come from, as keys and values for people to read.
  ///   - observationOrder: the entries of the dictionaries that observations are made of, in their order.
  ///   - scales: how the rows were scaled before they were appended.
  public func finish(
    provenance: [String: String], observationOrder: [String]? = nil, scales: DataScales? = nil
  ) throws(FileError) -> DatasetStatistics {
    guard endsEpisode, survey.hasTransitions else {
      let reason = endsEpisode ? "gives no transitions" : "ends within an episode"
      throw FileError(.malformed, file: source, reason: reason)
    }
    for (_, writer) in files { try writer.finish() }
    let fields = files.map { field, writer in
      let digest = survey.digests[field].hex
      return (
        field.rawValue,
        DatasetManifest.Field(
          dtype: field.dtype(observation).rawValue, shape: writer.shape, digest: digest)
      )
    }
    let statistics = survey.statistics
    let manifest = DatasetManifest(
      fields: Dictionary(uniqueKeysWithValues: fields), statistics: statistics, provenance: provenance,
      observationOrder: observationOrder, scales: scales)
    try writeFile(Array(manifest.encoded()), path: "\(directory)/\(DatasetManifest.fileName)")
    return statistics
  }
}
