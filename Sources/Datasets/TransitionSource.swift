import ArrayFiles
import Basics

/// Gives access to the transitions of a dataset in memory or in files.
public protocol TransitionSource: Sendable {
  /// The number of transitions. A source may grow, but only between updates, and at the same update on all ranks.
  var transitionCount: Int { get }

  /// What an observation is.
  var observation: ObservationSpace { get }
  /// A, the numbers of an action.
  var actionSize: Int { get }

  /// Copies transition number `transition` (from 0, below `transitionCount`): state and next state (an observation each:
  /// Float numbers of a vector, bytes of an image), action and next action (A numbers each), reward and mask (one number each). The next action is that of the
  /// next row, even if that row ends its episode. Throws `FileError` if the data cannot be read.
  func gather(
    _ transition: Int, observation: UnsafeMutableRawPointer, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutableRawPointer, nextAction: UnsafeMutablePointer<Float>
  ) throws(FileError)

  /// The transitions that a sample of a batch is drawn from; nil for all of them.
  func range(ofSample sample: Int) -> Range<Int>?

  /// Lets the system begin to read transitions that are gathered soon, if they must be read.
  ///
  /// - Parameter forEach: calls its argument with each of these transitions.
  func prefetch(_ forEach: (_ body: (_ transition: Int) -> Void) -> Void)
}

extension TransitionSource {
  /// All samples are drawn from everything.
  public func range(ofSample sample: Int) -> Range<Int>? { nil }

  /// Nothing must be read: the transitions are in memory.
  public func prefetch(_ forEach: (_ body: (_ transition: Int) -> Void) -> Void) {}
}
