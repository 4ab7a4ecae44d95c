import Agents
import ArrayFiles
import Basics
import Datasets
import Kernels
import MPI
import Randomness

/// Draws a rank's rows of each batch: which transitions, and the noise that goes with them. Both depend on seed, update
/// and sample number only.
public final class BatchSampler {
  /// The rows of the last call of `load`.
  public let batch: Batch<Float>

  private let source: any TransitionSource
  private var shards: VirtualShards
  private let draws: [Draw]
  /// Moves images; nil where nothing moves.
  private let crop: RandomCrop?
  private let seed: UInt32
  /// The number that each row has in the batch over all ranks.
  private let sampleNumbers: UnsafeMutablePointer<UInt32>

  /// Draws batches of `batchSize` samples over all ranks from a source, which outlives the sampler.
  ///
  /// - Parameters:
  ///   - draws: the random inputs of the agent's updates.
  ///   - virtualShards: pieces that the data are cut into.
  ///   - moving: the probability that the images of a batch move by a few pixels.
  ///   - chunks: chunks of consecutive samples that the ranks share; nil where each rank has the samples of its pieces.
  /// - Throws: the same `Failure` on all ranks when there are more ranks than pieces, or when vectors are to move.
  public convenience init(
    _ source: any TransitionSource, _ spec: DataSpec, draws: [Draw], batchSize: Int, virtualShards: Int,
    moving: Double = 0, chunks: Int? = nil, seed: UInt32, world: Communicator
  ) throws(Failure) {
    try self.init(
      source, spec, draws: draws, batchSize: batchSize, virtualShards: virtualShards, moving: moving,
      chunks: chunks, seed: seed, ranks: world.size, rank: world.rank)
  }

  /// The same for one of so many ranks.
  init(
    _ source: any TransitionSource, _ spec: DataSpec, draws: [Draw], batchSize: Int, virtualShards: Int,
    moving: Double = 0, chunks: Int? = nil, seed: UInt32, ranks: Int, rank: Int
  ) throws(Failure) {
    precondition(
      source.observation == spec.observation && source.actionSize == spec.actionSize,
      "the rows of the data do not fit the batch")
    let transitions = source.transitionCount
    if let problem = VirtualShards.problem(
      transitions: transitions, batch: batchSize, shards: virtualShards, ranks: ranks)
    {
      throw Failure(.usage, problem + ", or raise --virtual-shards and --batch-size")
    }
    if let chunks, let problem = BatchChunks.problem(count: chunks, batch: batchSize, ranks: ranks) {
      throw Failure(.usage, "--reproducible: \(problem) (--reproducible-chunks)")
    }
    guard moving == 0 || spec.observation.isImage else {
      throw Failure(
        .usage, "--p-aug \(moving): moves images, but the observations are vectors; leave it out")
    }
    self.source = source
    self.seed = seed
    crop = RandomCrop(spec.observation, probability: moving, seed: seed)
    shards = VirtualShards(
      transitions: transitions, batch: batchSize, shards: virtualShards, ranks: ranks, rank: rank,
      held: chunks.map { BatchChunks(count: $0, batch: batchSize, ranks: ranks).samples(of: rank) })
    self.draws = draws
    batch = Batch(capacity: shards.maximumRows, spec, draws: draws)
    batch.globalRows = batchSize
    sampleNumbers = .allocate(capacity: shards.maximumRows)
    sampleNumbers.initialize(repeating: 0, count: shards.maximumRows)
  }

  deinit { sampleNumbers.deallocate() }

  /// Fills the batch for an update, counted from 0, from all transitions that the source has by now.
  ///
  /// - Throws: `RankFailure` when data that stay in their files cannot be read.
  public func load(step: Int) throws(RankFailure) {
    shards.grow(to: source.transitionCount)
    do { try gather(step: step) } catch { throw RankFailure(Failure(error)) }
    // The next update's data are on their way while this one computes.
    source.prefetch { body in
      shards.samples(step: step + 1, seed: seed, in: source.range(ofSample:)) { _, transition in
        body(transition)
      }
    }
    drawNoise(step: step)
  }

  private func gather(step: Int) throws(FileError) {
    var rows = 0
    let crop = crop?.moves(step: step) == true ? crop : nil
    try shards.samples(step: step, seed: seed, in: source.range(ofSample:)) {
      (sample, transition) throws(FileError) in
      sampleNumbers[rows] = UInt32(sample)
      try source.gather(
        transition, observation: batch.observations.row(rows), action: batch.actions.row(rows),
        reward: batch.rewards + rows, mask: batch.masks + rows,
        nextObservation: batch.nextObservations.row(rows), nextAction: batch.nextActions.row(rows))
      crop?.move(
        batch.observations.row(rows), batch.nextObservations.row(rows), step: step, sample: UInt32(sample))
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
