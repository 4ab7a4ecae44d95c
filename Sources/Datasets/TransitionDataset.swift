/// The transitions of a dataset in memory that somebody else owns, usually shared between the ranks of a node.
///
/// Transition i leads from row `transitions[i]` to the row after it. A view must not outlive its block. It is
/// Sendable although it holds pointers: the block is filled before a view is made and never changes afterwards.
public struct TransitionDataset: @unchecked Sendable {
  /// Sizes and layout.
  public let plan: DatasetPlan
  /// (rows, O), one row after another.
  public let observations: UnsafePointer<Float>
  /// (rows, A), one row after another.
  public let actions: UnsafePointer<Float>
  /// (rows); the reward of the transition that starts in the row.
  public let rewards: UnsafePointer<Float>
  /// (rows); 0 where the value of the next state does not count, else 1.
  public let masks: UnsafePointer<Float>
  /// (N) numbers of the rows in which the transitions start, ascending.
  public let transitions: UnsafePointer<UInt32>

  /// A view of the block of `plan.byteCount` bytes at `base` that ``OGBenchSource/load(into:rewards:)`` filled.
  public init(plan: DatasetPlan, base: UnsafeRawPointer) {
    self.plan = plan
    observations = (base + plan.observationsOffset).assumingMemoryBound(to: Float.self)
    actions = (base + plan.actionsOffset).assumingMemoryBound(to: Float.self)
    rewards = (base + plan.rewardsOffset).assumingMemoryBound(to: Float.self)
    masks = (base + plan.masksOffset).assumingMemoryBound(to: Float.self)
    transitions = (base + plan.transitionsOffset).assumingMemoryBound(to: UInt32.self)
  }

  /// N, the number of transitions.
  @inlinable public var count: Int { plan.transitions }

  /// Copies transition number `transition` (below ``count``): state and next state (O numbers each), action and
  /// next action (A each; the next action is the one stored in the next row), reward and mask (one each).
  @inlinable
  public func gather(
    _ transition: Int, observation: UnsafeMutablePointer<Float>, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutablePointer<Float>, nextAction: UnsafeMutablePointer<Float>
  ) {
    precondition(transition >= 0 && transition < count, "no such transition")
    let row = Int(transitions[transition])
    let (O, A) = (plan.observationSize, plan.actionSize)
    observation.update(from: observations + row * O, count: O)
    nextObservation.update(from: observations + (row + 1) * O, count: O)
    action.update(from: actions + row * A, count: A)
    nextAction.update(from: actions + (row + 1) * A, count: A)
    reward.pointee = rewards[row]
    mask.pointee = masks[row]
  }
}
