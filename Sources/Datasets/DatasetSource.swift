import ArrayFiles

/// Reward and mask of a transition by the observation of its state s, for data that hold none.
public typealias RewardRule = (_ observation: UnsafeBufferPointer<Float>) -> (reward: Float, mask: Float)

/// The arrays of a dataset, row by row.
public enum DatasetField: String, Sendable {
  /// States, rows × O.
  case observations
  /// Actions, rows × A.
  case actions
  /// Rewards, one a row.
  case rewards
  /// Masks, one a row: 0 where the next state's value does not count.
  case masks
}

/// Where a dataset comes from: what is known of it before it is loaded, and its arrays.
public protocol DatasetSource {
  /// What to call it in messages: a path, or a task.
  var name: String { get }
  /// O, features of an observation.
  var observationSize: Int { get }
  /// A, components of an action.
  var actionSize: Int { get }
  /// For each row whether it is its episode's last.
  var terminals: [Bool] { get }
  /// Whether it holds rewards and masks.
  var hasRewards: Bool { get }
  /// Copies an array into memory of exactly its size.
  func read(_ field: DatasetField, into destination: UnsafeMutableBufferPointer<Float>) throws
}

extension DatasetSource {
  /// The sizes in memory. A row is the start of a transition when it is not terminal and another follows.
  public var plan: DatasetPlan {
    DatasetPlan(
      rows: terminals.count, observationSize: observationSize, actionSize: actionSize,
      transitions: terminals.dropLast().count { !$0 })
  }

  /// Loads the dataset into a block of `plan.byteCount` bytes and checks every number in it. Actions are clipped
  /// to ±(1 − 10⁻⁵), as in the published training code.
  ///
  /// - Parameter rule: gives rewards and masks when the source has none.
  /// - Throws: `FileError` naming the first row that is wrong.
  public func load(
    into block: UnsafeMutableRawBufferPointer, rewards rule: RewardRule?
  ) throws -> DatasetStatistics {
    let plan = plan
    let fields = DatasetFields(plan, block)
    try read(.observations, into: fields.observations)
    try check(.observations, fields.observations, width: observationSize, within: nil)
    try read(.actions, into: fields.actions)
    try check(.actions, fields.actions, width: actionSize, within: -1.000001...1.000001)
    let limit: Float = 1 - 1e-5
    for i in fields.actions.indices { fields.actions[i] = max(-limit, min(limit, fields.actions[i])) }
    try fillRewards(fields, rule)
    var transition = 0
    for row in 0..<terminals.count - 1 where !terminals[row] {
      fields.transitions[transition] = UInt32(row)
      transition += 1
    }
    return DatasetStatistics(
      of: TransitionDataset(plan: plan, base: UnsafeRawPointer(block.baseAddress!)))
  }

  private func fillRewards(_ fields: DatasetFields, _ rule: RewardRule?) throws {
    if hasRewards {
      try read(.rewards, into: fields.rewards)
      try check(.rewards, fields.rewards, width: 1, within: nil)
      try read(.masks, into: fields.masks)
      return try check(.masks, fields.masks, width: 1, within: 0...1)
    }
    guard let rule else {
      throw FileError(
        .malformed, file: name,
        reason: "holds no rewards: add members 'rewards' and 'masks' with one number a row each")
    }
    for row in fields.rewards.indices {
      let start = row * observationSize
      let observation = UnsafeBufferPointer(rebasing: fields.observations[start..<start + observationSize])
      (fields.rewards[row], fields.masks[row]) = rule(observation)
    }
  }

  private func check(
    _ field: DatasetField, _ values: UnsafeMutableBufferPointer<Float>, width: Int,
    within range: ClosedRange<Float>?
  ) throws {
    // NaN fails every comparison, so it is found by either test.
    let bad = values.firstIndex { value in
      range.map { !($0.lowerBound <= value && value <= $0.upperBound) } ?? !value.isFinite
    }
    guard let bad else { return }
    let expected =
      switch field {
      case .actions: "must lie in [-1, 1]"
      case .masks: "must lie in [0, 1]"
      default: "must be finite"
      }
    throw FileError(
      .malformed, file: name, member: field.rawValue,
      reason: "row \(bad / width) has \(values[bad]), which \(expected)")
  }
}

/// A dataset that is already in memory, such as one that was just recorded.
public struct RecordedSource: DatasetSource {
  public let name: String
  public let observationSize: Int
  public let actionSize: Int
  public let terminals: [Bool]
  public let hasRewards = false
  private let observations: [Float]
  private let actions: [Float]

  /// Rows of observations (rows × O) and actions (rows × A), with the ends of episodes.
  public init(name: String, observations: [Float], actions: [Float], terminals: [Bool]) {
    precondition(!terminals.isEmpty, "no rows")
    self.name = name
    self.observations = observations
    self.actions = actions
    self.terminals = terminals
    observationSize = observations.count / terminals.count
    actionSize = actions.count / terminals.count
  }

  public func read(_ field: DatasetField, into destination: UnsafeMutableBufferPointer<Float>) throws {
    switch field {
    case .observations: _ = destination.update(from: observations)
    case .actions: _ = destination.update(from: actions)
    case .rewards, .masks: preconditionFailure("recorded behaviour holds no \(field.rawValue)")
    }
  }
}
