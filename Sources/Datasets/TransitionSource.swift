import ArrayFiles

/// Gives access to the transitions of a dataset in memory or in files.
public protocol TransitionSource: Sendable {
  /// The sizes of the dataset.
  var plan: DatasetPlan { get }

  /// Copies transition number `transition` (from 0, below `plan.transitions`): state and next state (O
  /// numbers each), action and next action (A numbers each), reward and mask (one number each). The next
  /// action is that of the next row, even if that row ends its episode. Throws `FileError` if the data cannot
  /// be read.
  func gather(
    _ transition: Int, observation: UnsafeMutablePointer<Float>, action: UnsafeMutablePointer<Float>,
    reward: UnsafeMutablePointer<Float>, mask: UnsafeMutablePointer<Float>,
    nextObservation: UnsafeMutablePointer<Float>, nextAction: UnsafeMutablePointer<Float>
  ) throws(FileError)
}
