import ArrayFiles
import Basics

/// The fields of a dataset: what it holds for each row. A row is a state of an episode and the action taken
/// in it.
enum DatasetField: String, CaseIterable, Sendable {
  /// States: O numbers a row, or an image.
  case observations
  /// Actions in [−1, 1], A numbers a row.
  case actions
  /// The rewards of the transitions that start in the rows.
  case rewards
  /// Masks of the transitions that start in the rows: 0 where the value of the next state does not count,
  /// else 1.
  case masks
  /// Whether the row is the last of its episode: a final state, whose action, reward and mask are not used.
  case terminals

  /// The type of the field's elements.
  func dtype(_ observation: ObservationSpace) -> ElementType {
    switch self {
    case .observations: observation.isImage ? .uint8 : .float32
    case .actions, .rewards, .masks: .float32
    case .terminals: .bool
    }
  }

  /// The shape of one row of the field, without the dimension that counts rows.
  func rowShape(_ observation: ObservationSpace, actionSize: Int) -> [Int] {
    switch self {
    case .observations: observation.shape
    case .actions: [actionSize]
    case .rewards, .masks, .terminals: []
    }
  }
}

/// The ``Digest`` of each field, updated as rows are added.
struct FieldDigests {
  private var fields = [Digest](repeating: Digest(), count: DatasetField.allCases.count)

  subscript(field: DatasetField) -> Digest {
    get { fields[DatasetField.allCases.firstIndex(of: field)!] }
    set { fields[DatasetField.allCases.firstIndex(of: field)!] = newValue }
  }

  /// Adds the rows of `block` to each field.
  mutating func add(_ block: RowBlock) {
    for field in DatasetField.allCases { self[field].update(UnsafeRawBufferPointer(block.bytes(of: field))) }
  }

  /// The digest of a whole dataset, from the digests of its fields: 16 hexadecimal digits.
  static func combined(_ digests: (DatasetField) -> String) -> String {
    var digest = Digest()
    for field in DatasetField.allCases {
      Array("\(field.rawValue) \(digests(field))\n".utf8).withUnsafeBytes { digest.update($0) }
    }
    return digest.hex
  }
}
