import ArrayFiles
import Foundation

/// `manifest.json` of a dataset directory: what the files beside it hold.
struct DatasetManifest: Codable {
  static let fileName = "manifest.json"
  private static let format = "fan-dist dataset"
  private static let version = 1
  /// The longest manifest that is read; one is a few thousand bytes.
  private static let longest = 1 << 20

  /// A field's array.
  struct Field: Codable, Equatable {
    /// NumPy's name of the element type.
    let dtype: String
    /// Rows first.
    let shape: [Int]
    /// ``Digest`` of the elements' bytes.
    let digest: String
  }

  private let format: String
  private let version: Int
  /// By the field's name; the file is `NAME.npy`.
  let fields: [String: Field]
  let statistics: DatasetStatistics
  /// Where the data are from, in words for people.
  let provenance: [String: String]

  init(fields: [String: Field], statistics: DatasetStatistics, provenance: [String: String]) {
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

  /// What it says that cannot be, in words; nil if nothing.
  private var problem: String? {
    guard format == Self.format else { return "is not the manifest of a fan-dist dataset" }
    guard version == Self.version else {
      return "has version \(version), but only version \(Self.version) is read; import the dataset again"
    }
    guard let observations = fields["observations"]?.shape, observations.count == 2,
      let actions = fields["actions"]?.shape, actions.count == 2,
      let rows = observations.first, (1...1 << 40).contains(rows),
      [observations[1], actions[1]].allSatisfy({ (1...1 << 16).contains($0) })
    else { return "does not say how many rows of which sizes there are" }
    for field in DatasetField.allCases {
      let shape = [rows] + field.rowShape(observationSize: observations[1], actionSize: actions[1])
      guard let entry = fields[field.rawValue] else { return "lacks the field '\(field.rawValue)'" }
      guard entry.shape == shape, entry.dtype == field.dtype.rawValue else {
        return
          "says that '\(field.rawValue)' is \(entry.dtype) of shape \(entry.shape), not \(field.dtype) of \(shape)"
      }
    }
    guard statistics.rows == rows, (1..<rows).contains(statistics.episodes),
      statistics.transitions == rows - statistics.episodes
    else { return "counts rows, episodes and transitions that do not go together" }
    for spread in [statistics.reward, statistics.mask, statistics.episodeLength]
    where !(spread.minimum <= spread.maximum) {
      return "gives statistics that cannot be"
    }
    guard statistics.digest == FieldDigests.combined({ fields[$0.rawValue]?.digest ?? "" }) else {
      return "has a digest that is not that of its fields"
    }
    return nil
  }

  var plan: DatasetPlan {
    DatasetPlan(
      rows: statistics.rows, episodes: statistics.episodes,
      observationSize: fields["observations"]?.shape.last ?? 0,
      actionSize: fields["actions"]?.shape.last ?? 0)
  }

  /// As it is written: JSON with sorted keys.
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
