import Agents
import ArrayFiles
import Datasets
import Kernels
import MPI
import Randomness

/// A rank's rows of each batch: which transitions, and the noise that goes with them. Both depend on seed, update
/// and sample number only.
package final class BatchSampler {
  /// The rows of the last call of `load`.
  package let batch: Batch<Float>

  private let dataset: any TransitionSource
  private let shards: VirtualShards
  private let draws: [Draw]
  private let seed: UInt32
  /// Number of each row in the batch over all ranks.
  private let sampleNumbers: UnsafeMutablePointer<UInt32>

  /// Batches of `batchSize` samples over all ranks from a dataset, which outlives the sampler.
  ///
  /// - Parameters:
  ///   - parts: virtual shards that the data are cut into.
  ///   - draws: the random inputs of the agent's updates.
  /// - Throws: the same `Failure` on all ranks when there are more of them than the batch has parts.
  package init(
    _ dataset: any TransitionSource, _ spec: DataSpec, draws: [Draw], batchSize: Int, parts: Int,
    seed: UInt32, world: Communicator
  ) throws(Failure) {
    if let problem = VirtualShards.problem(
      transitions: dataset.plan.transitions, batch: batchSize, shards: parts, ranks: world.size)
    {
      throw Failure(.usage, problem + ", or raise --virtual-shards and --batch-size")
    }
    self.dataset = dataset
    self.seed = seed
    shards = VirtualShards(
      transitions: dataset.plan.transitions, batch: batchSize, shards: parts, ranks: world.size,
      rank: world.rank)
    self.draws = draws
    batch = Batch(capacity: shards.maximumRows, spec, draws: draws)
    batch.globalRows = batchSize
    sampleNumbers = .allocate(capacity: shards.maximumRows)
    sampleNumbers.initialize(repeating: 0, count: shards.maximumRows)
  }

  deinit { sampleNumbers.deallocate() }

  /// Fills the batch for an update, counted from 0.
  ///
  /// - Throws: `RankFailure` when the data cannot be read, which they are only now if they stay in their files.
  package func load(step: Int) throws(RankFailure) {
    do { try gather(step: step) } catch { throw RankFailure(Failure(error)) }
    // The next update's data are on their way while this one computes.
    if let files = dataset as? TransitionFiles {
      shards.samples(step: step + 1, seed: seed) { files.prefetch($1) }
    }
    drawNoise(step: step)
  }

  private func gather(step: Int) throws(FileError) {
    var rows = 0
    try shards.samples(step: step, seed: seed) { (sample, transition) throws(FileError) in
      sampleNumbers[rows] = UInt32(sample)
      try dataset.gather(
        transition, observation: batch.observations.row(rows), action: batch.actions.row(rows),
        reward: batch.rewards + rows, mask: batch.masks + rows,
        nextObservation: batch.nextObservations.row(rows), nextAction: batch.nextActions.row(rows))
      rows += 1
    }
    batch.update = step
    batch.rows = rows
  }

  private func drawNoise(step: Int) {
    for (index, draw) in draws.enumerated() {
      let key = SIMD2(seed, RandomStream.draw(index).rawValue)
      draw.fill(batch.noise[index], rows: batch.rows, key: key, step: step) { sampleNumbers[$0] }
    }
  }
}
