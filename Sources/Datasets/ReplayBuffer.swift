import ArrayFiles
import Basics

/// The sizes of a replay buffer and of the rows that it holds.
public struct ReplayPlan: Equatable, Sendable {
  /// Transitions of the dataset.
  public let dataset: Int
  /// Transitions that the buffer has room for, those of the dataset included.
  public let capacity: Int
  /// The first place that collected transitions may take.
  public let firstPlace: Int
  /// Collected transitions that there is memory for.
  public let storedRows: Int
  /// Environments that are stepped together; the transitions of each are this far apart.
  public let environments: Int
  /// O, the numbers of an observation.
  public let observationSize: Int
  /// A, the numbers of an action.
  public let actionSize: Int

  /// Sizes of a buffer.
  ///
  /// - Parameters:
  ///   - size: transitions to make room for. There is room for one more than the dataset has, at least.
  ///   - keepsDataset: whether the dataset stays whole, and `size` counts what is collected alone.
  ///   - mostCollected: transitions that the run can collect.
  public init(
    dataset: Int, size: Int, keepsDataset: Bool, mostCollected: Int, environments: Int, observationSize: Int,
    actionSize: Int
  ) {
    self.dataset = dataset
    capacity = keepsDataset ? dataset + size : max(size, dataset + 1)
    firstPlace = keepsDataset ? dataset : 0
    storedRows = max(1, min(mostCollected, capacity - firstPlace))
    self.environments = environments
    self.observationSize = observationSize
    self.actionSize = actionSize
  }

  /// Numbers of a collected transition: s, a, s′, reward, mask, and 1 where it is the first of its episode.
  public var rowWidth: Int { 2 * observationSize + actionSize + 3 }
  /// Where the action begins in a row.
  public var action: Int { observationSize }
  /// Where the next state begins in a row.
  public var nextObservation: Int { observationSize + actionSize }
  /// Where the reward is in a row; the mask and the mark of an episode's first transition follow.
  public var reward: Int { 2 * observationSize + actionSize }
  /// Bytes of the memory for collected transitions.
  public var byteCount: Int { storedRows * rowWidth * MemoryLayout<Float>.stride }
}

/// A dataset and what is collected beside it: what training online draws from.
///
/// The buffer has places, numbered from 0. The dataset's N transitions take the first N. Collected transitions take the
/// places after them and then, as in a ring, the oldest ones, which are the dataset's first. The dataset's own memory or
/// files are not changed by that: a place that is taken leads elsewhere.
public final class ReplayBuffer: TransitionSource, @unchecked Sendable {
  // All ranks that share the memory append between two updates, while none of them reads.

  /// The sizes.
  public let plan: ReplayPlan
  /// Transitions that have been collected, those that were overwritten since included.
  public private(set) var collected = 0
  public let observation: ObservationSpace
  public let actionSize: Int
  private let dataset: any TransitionSource
  private let rows: UnsafeMutablePointer<Float>
  /// Transitions of a batch of 1 that are drawn from the dataset; nil where all are drawn from everything.
  private let offlineRatio: Double?

  /// A buffer without collected transitions.
  ///
  /// - Parameters:
  ///   - memory: `plan.byteCount` bytes, which outlive the buffer; ranks may share them.
  ///   - offlineRatio: the share of each batch that is drawn from the dataset; nil draws all from everything.
  public init(
    _ dataset: any TransitionSource, _ plan: ReplayPlan, memory: UnsafeMutableRawPointer,
    offlineRatio: Double?
  ) {
    precondition(dataset.transitionCount == plan.dataset, "the plan is for another dataset")
    self.dataset = dataset
    self.plan = plan
    self.offlineRatio = offlineRatio
    observation = dataset.observation
    actionSize = dataset.actionSize
    rows = memory.bindMemory(to: Float.self, capacity: plan.storedRows * plan.rowWidth)
  }

  public var transitionCount: Int { min(plan.dataset + collected, plan.capacity) }

  /// The first collected transition that is still there.
  public var firstKept: Int { max(0, collected - plan.storedRows) }

  /// The numbers of a collected transition that is still there, `plan.rowWidth` of them.
  public func row(_ transition: Int) -> UnsafePointer<Float> {
    precondition((firstKept..<collected).contains(transition), "no such transition")
    return UnsafePointer(rows + transition % plan.storedRows * plan.rowWidth)
  }

  /// Takes `count` further transitions. Every rank calls it; of those that share the memory one writes.
  public func append(_ transitions: UnsafePointer<Float>, count: Int, writes: Bool) {
    if writes {
      for i in 0..<count {
        (rows + (collected + i) % plan.storedRows * plan.rowWidth)
          .update(from: transitions + i * plan.rowWidth, count: plan.rowWidth)
      }
    }
    collected += count
  }

  /// Counts transitions that were collected by an earlier run and have been overwritten since.
  public func skip(to collected: Int) { self.collected = collected }

  // MARK: Drawing

  /// The collected transition that has a place now; nil where it is the dataset's.
  private func collectedTransition(at place: Int) -> Int? {
    guard place >= plan.firstPlace else { return nil }
    let length = plan.capacity - plan.firstPlace
    // The first collected transition that comes to this place.
    let first = (place - plan.dataset + length) % length
    guard first < collected else { return nil }
    return first + (collected - 1 - first) / length * length
  }

  public func range(ofSample sample: Int) -> Range<Int>? {
    guard let offlineRatio, collected > 0 else { return nil }
    // Samples of both kinds alternate as evenly as the share allows.
    let isOffline =
      (Double(sample + 1) * offlineRatio).rounded(.down) > (Double(sample) * offlineRatio).rounded(.down)
    return isOffline ? 0..<plan.dataset : plan.dataset..<transitionCount
  }

  public func gather(
    _ transition: Int, observation: UnsafeMutableRawPointer, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutableRawPointer, nextAction: UnsafeMutablePointer<Float>
  ) throws(FileError) {
    guard let number = collectedTransition(at: transition) else {
      return try dataset.gather(
        transition, observation: observation, action: action, reward: reward, mask: mask,
        nextObservation: nextObservation, nextAction: nextAction)
    }
    let (row, bytes) = (row(number), plan.observationSize * MemoryLayout<Float>.stride)
    observation.copyMemory(from: row, byteCount: bytes)
    action.update(from: row + plan.action, count: actionSize)
    nextObservation.copyMemory(from: row + plan.nextObservation, byteCount: bytes)
    reward.pointee = row[plan.reward]
    mask.pointee = row[plan.reward + 1]
    // As published: the action of the environment's next transition, even if another episode begins there; the newest
    // transition has only its own.
    let next = number + plan.environments
    nextAction.update(from: self.row(next < collected ? next : number) + plan.action, count: actionSize)
  }

  public func prefetch(_ forEach: (_ body: (_ transition: Int) -> Void) -> Void) {
    withoutActuallyEscaping(forEach) { forEach in
      dataset.prefetch { body in
        forEach { place in if collectedTransition(at: place) == nil { body(place) } }
      }
    }
  }
}
