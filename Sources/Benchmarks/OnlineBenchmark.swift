import Agents
import Basics
import Environments
import Exploration
import Kernels
import Learning
import MPI
import Settings
import TrainingData

/// Times updates of an online phase with their steps in the environment, and the same updates without.
public final class OnlineBenchmark {
  /// Medians over the rounds. Times are in milliseconds.
  public struct Result: Codable, Sendable {
    /// The task.
    public var env: String
    /// Ranks.
    public var ranks: Int
    /// Environments that are stepped at once.
    public var environments: Int
    /// Updates for each step in an environment.
    public var updatesPerStep: Double
    /// An update without steps.
    public var update: Double
    /// An update with its steps.
    public var updateWithSteps: Double
    /// Updates a second without steps.
    public var updatesPerSecond: Double
    /// Updates a second with their steps.
    public var updatesPerSecondWithSteps: Double
    /// Share of the time with steps that goes to acting, stepping and waiting for that.
    public var environmentShare: Double
  }

  /// Updates before the first measurement.
  private static let warmUp = 3
  /// Transitions that there is room for, or one more than the dataset has.
  private static let room = 100_000

  private let configuration: Configuration
  private let world: Communicator
  private let training: BatchSource
  private let learner: Learner
  private let collector: Collector
  private var step = 0
  private var onlineUpdate = 0

  /// The data, the networks and the environment of a task. Collective over all ranks.
  ///
  /// - Parameter releases: is told what to free at the end.
  public init(
    env: String, _ hyperparameters: Hyperparameters, environments: Int, updatesPerStep: Double, threads: Int,
    _ workers: WorkerOptions, world: Communicator, _ releases: Releases, say: @escaping (String) -> Void
  ) throws {
    var configuration = try world.together {
      try Configuration.layered([
        "--env=\(env)", "--online-steps=1000000000", "--online-environments=\(environments)",
        "--updates-per-step=\(updatesPerStep)", "--buffer-size=\(Self.room)",
      ])
    }
    configuration.hyperparameters = hyperparameters
    (self.configuration, self.world) = (configuration, world)
    BLAS.setThreads(threads)
    let task = try world.together { try namedTask(env) }
    let importing = DatasetLocation.Import(python: workers.python, say: say)
    let location = try DatasetLocation(configuration, task, importing, world: world)
    training = try .training(configuration, at: location, world: world, releases)
    guard let replay = training.replay else { preconditionFailure("the run goes online") }
    learner = try Learner(
      hyperparameters, training.data.spec, rows: training.sampler.batch.capacity, world: world)
    releases.add(learner.free)
    try learner.start(seed: 0)
    collector = try Collector(
      configuration, task, workers, training.data.spec, data: nil, replay,
      rewards: training.data.rewardScale, cores: try SpareCores(world, threads: threads), world: world,
      isStopped: { false }, warn: say)
  }

  /// Measures in `rounds` rounds of `updates` updates each, about half a second's if nil, with steps and without in
  /// turn. Collective.
  public func run(rounds: Int, updates: Int?) throws -> Result {
    try updateOnline()
    let warmUp = try seconds { for _ in 0..<Self.warmUp { try updateOnline() } }
    let updates = try updates ?? updatesOfARound(warmUp / Double(Self.warmUp), world)
    var (without, with, shares) = ([Double](), [Double](), [Double]())
    for _ in 0..<rounds {
      try world.barrier()
      without.append(try seconds { for _ in 0..<updates { try update() } } / Double(updates))
      try world.barrier()
      let before = collector.seconds
      let time = try seconds { for _ in 0..<updates { try updateOnline() } }
      with.append(time / Double(updates))
      shares.append((collector.seconds - before) / time)
    }
    let (alone, withSteps) = (median(without), median(with))
    return Result(
      env: configuration.env, ranks: world.size, environments: configuration.online.onlineEnvironments,
      updatesPerStep: configuration.online.updatesPerStep, update: 1e3 * alone,
      updateWithSteps: 1e3 * withSteps, updatesPerSecond: 1 / alone,
      updatesPerSecondWithSteps: 1 / withSteps, environmentShare: median(shares))
  }

  private func update() throws {
    try training.sampler.load(step: step)
    _ = try learner.update(training.sampler.batch)
    step += 1
  }

  private func updateOnline() throws {
    let parameters = learner.memory.parameters
    if case .failed(let failure) = try collector.collect(before: onlineUpdate, parameters) { throw failure }
    collector.beginAhead(of: onlineUpdate, parameters)
    try update()
    try collector.endAhead(of: onlineUpdate)
    onlineUpdate += 1
  }
}
