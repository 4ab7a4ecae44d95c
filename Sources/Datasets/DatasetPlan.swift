/// The sizes of a dataset and its layout in one block of memory, which all ranks of a node share.
///
///     observations (rows, O) | actions (rows, A) | rewards (rows) | masks (rows) | transitions (N)
///
/// All are Float but the transitions, which are UInt32 row numbers; each array starts at a multiple of 64 bytes.
public struct DatasetPlan: Equatable, Sendable {
  /// The number of rows; a row is a state and the action taken in it.
  public let rows: Int
  /// O, the numbers of an observation.
  public let observationSize: Int
  /// A, the numbers of an action.
  public let actionSize: Int
  /// N, the number of transitions: rows whose next row belongs to the same episode.
  public let transitions: Int

  /// The plan for these sizes, each of them at least 1.
  public init(rows: Int, observationSize: Int, actionSize: Int, transitions: Int) {
    precondition(rows >= 1 && observationSize >= 1 && actionSize >= 1 && transitions >= 1, "empty dataset")
    self.rows = rows
    self.observationSize = observationSize
    self.actionSize = actionSize
    self.transitions = transitions
  }

  /// The plan as numbers that can be sent to other ranks, ``wordCount`` of them.
  public var words: [Int64] { [rows, observationSize, actionSize, transitions].map { Int64($0) } }

  /// The number of ``words``.
  public static let wordCount = 4

  /// The plan whose ``words`` these are.
  public init(words: [Int64]) {
    precondition(words.count == Self.wordCount, "a plan is \(Self.wordCount) words")
    self.init(
      rows: Int(words[0]), observationSize: Int(words[1]), actionSize: Int(words[2]),
      transitions: Int(words[3]))
  }

  /// Where the observations start, in bytes.
  public var observationsOffset: Int { 0 }
  /// Where the actions start, in bytes.
  public var actionsOffset: Int { aligned(4 * rows * observationSize) }
  /// Where the rewards start, in bytes.
  public var rewardsOffset: Int { actionsOffset + aligned(4 * rows * actionSize) }
  /// Where the masks start, in bytes.
  public var masksOffset: Int { rewardsOffset + aligned(4 * rows) }
  /// Where the transitions' row numbers start, in bytes.
  public var transitionsOffset: Int { masksOffset + aligned(4 * rows) }
  /// The size of the block in bytes.
  public var byteCount: Int { transitionsOffset + aligned(4 * transitions) }

  private func aligned(_ bytes: Int) -> Int { (bytes + 63) & ~63 }
}
