import ArrayFiles

/// The transitions of a dataset, wherever they are kept.
public protocol TransitionSource: Sendable {
  /// Sizes.
  var plan: DatasetPlan { get }

  /// Copies transition number `transition` (below `plan.transitions`): state and next state (O numbers each), action
  /// and next action (A each; the next action is the one stored in the next row), reward and mask (one each).
  func gather(
    _ transition: Int, observation: UnsafeMutablePointer<Float>, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutablePointer<Float>, nextAction: UnsafeMutablePointer<Float>
  ) throws(FileError)
}
