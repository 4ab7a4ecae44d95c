import ArrayFiles

/// Computes the reward r(s) and the mask of a transition from the observation of its first state s (O numbers).
public typealias RewardRule = (UnsafeBufferPointer<Float>) -> (reward: Float, mask: Float)

extension OGBenchSource {
  /// Actions are clipped to ±actionLimit as in the published training code, so that the inverse of tanh and
  /// densities on the open interval are finite.
  public static let actionLimit: Float = 1 - 1e-5

  /// How far outside [−1, 1] an action may lie before it is taken for a mistake rather than for rounding.
  public static let actionTolerance: Float = 1e-6

  /// Unpacks the dataset into `block`, which has `plan.byteCount` bytes, best at a multiple of 64, and checks it.
  ///
  /// Rewards and masks are the file's if it has them, otherwise those of `rule`. Throws ``FileError``, naming
  /// member, row and value, for damaged data, for NaN and infinity, for actions outside [−1, 1] and masks outside
  /// [0, 1], and if there are neither rewards and masks in the file nor a rule.
  public func load(
    into block: UnsafeMutableRawBufferPointer, rewards rule: RewardRule? = nil
  ) throws(FileError) -> DatasetStatistics {
    guard hasRewards || rule != nil else {
      throw FileError(
        .malformed, file: path,
        reason:
          "has no rewards and masks; add members 'rewards' and 'masks', one number per row, or name a task "
          + "whose rewards are known")
    }
    let fields = DatasetFields(plan, block)
    var actions = ActionSummary()
    var start = 0
    for shard in shards {
      try load(shard, at: start, into: fields, rule, &actions)
      start += shard.rows
    }
    fillTransitions(fields.transitions)
    return DatasetStatistics(fields, plan, terminals, actions)
  }

  private func load(
    _ shard: OGBenchShard, at start: Int, into fields: DatasetFields, _ rule: RewardRule?,
    _ summary: inout ActionSummary
  ) throws(FileError) {
    let (O, A) = (plan.observationSize, plan.actionSize)
    let rows = start..<start + shard.rows
    let observations = slice(fields.observations, rows, O)
    let actions = slice(fields.actions, rows, A)
    let rewards = slice(fields.rewards, rows, 1)
    let masks = slice(fields.masks, rows, 1)
    try shard.file.read("observations", into: observations)
    try shard.check(observations, "observations", width: O)
    try shard.file.read("actions", into: actions)
    let outermost = 1 + Self.actionTolerance
    try shard.check(actions, "actions", width: A, within: -outermost...outermost, "outside [-1, 1]")
    summary.clip(actions)
    if shard.hasRewards {
      try shard.file.read("rewards", into: rewards)
      try shard.file.read("masks", into: masks)
    } else if let rule {
      for row in 0..<shard.rows {
        (rewards[row], masks[row]) = rule(UnsafeBufferPointer(slice(observations, row..<row + 1, O)))
      }
    }
    try shard.check(rewards, "rewards", width: 1)
    try shard.check(masks, "masks", width: 1, within: 0...1, "outside [0, 1]")
  }

  private func fillTransitions(_ transitions: UnsafeMutableBufferPointer<UInt32>) {
    var next = 0
    for row in 0..<terminals.count where !terminals[row] {
      transitions[next] = UInt32(row)
      next += 1
    }
  }
}

/// The arrays of a dataset in the block that is being filled.
struct DatasetFields {
  let observations: UnsafeMutableBufferPointer<Float>
  let actions: UnsafeMutableBufferPointer<Float>
  let rewards: UnsafeMutableBufferPointer<Float>
  let masks: UnsafeMutableBufferPointer<Float>
  let transitions: UnsafeMutableBufferPointer<UInt32>

  init(_ plan: DatasetPlan, _ block: UnsafeMutableRawBufferPointer) {
    precondition(block.count >= plan.byteCount, "the block is smaller than the plan")
    precondition(Int(bitPattern: block.baseAddress) % 4 == 0, "the block is not aligned")
    func array<T>(_ offset: Int, _ count: Int, _: T.Type) -> UnsafeMutableBufferPointer<T> {
      let start = (block.baseAddress! + offset).bindMemory(to: T.self, capacity: count)
      return UnsafeMutableBufferPointer(start: start, count: count)
    }
    observations = array(plan.observationsOffset, plan.rows * plan.observationSize, Float.self)
    actions = array(plan.actionsOffset, plan.rows * plan.actionSize, Float.self)
    rewards = array(plan.rewardsOffset, plan.rows, Float.self)
    masks = array(plan.masksOffset, plan.rows, Float.self)
    transitions = array(plan.transitionsOffset, plan.transitions, UInt32.self)
  }
}

private func slice(
  _ values: UnsafeMutableBufferPointer<Float>, _ rows: Range<Int>, _ width: Int
) -> UnsafeMutableBufferPointer<Float> {
  UnsafeMutableBufferPointer(rebasing: values[rows.lowerBound * width..<rows.upperBound * width])
}

extension OGBenchShard {
  /// Refuses NaN and infinity in `values`, `width` of which make a row.
  fileprivate func check(
    _ values: UnsafeMutableBufferPointer<Float>, _ member: String, width: Int
  ) throws(FileError) {
    // Adding one to an exponent of all ones carries into the sign bit. Integers, so that this becomes SIMD.
    var carries: UInt32 = 0
    for value in values { carries |= (value.bitPattern & 0x7F80_0000) &+ 0x0080_0000 }
    guard carries >> 31 == 1, let index = values.firstIndex(where: { !$0.isFinite }) else { return }
    throw refusal(member, index, width, values[index], "not a finite number")
  }

  /// Refuses values outside `range`, and NaN.
  fileprivate func check(
    _ values: UnsafeMutableBufferPointer<Float>, _ member: String, width: Int,
    within range: ClosedRange<Float>,
    _ fault: String
  ) throws(FileError) {
    try check(values, member, width: width)
    let (low, high) = (range.lowerBound, range.upperBound)
    guard let index = values.firstIndex(where: { $0 < low || $0 > high }) else { return }
    throw refusal(member, index, width, values[index], fault)
  }

  private func refusal(
    _ member: String, _ index: Int, _ width: Int, _ value: Float, _ fault: String
  ) -> FileError {
    let column = width > 1 ? " column \(index % width)" : ""
    return FileError(
      .malformed, file: file.path, member: member,
      reason: "row \(index / width)\(column) is \(value), \(fault)")
  }
}

/// What the actions were before they were clipped.
struct ActionSummary {
  var minimum = Float.infinity
  var maximum = -Float.infinity
  var clipped = 0

  /// Notes and clips finite `actions`.
  fileprivate mutating func clip(_ actions: UnsafeMutableBufferPointer<Float>) {
    let limit = OGBenchSource.actionLimit
    var (low, high, count) = (minimum, maximum, clipped)
    for index in actions.indices {
      let action = actions[index]
      low = min(low, action)
      high = max(high, action)
      count += abs(action) > limit ? 1 : 0
      actions[index] = max(-limit, min(limit, action))
    }
    (minimum, maximum, clipped) = (low, high, count)
  }
}
