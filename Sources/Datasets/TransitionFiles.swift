import ArrayFiles

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
  private let episodes: EpisodeIndex
  private let observations: NpyFile
  private let actions: NpyFile
  private let rewards: NpyFile
  private let masks: NpyFile

  init(
    _ plan: DatasetPlan, _ episodes: EpisodeIndex, observations: NpyFile, actions: NpyFile, rewards: NpyFile,
    masks: NpyFile
  ) {
    self.plan = plan
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
    let row = episodes.row(of: transition)
    try read(
      observations, row, plan.observationSize, observation.assumingMemoryBound(to: Float.self),
      nextObservation.assumingMemoryBound(to: Float.self))
    try read(actions, row, plan.actionSize, action, nextAction)
    try rewards.read(from: row, into: UnsafeMutableBufferPointer(start: reward, count: 1))
    try masks.read(from: row, into: UnsafeMutableBufferPointer(start: mask, count: 1))
  }

  /// Reads row `row` of `width` elements into `first` and the row after it into `second`.
  private func read(
    _ file: NpyFile, _ row: Int, _ width: Int, _ first: UnsafeMutablePointer<Float>,
    _ second: UnsafeMutablePointer<Float>
  ) throws(FileError) {
    try withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * width) { (rows) throws(FileError) in
      try file.read(from: row * width, into: rows)
      first.update(from: rows.baseAddress!, count: width)
      second.update(from: rows.baseAddress! + width, count: width)
    }
  }

  public func prefetch(_ forEach: (_ body: (_ transition: Int) -> Void) -> Void) {
    forEach { transition in
      let row = episodes.row(of: transition)
      observations.prefetch(from: row * plan.observationSize, count: 2 * plan.observationSize)
      actions.prefetch(from: row * plan.actionSize, count: 2 * plan.actionSize)
      rewards.prefetch(from: row, count: 1)
      masks.prefetch(from: row, count: 1)
    }
  }
}
