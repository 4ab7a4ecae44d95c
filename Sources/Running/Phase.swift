import Exploration
import TrainingData

/// A stretch of a run in which all updates draw their batches in the same way.
struct Phase {
  /// The number of the run's updates that are done when it begins.
  let firstUpdate: Int
  /// The number of the run's updates that are done when it ends.
  let lastUpdate: Int
  /// What its updates draw from.
  let sampler: BatchSampler
  /// What collects further transitions before each update; nil for training on a fixed dataset.
  let collector: Collector?

  /// Training on a fixed dataset.
  static func offline(_ sampler: BatchSampler, updates: Int) -> Phase {
    Phase(firstUpdate: 0, lastUpdate: updates, sampler: sampler, collector: nil)
  }

  /// Training on the dataset and on what is collected meanwhile.
  static func online(_ sampler: BatchSampler, _ collector: Collector, updates: Range<Int>) -> Phase {
    Phase(
      firstUpdate: updates.lowerBound, lastUpdate: updates.upperBound, sampler: sampler, collector: collector)
  }
}
