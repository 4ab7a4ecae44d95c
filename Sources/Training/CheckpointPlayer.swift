import Agents
import ArrayFiles
import Environments
import Kernels
import Networks

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
  public init(path: String, env: String?, seed: UInt32?, episodes: Int) throws {
    saved = try SavedPolicy(path: path)
    let configuration = saved.configuration
    step = saved.state.step
    task = env ?? configuration.env
    self.seed = seed ?? configuration.seed
    let embedded = try embeddedTask(task)
    let (problem, hyperparameters) = (saved.state.problem, configuration.hyperparameters)
    guard problem.observationSize == PointMazeTask.observationSize,
      problem.actionSize == PointMazeTask.actionSize
    else {
      throw FileError(
        .malformed, file: path,
        reason:
          "is for observations of \(problem.observationSize) and actions of \(problem.actionSize), but the task \(task) has \(PointMazeTask.observationSize) and \(PointMazeTask.actionSize)"
      )
    }
    evaluator = Evaluator(
      task: embedded, problem, hyperparameters, episodes: episodes, seed: self.seed)
    agent = hyperparameters.agent
  }

  /// Whether the agent has such an actor.
  public func plays(_ actor: Evaluator.Actor) -> Bool { evaluator.plays(actor) }

  /// Plays all episodes; nil when the agent has no such actor.
  public func run(_ actor: Evaluator.Actor) -> EvaluationResult? {
    evaluator.run(saved.parameters.base, actor: actor)
  }
}
