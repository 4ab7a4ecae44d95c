import Agents
import Basics
import Checkpoints
import Evaluation
import MPI
import Randomness
import Settings
import TrainingData

/// The return that networks of several seeds expect of a policy.
public struct JudgedValue: Sendable, CustomStringConvertible {
  /// The mean over seeds.
  public let mean: Double
  /// Its 95 % bootstrap interval over seeds; nil for a single seed.
  public let interval: (low: Double, high: Double)?

  /// The value of so many seeds, at least one.
  public init(seeds: [Double]) {
    mean = seeds.reduce(0, +) / Double(seeds.count)
    interval = bootstrapInterval(ofGroups: [seeds])
  }

  /// A value that has been computed before.
  public init(mean: Double, interval: (low: Double, high: Double)?) {
    (self.mean, self.interval) = (mean, interval)
  }

  /// The mean and the interval.
  public var description: String {
    decimals(mean, 3) + (interval.map { " [\(decimals($0.low, 3)), \(decimals($0.high, 3))]" } ?? "")
  }
}

/// What recorded episodes say about the policy of a checkpoint, without an environment.
public struct Judgement: Sendable {
  /// The discounted return that the policy is expected to have from the first states of episodes.
  public let policy: JudgedValue
  /// The same for behaviour cloning; nil if the agent learns none.
  public let behaviour: JudgedValue?
  /// How much more the policy's is than behaviour cloning's, by the same seeds.
  public let difference: JudgedValue?
  /// How the policy's actions compare with the data's.
  public let actions: ActionComparison
  /// The data, in words.
  public let data: String

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
      throw Failure(.usage, "\(path): this policy sees images, which --fqe does not judge")
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
      let judge = try Judge(source, there, saved.configuration.hyperparameters, options)
      let data = "\(kind), \(try judge.episodes()) episodes"
      try say("judged by \(data)")
      return try Judgement(saved, judge, seeds: options.fqeSeeds, data: data, say)
    }
  }

  private static func open(
    _ saved: SavedPolicy, _ dataset: String?, _ importing: DatasetLocation.Import, _ world: Communicator,
    _ releases: Releases
  ) throws -> (BatchSource, String) {
    var configuration = saved.configuration
    // Only the dataset judges.
    configuration.online.onlineSteps = 0
    if let dataset { (configuration.dataset, configuration.datasetDigest) = (dataset, nil) }
    let location = try DatasetLocation(
      configuration, namedTask(configuration.env), importing, world: world)
    let data = try BatchSource.training(configuration, at: location, world: world, releases)
    if dataset != nil { return (data, data.data.path) }
    guard data.data.digest == saved.state.datasetDigest else {
      throw Failure(
        .configuration,
        "\(data.data.path): has digest \(data.data.digest), but the policy was trained on data with \(saved.state.datasetDigest); name the data to judge it by with --dataset"
      )
    }
    let validation = try BatchSource.validation(
      configuration, at: location, like: data.data, world: world, releases, warn: { _ in })
    let digest = validation?.data.digest ?? CheckpointState.noValidation
    if let expected = saved.state.validationDigest, expected != digest {
      throw Failure(
        .configuration,
        "\(data.data.path): its validation data have digest \(digest), but the run had \(expected); name the data to judge it by with --dataset"
      )
    }
    return validation.map { ($0, "the run's validation data") }
      ?? (data, "the run's training data, because there are no validation data")
  }

  private init(
    _ saved: SavedPolicy, _ judge: Judge, seeds: Int, data: String, _ say: (String) throws -> Void
  ) throws {
    let parameters = UnsafePointer(saved.parameters.base)
    func values(_ actor: Evaluator.Actor, _ name: String) throws -> [Double] {
      try (0..<seeds).map { seed in
        let value = try judge.value(of: actor, parameters, seed: seed)
        try say("\(name), seed \(seed): \(decimals(value, 3))")
        return value
      }
    }
    self.data = data
    actions = try judge.compareActions(parameters)
    let policy = try values(.policy, "policy")
    let behaviour = judge.judges(.behaviour) ? try values(.behaviour, "behaviour cloning") : nil
    self.policy = JudgedValue(seeds: policy)
    self.behaviour = behaviour.map(JudgedValue.init)
    difference = behaviour.map { JudgedValue(seeds: zip(policy, $0).map { $0 - $1 }) }
  }
}
