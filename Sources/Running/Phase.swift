import TrainingData

/// A stretch of a run in which all updates draw their batches in the same way.
struct Phase {
  /// The number of the run's updates that are done when it ends.
  let lastUpdate: Int
  /// What its updates draw from.
  let sampler: BatchSampler

  /// Training on a fixed dataset.
  static func offline(_ sampler: BatchSampler, updates: Int) -> Phase {
    Phase(lastUpdate: updates, sampler: sampler)
  }
}
