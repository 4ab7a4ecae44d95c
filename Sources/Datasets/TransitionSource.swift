import ArrayFiles

/// The transitions of a dataset, wherever they are kept.
public protocol TransitionSource: Sendable {
  /// Number of transitions. A source may grow, but only between updates, and at the same update on all ranks.
  var transitionCount: Int { get }

  /// Copies transition number `transition` (below `transitionCount`): state and next state (O numbers each), action
  /// and next action (A each; the next action is the one stored in the next row), reward and mask (one each).
  func gather(
    _ transition: Int, observation: UnsafeMutablePointer<Float>, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutablePointer<Float>, nextAction: UnsafeMutablePointer<Float>
  ) throws(FileError)

  /// Lets the system begin to read transitions that are gathered soon, if they must be read.
  ///
  /// - Parameter forEach: calls its argument with each of these transitions.
  func prefetch(_ forEach: (_ body: (_ transition: Int) -> Void) -> Void)
}

extension TransitionSource {
  /// Nothing must be read: the transitions are in memory.
  public func prefetch(_ forEach: (_ body: (_ transition: Int) -> Void) -> Void) {}
}
