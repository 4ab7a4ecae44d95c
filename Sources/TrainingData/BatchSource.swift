import Agents
import Basics
import MPI
import Settings

/// Data, shared by the ranks of a node, and the sampler that draws batches from them.
public struct BatchSource {
  /// The data.
  public let data: SharedDataset
  /// What draws batches from them.
  public let sampler: BatchSampler
  /// What the sampler draws from, if the run collects more.
  public let replay: SharedReplayBuffer?
  private let seed: UInt32
  private let virtualShards: Int

  /// Whole batches of the same data for this rank alone, without an agent's noise. On any number of ranks they are the
  /// same.
  public func wholeBatches(of batchSize: Int) throws(Failure) -> BatchSampler {
    try BatchSampler(
      data.transitions, data.spec, draws: [], batchSize: batchSize, virtualShards: virtualShards, seed: seed,
      ranks: 1, rank: 0)
  }

  /// What a run trains on. Collective.
  ///
  /// - Parameter releases: is told what to free at the end.
  public static func training(
    _ configuration: Configuration, at location: DatasetLocation, world: Communicator, _ releases: Releases
  ) throws -> BatchSource {
    try training(
      configuration, on: SharedDataset(configuration, at: location, world: world, releases), world: world,
      releases)
  }

  /// What a run trains on, of data that are loaded already. Collective.
  ///
  /// - Parameter releases: is told what to free at the end.
  public static func training(
    _ configuration: Configuration, on data: SharedDataset, world: Communicator, _ releases: Releases
  ) throws -> BatchSource {
    try data.requireDigest(of: configuration)
    let replay =
      configuration.online.onlineSteps > 0
      ? try SharedReplayBuffer(data, configuration.online, world: world, releases) : nil
    return try BatchSource(data, like: data, replay, configuration, seed: configuration.seed, world)
  }

  /// What a run's losses are validated on, if there are such data, enough for all ranks. Collective.
  ///
  /// - Parameters:
  ///   - training: the data that the run trains on, which the others must fit.
  ///   - releases: is told what to free at the end.
  ///   - warn: is told if there are too few.
  public static func validation(
    _ configuration: Configuration, at location: DatasetLocation, like training: SharedDataset,
    world: Communicator, _ releases: Releases, warn: (String) -> Void
  ) throws -> BatchSource? {
    try validation(
      configuration, on: SharedDataset.validation(configuration, at: location, world: world, releases),
      like: training, world: world, warn: warn)
  }

  /// The same of data that are loaded already, if there are any. Collective.
  public static func validation(
    _ configuration: Configuration, on data: SharedDataset?, like training: SharedDataset,
    world: Communicator, warn: (String) -> Void
  ) throws -> BatchSource? {
    if let count = data?.transitions.transitionCount, count < world.size {
      warn(
        "the validation data are left out: \(count) transition(s) cannot be divided among \(world.size) ranks; use at most \(count) rank(s), or more data"
      )
      return nil
    }
    return try data.map {
      try BatchSource(
        $0, like: training, nil, configuration, seed: validationSeed(configuration.seed), world)
    }
  }

  /// The seed of validation batches: another one, so that they draw other numbers than training batches.
  private static func validationSeed(_ seed: UInt32) -> UInt32 { seed ^ 0x9E37_79B9 }

  /// Batches of `data` for networks that are made for the data `training`. Whatever a run computes with passes here.
  private init(
    _ data: SharedDataset, like training: SharedDataset, _ replay: SharedReplayBuffer?,
    _ configuration: Configuration, seed: UInt32,
    _ world: Communicator
  ) throws {
    let hyperparameters = configuration.hyperparameters
    let spec = training.spec
    try world.together {
      // Validation data of another kind must not be told which encoder they need.
      try data.spec.requireFit(spec, of: training.path, data: data.path)
      try hyperparameters.requireFit(data.spec.observation, of: data.path)
    }
    self.data = data
    self.replay = replay
    self.seed = seed
    virtualShards = configuration.virtualShards
    sampler = try BatchSampler(
      replay?.buffer ?? data.transitions, spec, draws: hyperparameters.agent.draws(spec, hyperparameters),
      batchSize: hyperparameters.batchSize, virtualShards: configuration.virtualShards,
      moving: configuration.pAug, chunks: configuration.reproducible ? configuration.reproducibleChunks : nil,
      seed: seed, world: world)
  }
}
