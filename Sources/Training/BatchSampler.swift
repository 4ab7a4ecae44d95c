import Agents
import Datasets
import Kernels

/// Fills a rank's rows of each batch: which transitions, and the noise that goes with them. Both depend on seed,
/// update and sample number only.
final class BatchSampler {
  private let dataset: TransitionDataset
  private var shards: VirtualShards
  private let draws: [Draw]
  private let seed: UInt32
  private let batchSize: Int
  /// Number of each row in the batch over all ranks.
  private let sampleNumbers: UnsafeMutableBufferPointer<UInt32>

  /// - Parameter rows: capacity of the batches.
  init(dataset: TransitionDataset, shards: VirtualShards, draws: [Draw], seed: UInt32, batchSize: Int) {
    self.dataset = dataset
    self.shards = shards
    self.draws = draws
    self.seed = seed
    self.batchSize = batchSize
    sampleNumbers = .allocate(capacity: shards.maximumRows)
    sampleNumbers.initialize(repeating: 0)
  }

  deinit { sampleNumbers.deallocate() }

  /// Rows of this rank in the largest batch.
  var capacity: Int { sampleNumbers.count }

  /// Fills `batch` for an update, counted from 0.
  func fill(_ batch: Batch<Float>, step: Int) {
    var row = 0
    shards.samples(step: step, seed: seed) { sample, transition in
      sampleNumbers[row] = UInt32(sample)
      dataset.copy(transition, to: batch, row: row)
      row += 1
    }
    batch.rows = row
    batch.globalRows = batchSize
    let (low, high) = (UInt32(truncatingIfNeeded: step), UInt32(truncatingIfNeeded: step >> 32))
    for (index, draw) in draws.enumerated() {
      let key = SIMD2(seed, RandomStream.draw(index).rawValue)
      let matrix = batch.noise[index]
      switch draw.distribution {
      case .normal:
        CounterNoise.normal(matrix, rows: row, key: key) { SIMD4(0, sampleNumbers[$0], low, high) }
      case .uniform:
        CounterNoise.uniform(matrix, rows: row, key: key) { SIMD4(0, sampleNumbers[$0], low, high) }
      }
    }
  }
}

extension TransitionDataset {
  fileprivate func copy(_ transition: Int, to batch: Batch<Float>, row: Int) {
    gather(
      transition, observation: batch.observations.row(row), action: batch.actions.row(row),
      nextObservation: batch.nextObservations.row(row), nextAction: batch.nextActions.row(row),
      reward: batch.rewards + row, mask: batch.masks + row)
  }
}
