import ArrayFiles
import Basics

/// The transitions of a dataset that stays in its files. Each transition is read when it is gathered, so a
/// dataset may be larger than memory.
///
/// Rows are read, not mapped, for two reasons. The system then keeps the files in its page cache, which all
/// ranks of a node share and which does not count as the memory of any of them. And when a file is cut short
/// or a network file system fails, the read returns an error, where a mapping would end the process with a
/// signal.
public struct TransitionFiles: TransitionSource {
  public let plan: DatasetPlan
  public var transitionCount: Int { plan.transitions }
  public var observation: ObservationSpace { stack.observation }
  public var actionSize: Int { plan.actionSize }
  private let stack: FrameStack
  private let episodes: EpisodeIndex
  private let observations: NpyFile
  private let actions: NpyFile
  private let rewards: NpyFile
  private let masks: NpyFile

  init(
    _ plan: DatasetPlan, _ episodes: EpisodeIndex, frames: Int, observations: NpyFile, actions: NpyFile,
    rewards: NpyFile,
    masks: NpyFile
  ) {
    self.plan = plan
    stack = FrameStack(frame: plan.observation, frames: frames)
    self.episodes = episodes
    self.observations = observations
    self.actions = actions
    self.rewards = rewards
    self.masks = masks
    for file in [observations, actions, rewards, masks] { file.expectRandomReads() }
  }

  public func gather(
    _ transition: Int, observation: UnsafeMutableRawPointer, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutableRawPointer, nextAction: UnsafeMutablePointer<Float>
  ) throws(FileError) {
    precondition(transition >= 0 && transition < plan.transitions, "no such transition")
    let (row, first) = episodes.place(of: transition)
    try readObservations(row, from: first, observation, nextObservation)
    try read(actions, row, plan.actionSize, action, nextAction)
    try rewards.read(from: row, into: UnsafeMutableBufferPointer(start: reward, count: 1))
    try masks.read(from: row, into: UnsafeMutableBufferPointer(start: mask, count: 1))
    guard reward.pointee.isFinite else { throw damage(rewards, row) }
    guard (0...1).contains(mask.pointee) else { throw damage(masks, row) }
  }

  /// Reads the observations of row `row`, whose episode starts in `first`, and of the row after it.
  private func readObservations(
    _ row: Int, from first: Int, _ observation: UnsafeMutableRawPointer,
    _ nextObservation: UnsafeMutableRawPointer
  ) throws(FileError) {
    let (oldest, bytes) = (stack.oldest(row, from: first), plan.observation.byteCount)
    try withUnsafeTemporaryAllocation(
      byteCount: (row + 2 - oldest) * bytes, alignment: MemoryLayout<Float>.alignment
    ) { (rows) throws(FileError) in
      try observations.read(from: oldest * plan.observationSize, into: rows)
      if !plan.observation.isImage {
        try requireFinite(rows.bindMemory(to: Float.self), observations, row)
      }
      let base = UnsafeRawPointer(rows.baseAddress!)
      stack.write(row, from: first, to: observation) { base + ($0 - oldest) * bytes }
      stack.write(row + 1, from: first, to: nextObservation) { base + ($0 - oldest) * bytes }
    }
  }

  private func requireFinite(
    _ rows: UnsafeMutableBufferPointer<Float>, _ file: NpyFile, _ row: Int
  ) throws(FileError) {
    // Finite numbers times zero add up to zero; the sum is there so that the loop has no branch.
    guard rows.reduce(0, { $0 + $1 * 0 }) == 0 else { throw damage(file, row) }
  }

  /// The files are too large to be compared with their digests first, but what no dataset holds is noticed.
  private func damage(_ file: NpyFile, _ row: Int) -> FileError {
    FileError(
      .malformed, file: file.path,
      reason:
        "row \(row) or the one after it is damaged: it holds what is not a number or out of range; import again"
    )
  }

  /// Reads row `row` of `width` elements into `first` and the row after it into `second`.
  private func read(
    _ file: NpyFile, _ row: Int, _ width: Int, _ first: UnsafeMutablePointer<Float>,
    _ second: UnsafeMutablePointer<Float>
  ) throws(FileError) {
    try withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * width) { (rows) throws(FileError) in
      try file.read(from: row * width, into: rows)
      try requireFinite(rows, file, row)
      first.update(from: rows.baseAddress!, count: width)
      second.update(from: rows.baseAddress! + width, count: width)
    }
  }

  public func prefetch(_ forEach: (_ body: (_ transition: Int) -> Void) -> Void) {
    forEach { transition in
      let (row, first) = episodes.place(of: transition)
      let oldest = stack.oldest(row, from: first)
      observations.prefetch(
        from: oldest * plan.observationSize, count: (row + 2 - oldest) * plan.observationSize)
      actions.prefetch(from: row * plan.actionSize, count: 2 * plan.actionSize)
      rewards.prefetch(from: row, count: 1)
      masks.prefetch(from: row, count: 1)
    }
  }
}
