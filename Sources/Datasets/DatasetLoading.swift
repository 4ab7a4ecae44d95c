import ArrayFiles
import Basics

/// A dataset that can be surveyed and loaded into memory.
public protocol DatasetSource: Sendable {
  /// The path of the dataset's file or directory.
  var path: String { get }
  /// The sizes of the dataset and its layout in memory.
  var plan: DatasetPlan { get }
  /// Where the data come from, as keys and values for people to read; empty if it was not recorded.
  var provenance: [String: String] { get }
  /// The entries of the dictionaries that observations are made of, with their sizes, in their order; nil if that is
  /// not known or observations were no dictionaries.
  var observationOrder: [String]? { get }
  /// How the data's own units became those of the data; nil if nothing was scaled.
  var scales: DataScales? { get }

  /// Computes the statistics without keeping the data. Throws ``FileError``.
  func survey() throws(FileError) -> DatasetStatistics

  /// The statistics that the dataset itself holds; nil if it holds none.
  var statedStatistics: DatasetStatistics? { get }

  /// Calls `body` with blocks of consecutive rows until all rows have been passed. `first` is the number of the block's
  /// first row in `file`. Throws ``FileError`` if the rows cannot be read.
  func forEachBlock(
    _ body: (_ rows: RowBlock, _ file: String, _ first: Int) throws(FileError) -> Void
  ) throws(FileError)

  /// Loads the dataset into `block` and checks it. `block` has at least `plan.byteCount` bytes and starts at
  /// a multiple of 8, better of 64. Throws ``FileError``, naming field, row and value, for data that are
  /// damaged or out of range.
  func load(into block: UnsafeMutableRawBufferPointer) throws(FileError) -> DatasetStatistics
}

extension DatasetSource {
  public var observationOrder: [String]? { nil }
  public var statedStatistics: DatasetStatistics? { nil }
  public var scales: DataScales? { nil }
}

/// Fills the block that a ``DatasetPlan`` lays out: the fields and the episode index.
struct DatasetMemory {
  let plan: DatasetPlan
  var index: EpisodeIndexBuilder
  private let base: UnsafeMutableRawPointer
  private var rows = 0

  init(_ plan: DatasetPlan, _ block: UnsafeMutableRawBufferPointer) {
    precondition(block.count >= plan.byteCount, "the block is smaller than the plan")
    precondition(Int(bitPattern: block.baseAddress) % 8 == 0, "the block is not aligned")
    self.plan = plan
    base = block.baseAddress!
    index = EpisodeIndexBuilder(base + plan.episodesOffset, capacity: plan.episodes)
  }

  /// The memory of all rows of a field.
  func bytes(of field: DatasetField) -> UnsafeMutableRawBufferPointer {
    let (offset, width) =
      switch field {
      case .observations: (plan.observationsOffset, plan.observation.byteCount)
      case .actions: (plan.actionsOffset, 4 * plan.actionSize)
      case .rewards: (plan.rewardsOffset, 4)
      case .masks: (plan.masksOffset, 4)
      case .terminals: preconditionFailure("terminals are kept as the episode index")
      }
    return UnsafeMutableRawBufferPointer(start: base + offset, count: plan.rows * width)
  }

  /// Appends rows. Returns false if there are more rows or episodes than the plan says.
  mutating func append(_ block: RowBlock) -> Bool {
    guard block.rows <= plan.rows - rows else { return false }
    for field in DatasetField.allCases where field != .terminals {
      let values = block.bytes(of: field)
      let width = values.count / block.rows
      UnsafeMutableRawBufferPointer(rebasing: bytes(of: field)[(rows * width)...]).copyMemory(
        from: UnsafeRawBufferPointer(values))
    }
    rows += block.rows
    return index.add(UnsafeBufferPointer(start: block.terminals, count: block.rows))
  }

  /// Whether all rows and episodes of the plan have been added.
  var isComplete: Bool { rows == plan.rows && index.isComplete }
}
