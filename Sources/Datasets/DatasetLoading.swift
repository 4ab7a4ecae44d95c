import ArrayFiles

/// A dataset that can be looked at and put into memory.
public protocol DatasetSource: Sendable {
  /// Its file or directory.
  var path: String { get }
  /// What it needs in memory.
  var plan: DatasetPlan { get }
  /// Where the data are from, in words for people; empty if nobody has written it down.
  var provenance: [String: String] { get }

  /// What the data look like, without keeping them.
  func survey() throws(FileError) -> DatasetStatistics

  /// Puts it into `block`, which has `plan.byteCount` bytes, best at a multiple of 64, and checks it. Throws
  /// ``FileError``, naming field, row and value, for data that are damaged or cannot be meant.
  func load(into block: UnsafeMutableRawBufferPointer) throws(FileError) -> DatasetStatistics
}

/// The parts of the block that a ``DatasetPlan`` lays out, while it is filled.
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

  /// All of a field that is stored as Float.
  func floats(of field: DatasetField) -> UnsafeMutableBufferPointer<Float> {
    let (offset, width) =
      switch field {
      case .observations: (plan.observationsOffset, plan.observationSize)
      case .actions: (plan.actionsOffset, plan.actionSize)
      case .rewards: (plan.rewardsOffset, 1)
      case .masks: (plan.masksOffset, 1)
      case .terminals: preconditionFailure("terminals are kept as the episode index")
      }
    let start = (base + offset).bindMemory(to: Float.self, capacity: plan.rows * width)
    return UnsafeMutableBufferPointer(start: start, count: plan.rows * width)
  }

  /// Adds rows behind those before. False if they do not fit.
  mutating func append(_ block: RowBlock) -> Bool {
    guard block.rows <= plan.rows - rows else { return false }
    for field in DatasetField.allCases where field != .terminals {
      let values = block.floats(of: field)
      let width = values.count / block.rows
      _ = UnsafeMutableBufferPointer(rebasing: floats(of: field)[(rows * width)...]).update(
        fromContentsOf: values)
    }
    rows += block.rows
    return index.add(UnsafeBufferPointer(start: block.terminals, count: block.rows))
  }

  /// Whether all rows and episodes are there.
  var isComplete: Bool { rows == plan.rows && index.isComplete }
}
