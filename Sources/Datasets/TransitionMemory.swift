import Basics

/// The transitions of a dataset in memory that the caller owns, usually shared between the ranks of a node.
///
/// The memory must outlive this view of it. The type is Sendable although it holds pointers, because the
/// memory is filled before the view is made and never changes afterwards.
public struct TransitionMemory: TransitionSource, @unchecked Sendable {
  /// The sizes of the dataset and its layout in memory.
  public let plan: DatasetPlan
  public var transitionCount: Int { plan.transitions }
  public var observation: ObservationSpace { stack.observation }
  public var actionSize: Int { plan.actionSize }
  private let stack: FrameStack
  private let observations: UnsafeRawPointer
  private let actions: UnsafePointer<Float>
  private let rewards: UnsafePointer<Float>
  private let masks: UnsafePointer<Float>
  private let episodes: EpisodeIndex

  /// Makes a view of the block of `plan.byteCount` bytes at `base` that ``DatasetSource/load(into:)`` filled.
  ///
  /// - Parameter frames: successive rows that make an observation. The memory holds each row once.
  public init(plan: DatasetPlan, base: UnsafeRawPointer, frames: Int = 1) {
    self.plan = plan
    stack = FrameStack(frame: plan.observation, frames: frames)
    observations = base + plan.observationsOffset
    actions = (base + plan.actionsOffset).assumingMemoryBound(to: Float.self)
    rewards = (base + plan.rewardsOffset).assumingMemoryBound(to: Float.self)
    masks = (base + plan.masksOffset).assumingMemoryBound(to: Float.self)
    episodes = EpisodeIndex(base + plan.episodesOffset, episodes: plan.episodes)
  }

  public func gather(
    _ transition: Int, observation: UnsafeMutableRawPointer, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutableRawPointer, nextAction: UnsafeMutablePointer<Float>
  ) {
    precondition(transition >= 0 && transition < plan.transitions, "no such transition")
    let (row, first) = episodes.place(of: transition)
    let (bytes, A) = (plan.observation.byteCount, plan.actionSize)
    stack.write(row, from: first, to: observation) { observations + $0 * bytes }
    stack.write(row + 1, from: first, to: nextObservation) { observations + $0 * bytes }
    action.update(from: actions + row * A, count: A)
    nextAction.update(from: actions + (row + 1) * A, count: A)
    reward.pointee = rewards[row]
    mask.pointee = masks[row]
  }
}
