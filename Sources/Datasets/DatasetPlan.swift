/// The sizes of a dataset in memory, and where its fields lie in one block:
///
///     observations rows × O | actions rows × A | rewards rows | masks rows | transitions (row numbers)
///
/// Each field starts at a multiple of 64 bytes. Float fields are single precision, transitions UInt32.
public struct DatasetPlan: Equatable, Sendable {
  /// Number of rows: a row is a state with the action taken there.
  public let rows: Int
  /// O, features of an observation.
  public let observationSize: Int
  /// A, components of an action.
  public let actionSize: Int
  /// Number of transitions: rows that have a next row in the same episode.
  public let transitions: Int

  /// A plan of these sizes.
  public init(rows: Int, observationSize: Int, actionSize: Int, transitions: Int) {
    self.rows = rows
    self.observationSize = observationSize
    self.actionSize = actionSize
    self.transitions = transitions
  }

  /// The sizes as numbers that can be sent to other ranks.
  public var words: [Int64] { [rows, observationSize, actionSize, transitions].map { Int64($0) } }

  /// Length of `words`.
  public static let wordCount = 4

  /// The plan that `words` were taken from.
  public init(words: [Int64]) {
    self.init(
      rows: Int(words[0]), observationSize: Int(words[1]), actionSize: Int(words[2]),
      transitions: Int(words[3]))
  }

  var actionsOffset: Int { Self.aligned(rows * observationSize * 4) }
  var rewardsOffset: Int { actionsOffset + Self.aligned(rows * actionSize * 4) }
  var masksOffset: Int { rewardsOffset + Self.aligned(rows * 4) }
  var transitionsOffset: Int { masksOffset + Self.aligned(rows * 4) }
  /// Length of the block in bytes.
  public var byteCount: Int { transitionsOffset + Self.aligned(transitions * 4) }

  private static func aligned(_ bytes: Int) -> Int { (bytes + 63) / 64 * 64 }
}

/// The fields of a dataset in a block of memory that is being filled.
struct DatasetFields {
  let observations: UnsafeMutableBufferPointer<Float>
  let actions: UnsafeMutableBufferPointer<Float>
  let rewards: UnsafeMutableBufferPointer<Float>
  let masks: UnsafeMutableBufferPointer<Float>
  let transitions: UnsafeMutableBufferPointer<UInt32>

  init(_ plan: DatasetPlan, _ block: UnsafeMutableRawBufferPointer) {
    precondition(block.count >= plan.byteCount, "block smaller than the plan")
    let base = block.baseAddress!
    func floats(_ offset: Int, _ count: Int) -> UnsafeMutableBufferPointer<Float> {
      UnsafeMutableBufferPointer(
        start: (base + offset).bindMemory(to: Float.self, capacity: count), count: count)
    }
    observations = floats(0, plan.rows * plan.observationSize)
    actions = floats(plan.actionsOffset, plan.rows * plan.actionSize)
    rewards = floats(plan.rewardsOffset, plan.rows)
    masks = floats(plan.masksOffset, plan.rows)
    let first = (base + plan.transitionsOffset).bindMemory(to: UInt32.self, capacity: plan.transitions)
    transitions = UnsafeMutableBufferPointer(start: first, count: plan.transitions)
  }
}
