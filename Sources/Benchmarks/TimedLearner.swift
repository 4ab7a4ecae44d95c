import Agents
import Kernels
import Learning
import MPI
import Profiling
import TrainingData

/// A learner at its first parameters, with what feeds it.
final class TimedLearner {
  let learner: Learner
  /// Bytes of this rank: workspaces, and its share of parameters, moments and gradients.
  let byteCount: Int
  /// Bytes of this rank's workspaces, its batch and the policy's among them.
  let workspaceBytes: Int
  /// Rows of the batch on this rank, at most.
  var capacity: Int { sampler.batch.capacity }
  /// Where the time of its updates goes.
  var profile: Profile { learner.profile }

  private let hyperparameters: Hyperparameters
  private let data: MadeUpTransitions
  private let sampler: BatchSampler
  private let policy: any Policy<Float>
  private var step = 0

  /// Pieces that the made-up data are cut into, as many as training has by default.
  private static let virtualShards = 64

  /// Collective over all ranks.
  ///
  /// - Parameters:
  ///   - chunks: chunks of the batch for reproducible updates; nil for others.
  ///   - releases: is told what to free at the end.
  init(
    _ hyperparameters: Hyperparameters, _ data: MadeUpTransitions, world: Communicator, ranksPerNode: Int?,
    chunks: Int? = nil, _ releases: Releases
  ) throws {
    self.hyperparameters = hyperparameters
    self.data = data
    let (kind, spec) = (hyperparameters.agent, data.spec)
    let before = bufferBytes
    sampler = try BatchSampler(
      data.memory, spec, draws: kind.draws(spec, hyperparameters), batchSize: hyperparameters.batchSize,
      virtualShards: Self.virtualShards, chunks: chunks, seed: 0, world: world)
    policy = kind.policy(spec, hyperparameters, rows: 1)
    learner = try Learner(
      hyperparameters, spec, rows: sampler.batch.capacity, world: world, ranksPerNode: ranksPerNode,
      chunks: chunks.map {
        BatchChunks(count: $0, batch: hyperparameters.batchSize, ranks: world.size)
      })
    releases.add(learner.free)
    workspaceBytes = bufferBytes - before
    byteCount = workspaceBytes + learner.memory.byteCount / learner.groupSize
    try learner.start(seed: 0)
  }

  /// One update, as in training. Collective over all ranks.
  func update() throws {
    try profile.time(.sampling) { try sampler.load(step: step) }
    _ = try learner.update(sampler.batch)
    step += 1
  }

  /// The gradient of the first `rows` rows of the last batch, on this rank alone.
  func computeGradient(rows: Int) throws {
    sampler.batch.rows = rows
    try learner.computeGradientAlone(sampler.batch)
  }

  /// Measures with the profile on.
  func profiled(_ body: () throws -> Void) rethrows {
    profile.reset()
    profile.isOn = true
    defer { profile.isOn = false }
    try body()
  }

  /// The policy, for `rows` observations at once.
  func policy(rows: Int) -> any Policy<Float> {
    hyperparameters.agent.policy(data.spec, hyperparameters, rows: rows)
  }

  /// One action for one observation.
  func act() { policy.act(learner.memory.parameters, rows: 1) }
}
