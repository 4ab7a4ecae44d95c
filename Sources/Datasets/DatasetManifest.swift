import ArrayFiles
import Basics
import Foundation

/// The contents of `manifest.json` in a dataset directory, which describes the other files.
struct DatasetManifest: Codable {
  static let fileName = "manifest.json"
  private static let format = "fan-dist dataset"
  private static let version = 1
  /// The size of the largest manifest that is read, in bytes. Ordinary manifests have a few thousand.
  private static let longest = 1 << 20

  /// The array of one field.
  struct Field: Codable, Equatable {
    /// The name of the element type, such as `float32`.
    let dtype: String
    /// The dimensions; the first one counts rows.
    let shape: [Int]
    /// The ``Digest`` of the elements' bytes.
    let digest: String
  }

  private let format: String
  private let version: Int
  /// The arrays by field name. The file of the field NAME is `NAME.npy`.
  let fields: [String: Field]
  let statistics: DatasetStatistics
  /// Where the data come from, as keys and values for people to read.
  let provenance: [String: String]
  /// The entries of the dictionaries that observations are made of, in their order; nil if there were none, or in
  /// manifests that do not say it.
  let observationOrder: [String]?
  /// How the numbers were scaled; nil if they were not.
  let scales: DataScales?

  init(
    fields: [String: Field], statistics: DatasetStatistics, provenance: [String: String],
    observationOrder: [String]?, scales: DataScales?
  ) {
    self.observationOrder = observationOrder
    self.scales = scales
    format = Self.format
    version = Self.version
    self.fields = fields
    self.statistics = statistics
    self.provenance = provenance
  }

  /// Reads the manifest at `path` as untrusted input and checks that it does not contradict itself.
  init(path: String) throws(FileError) {
    let data = Data(try readFile(path: path, limit: Self.longest))
    do {
      self = try Self.decoder.decode(Self.self, from: data)
    } catch {
      throw FileError(.malformed, file: path, reason: "is not a dataset's manifest: \(Self.reason(error))")
    }
    if let problem { throw FileError(.malformed, file: path, reason: problem) }
  }

  /// The first contradiction in the manifest, in words; nil if there is none.
  private var problem: String? {
    guard format == Self.format else { return "is not the manifest of a fan-dist dataset" }
    guard version == Self.version else {
      return "has version \(version), but only version \(Self.version) is read; import the dataset again"
    }
    guard let rows = fields["observations"]?.shape.first, (1...1 << 40).contains(rows), let observation,
      let actions = fields["actions"]?.shape, actions.count == 2, (1...1 << 16).contains(actions[1])
    else { return "does not give the number of rows and the sizes of observations and actions" }
    for field in DatasetField.allCases {
      let shape = [rows] + field.rowShape(observation, actionSize: actions[1])
      let dtype = field.dtype(observation)
      guard let entry = fields[field.rawValue] else { return "lacks the field '\(field.rawValue)'" }
      guard entry.shape == shape, entry.dtype == dtype.rawValue else {
        return
          "says that '\(field.rawValue)' is \(entry.dtype) of shape \(entry.shape), not \(dtype) of \(shape)"
      }
    }
    guard statistics.rows == rows, (1..<rows).contains(statistics.episodes),
      statistics.transitions == rows - statistics.episodes
    else { return "has numbers of rows, episodes and transitions that contradict each other" }
    for spread in [statistics.reward, statistics.mask, statistics.episodeLength]
    where !(spread.minimum <= spread.maximum) {
      return "gives a minimum that is greater than its maximum"
    }
    for column in [statistics.observationMinimum, statistics.observationMaximum] {
      guard column.map({ $0.count == observation.shape.last }) ?? true else {
        return "gives ranges of another number of columns than observations have"
      }
    }
    guard statistics.imageSize == (observation.isImage ? observation.shape : nil) else {
      return "gives a size of images that contradicts the shape of observations"
    }
    guard scales?.fit(observation, actionSize: actions[1]) ?? true else {
      return "gives scales that do not fit the sizes of observations and actions"
    }
    guard statistics.digest == FieldDigests.combined({ fields[$0.rawValue]?.digest ?? "" }) else {
      return "has a digest that does not match those of its fields"
    }
    return nil
  }

  /// What an observation is; nil if the shape of the observations says nothing that can be.
  private var observation: ObservationSpace? {
    guard let shape = fields["observations"]?.shape.dropFirst() else { return nil }
    return ObservationSpace(shape: Array(shape))
  }

  /// The sizes of the dataset, of a manifest without contradictions.
  var plan: DatasetPlan {
    DatasetPlan(
      rows: statistics.rows, episodes: statistics.episodes, observation: observation!,
      actionSize: fields["actions"]?.shape.last ?? 0)
  }

  /// The manifest as it is written: JSON with sorted keys.
  func encoded() -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    // Finite numbers and strings can always be encoded.
    return try! encoder.encode(self) + Data("\n".utf8)
  }

  private static var decoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "it has no '\(key.stringValue)'"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' has the wrong type"
    default: "it is not JSON"
    }
  }
}
