import Agents
import Basics
import Checkpoints
import Environments
import Foundation
import Kernels
import Networks
import Settings

/// The policy of a checkpoint, ready to play episodes.
public final class CheckpointPlayer {
  /// Updates that it was trained for.
  public let step: Int
  /// The task it plays.
  public let task: String
  /// Seed of its episodes.
  public let seed: UInt32
  /// The agent that trained it.
  public let agent: AgentKind

  private let saved: SavedPolicy
  private let evaluator: Evaluator

  /// Opens a checkpoint.
  ///
  /// - Parameters:
  ///   - env: the task to play; nil for the one it was trained for.
  ///   - seed: seed of the episodes; nil for the run's.
  ///   - success: when an episode has solved its task; nil for the run's rule.
  ///   - workers: how a Gymnasium environment is run.
  ///   - video: where a video of the first episode goes.
  public init(
    path: String, env: String?, seed: UInt32?, success: SuccessRule? = nil, episodes: Int,
    workers: WorkerOptions, video: String? = nil
  ) throws {
    saved = try SavedPolicy(path: path)
    let configuration = saved.configuration
    step = saved.state.step
    task = env ?? configuration.env
    self.seed = seed ?? configuration.seed
    let named = try namedTask(task)
    guard env != nil || !named.importsModule else {
      throw Failure(
        .usage, "\(path): was trained for \(task); give --env \(task) to import that Python module")
    }
    guard video == nil || named.embedded == nil else {
      throw Failure(.usage, "--video: \(task) renders nothing; fan-dist report draws its trajectories")
    }
    if let folder = video.map({ URL(fileURLWithPath: $0).deletingLastPathComponent().path }) {
      guard access(folder, W_OK) == 0 else {
        throw Failure(.cannotCreate, "\(video!): cannot write into \(folder)")
      }
    }
    let (spec, hyperparameters) = (saved.state.spec, configuration.hyperparameters)
    agent = hyperparameters.agent
    let environment = named.environment(
      seed: self.seed, episodes: episodes, frames: configuration.frameStack,
      workers: workers.forEnvironment(
        freeCores: ProcessInfo.processInfo.activeProcessorCount - 1, video: video))
    try Failure.unavailable { try environment.describe() }.requireFit(spec, task: task, data: path)
    evaluator = Evaluator(
      environment, spec, hyperparameters, episodes: episodes, seed: self.seed,
      success: success ?? configuration.success)
  }

  /// Whether the agent has such an actor.
  public func plays(_ actor: Evaluator.Actor) -> Bool { evaluator.plays(actor) }

  /// Plays all episodes; nil when the agent has no such actor.
  public func run(_ actor: Evaluator.Actor) throws -> EvaluationResult? {
    try Failure.unavailable { try evaluator.run(saved.parameters.base, actor: actor) }
  }
}

extension Failure {
  /// Turns errors of an environment into a failure of the command.
  fileprivate static func unavailable<Result>(_ body: () throws -> Result) throws(Failure) -> Result {
    do { return try body() } catch {
      throw error as? Failure ?? Failure(.unavailable, "\(error)")
    }
  }
}
