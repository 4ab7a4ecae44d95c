/// A dataset of transitions in memory that somebody else owns.
///
/// Transition i goes from row `transitions[i]` to the row after it.
public struct TransitionDataset {
  /// The sizes.
  public let plan: DatasetPlan
  let observations: UnsafePointer<Float>
  let actions: UnsafePointer<Float>
  let rewards: UnsafePointer<Float>
  let masks: UnsafePointer<Float>
  let transitions: UnsafePointer<UInt32>

  /// A view of a block that has been loaded, and outlives the view.
  public init(plan: DatasetPlan, base: UnsafeRawPointer) {
    self.plan = plan
    observations = base.assumingMemoryBound(to: Float.self)
    actions = (base + plan.actionsOffset).assumingMemoryBound(to: Float.self)
    rewards = (base + plan.rewardsOffset).assumingMemoryBound(to: Float.self)
    masks = (base + plan.masksOffset).assumingMemoryBound(to: Float.self)
    transitions = (base + plan.transitionsOffset).assumingMemoryBound(to: UInt32.self)
  }

  /// Number of transitions.
  public var count: Int { plan.transitions }

  /// Copies one transition: s and s′ (O), a and the action stored one row later (A), r and mask.
  public func gather(
    _ transition: Int, observation: UnsafeMutablePointer<Float>, action: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutablePointer<Float>, nextAction: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>
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
