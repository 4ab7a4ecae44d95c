import Agents
import ArrayFiles
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
  ///   - environment: how the environment is made and scored; what is not given is as in the run if the task is its.
  ///   - seed: seed of the episodes; nil for the run's.
  ///   - success: when an episode has solved its task; nil for the run's rule.
  ///   - workers: how a Gymnasium environment is run.
  ///   - video: where a video of the first episode goes.
  public init(
    path: String, env: String?, environment given: EnvironmentOptions, seed: UInt32?,
    success: SuccessRule? = nil, episodes: Int,
    workers: WorkerOptions, video: String? = nil
  ) throws {
    saved = try SavedPolicy(path: path)
    let configuration = saved.configuration
    step = saved.state.step
    task = env ?? configuration.env
    self.seed = seed ?? configuration.seed
    let options = task == configuration.env ? given.over(configuration.environment) : given
    let named = try namedTask(task, options)
    try requireGivenImports(env: env, given, of: named, called: task, options, path: path)
    guard video == nil || named.embedded == nil else {
      throw Failure(
        .usage,
        "--video: the embedded mazes make none; fan-dist report draws the ways of the policy and what it sees"
      )
    }
    if let video { try requirePlace(forFile: video) }
    let (spec, hyperparameters) = (saved.state.spec, configuration.hyperparameters)
    agent = hyperparameters.agent
    let environment = named.environment(
      seed: self.seed, episodes: episodes, frames: configuration.frameStack, scales: spec.scales,
      workers: workers.forEnvironment(
        freeCores: ProcessInfo.processInfo.activeProcessorCount - 1, video: video))
    try Failure.unavailable { try environment.describe() }.requireFit(spec, task: task, data: path)
    evaluator = Evaluator(
      environment, spec, hyperparameters, episodes: episodes, seed: self.seed,
      success: success ?? configuration.success, referenceReturns: options.referenceReturns?.values)
  }

  /// Whether the agent has such an actor.
  public func plays(_ actor: Evaluator.Actor) -> Bool { evaluator.plays(actor) }

  /// Plays all episodes; nil when the agent has no such actor.
  public func run(_ actor: Evaluator.Actor) throws -> EvaluationResult? {
    try Failure.unavailable { try evaluator.run(saved.parameters.base, actor: actor) }
  }
}

/// Throws when only a checkpoint says which Python module to import for its environment.
///
/// - Parameters:
///   - env: the task that people name; nil if they name none.
///   - given: what they say about its environment.
///   - named: the task that is played, called `task`.
///   - options: how its environment is made, by people and the checkpoint together.
public func requireGivenImports(
  env: String?, _ given: EnvironmentOptions, of named: NamedTask, called task: String,
  _ options: EnvironmentOptions, path: String
) throws(Failure) {
  guard env != nil || !named.importsModule else {
    throw Failure(
      .usage,
      "\(path): was trained for \(task); give \(shellCommand(["--env", task])) to import that Python module")
  }
  if given.envWrapper == nil, let wrapper = options.envWrapper {
    throw Failure(
      .usage,
      "\(path): was trained with a wrapper; give \(shellCommand(["--env-wrapper", wrapper])) to import that Python module"
    )
  }
  if given.envKwargs == nil, let arguments = options.envKwargs, arguments.mayImport {
    throw Failure(
      .usage,
      "\(path): was trained with arguments that may name a Python module; give \(shellCommand(["--env-kwargs", arguments.description])) to use them"
    )
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
