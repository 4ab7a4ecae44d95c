import Agents
import Basics
import Checkpoints
import Kernels
import MPI
import Randomness
import Settings
import TrainingData

/// What recorded episodes say about a policy, without an environment.
public struct Judgement: Sendable {
  /// A mean over seeds.
  public struct Value: Sendable, CustomStringConvertible {
    /// Of each seed.
    public let seeds: [Double]
    /// The mean.
    public var mean: Double { seeds.reduce(0, +) / Double(seeds.count) }

    /// The mean and its 95 % bootstrap interval over seeds.
    public var description: String {
      let interval = bootstrapInterval(ofGroups: [seeds]).map {
        " [\(decimals($0.low, 3)), \(decimals($0.high, 3))]"
      }
      return decimals(mean, 3) + (interval ?? "")
    }
  }

  /// The discounted return that the policy is expected to have from the first states of episodes.
  public let policy: Value
  /// The same for behaviour cloning; nil if the agent learns none.
  public let behaviour: Value?
  /// How much more it is than behaviour cloning's, by the same seeds.
  public var difference: Value? {
    behaviour.map { behaviour in Value(seeds: zip(policy.seeds, behaviour.seeds).map { $0 - $1 }) }
  }
  /// The root mean square difference between the policy's actions and the data's, over their numbers.
  public let actionError: Double
  /// The share of the numbers of the policy's actions that lie at −1 or 1.
  public let shareAtBounds: Double
  /// The data, in words.
  public let data: String

  private static let batchSize = 256
  private static let mostFirstStates = 1000
  /// Batches on which actions are compared.
  private static let comparedBatches = 8

  /// Judges the policy of a checkpoint. One rank.
  ///
  /// - Parameters:
  ///   - dataset: held-out episodes; nil for the validation data of the run, or its training data if there are none.
  ///   - say: is told of progress.
  public static func run(
    _ path: String, dataset: String?, _ options: FittedQOptions, importing: DatasetLocation.Import,
    world: Communicator, say: (String) throws -> Void
  ) throws -> Judgement {
    let saved = try SavedPolicy(path: path)
    guard case .vector = saved.state.spec.observation else {
      throw Failure(.usage, "\(path): this policy sees pictures, which --fqe does not judge")
    }
    return try Releases.around { releases in
      let (source, kind) = try open(saved, dataset, importing, world, releases)
      let (here, there) = (source.data.spec, saved.state.spec)
      guard (here.observationSize, here.actionSize) == (there.observationSize, there.actionSize) else {
        throw Failure(
          .data,
          "\(source.data.path): observations of \(here.observationSize) numbers and actions of \(here.actionSize), but the policy of \(path) has \(there.observationSize) and \(there.actionSize)"
        )
      }
      guard here.scales == there.scales else {
        throw Failure(
          .data,
          "\(source.data.path): is scaled in another way than what the policy of \(path) learned from; import it with --scales-of that dataset's directory"
        )
      }
      let starts = try FirstStates(of: source.data, atMost: mostFirstStates)
      let data = "\(kind), \(starts.episodes) episodes"
      try say("judged by \(data)")
      return try Judgement(saved, source, starts, options, data: data, say)
    }
  }

  private static func open(
    _ saved: SavedPolicy, _ dataset: String?, _ importing: DatasetLocation.Import, _ world: Communicator,
    _ releases: Releases
  ) throws -> (BatchSource, String) {
    var configuration = saved.configuration
    configuration.hyperparameters.batchSize = batchSize
    if let dataset { (configuration.dataset, configuration.datasetDigest) = (dataset, nil) }
    let location = try DatasetLocation(
      configuration, namedTask(configuration.env), importing, world: world)
    let data = try BatchSource.training(configuration, at: location, world: world, releases)
    if dataset != nil { return (data, data.data.path) }
    let validation = try BatchSource.validation(
      configuration, at: location, like: data.data, world: world, releases, warn: { _ in })
    return validation.map { ($0, "the run's validation data") }
      ?? (data, "the run's training data, because there are no validation data")
  }

  private init(
    _ saved: SavedPolicy, _ source: BatchSource, _ starts: FirstStates, _ options: FittedQOptions,
    data: String, _ say: (String) throws -> Void
  ) throws {
    let (spec, hyperparameters) = (saved.state.spec, saved.configuration.hyperparameters)
    let rows = Self.batchSize
    let policy = ActingPolicy(saved.policy(rows: rows), saved)
    let behaviour = hyperparameters.agent.behaviour(spec, hyperparameters, rows: rows).map {
      ActingPolicy($0, saved)
    }
    self.data = data
    (actionError, shareAtBounds) = try Self.compare(policy, source)
    func value(_ policy: ActingPolicy, _ name: String) throws -> Value {
      Value(
        seeds: try (0..<options.fqeSeeds).map { seed in
          let value = try Self.value(
            policy, source, starts, options, discount: hyperparameters.discount, seed: UInt32(seed))
          try say("\(name), seed \(seed): \(decimals(value, 3))")
          return value
        })
    }
    self.policy = try value(policy, "policy")
    self.behaviour = try behaviour.map { try value($0, "behaviour cloning") }
  }

  /// The mean value at the first states, by networks of one seed.
  private static func value(
    _ policy: ActingPolicy, _ source: BatchSource, _ starts: FirstStates, _ options: FittedQOptions,
    discount: Double, seed: UInt32
  ) throws -> Double {
    let batch = source.sampler.batch
    let fitted = FittedQ(
      source.data.spec, hidden: options.fqeHiddenDims.widths, discount: discount,
      rows: max(batch.capacity, batchSize), seed: seed)
    for update in 0..<options.fqeUpdates {
      // Each seed has batches and noise of its own.
      try source.sampler.load(step: Int(seed) * options.fqeUpdates + update)
      policy.act(batch.nextObservations.rows(0..<batch.rows), seed: seed, step: update)
      fitted.update(update + 1, of: options.fqeUpdates, batch, nextActions: policy.actions)
    }
    let count = starts.observations.rows
    let sum = stride(from: 0, to: count, by: batchSize).reduce(0.0) { sum, first in
      let rows = first..<min(first + batchSize, count)
      policy.act(starts.observations.rows(rows), seed: seed, step: options.fqeUpdates + first)
      return sum
        + fitted.sum(starts.observations.vectors.rows(rows), policy.actions.rows(0..<rows.count))
    }
    return sum / Double(count)
  }

  /// The root mean square difference of actions, and the share of their numbers that lie at the bounds.
  private static func compare(
    _ policy: ActingPolicy, _ source: BatchSource
  ) throws -> (error: Double, share: Double) {
    var (squares, atBounds, count) = (0.0, 0, 0)
    for step in 0..<comparedBatches {
      try source.sampler.load(step: step)
      let batch = source.sampler.batch
      policy.act(batch.observations.rows(0..<batch.rows), seed: 0, step: step)
      for row in 0..<batch.rows {
        for column in 0..<batch.actions.columns {
          let action = policy.actions[row, column]
          let difference = Double(action - batch.actions[row, column])
          squares += difference * difference
          // The data's own actions end a hundred-thousandth before.
          if abs(action) >= 0.9999 { atBounds += 1 }
          count += 1
        }
      }
    }
    return ((squares / Double(count)).squareRoot(), Double(atBounds) / Double(count))
  }
}
