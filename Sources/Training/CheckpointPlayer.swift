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

  private let parameters: Buffer<Float>
  private let evaluator: Evaluator

  /// Opens a checkpoint.
  ///
  /// - Parameters:
  ///   - env: the task to play; nil for the one it was trained for.
  ///   - seed: seed of the episodes; nil for the run's.
  public init(path: String, env: String?, seed: UInt32?, episodes: Int) throws {
    let checkpoint = try Checkpoint(path: path)
    let configuration = try checkpoint.configuration()
    step = checkpoint.state.step
    task = env ?? configuration.env
    self.seed = seed ?? configuration.seed
    let embedded = try embeddedTask(task)
    let (observationSize, actionSize) = (checkpoint.state.observationSize, checkpoint.state.actionSize)
    guard observationSize == PointMazeTask.observationSize, actionSize == PointMazeTask.actionSize else {
      throw FileError(
        .malformed, file: path,
        reason:
          "is for observations of \(observationSize) and actions of \(actionSize), but the task \(task) has \(PointMazeTask.observationSize) and \(PointMazeTask.actionSize)"
      )
    }
    let agent = FAN<Float>(
      observationSize: observationSize, actionSize: actionSize,
      hyperparameters: configuration.hyperparameters,
      rows: 1)
    // The file's word for its sizes is believed only when all tensors are there.
    for slot in agent.layout.slots { try checkpoint.require(slot.name, shape: slot.shape) }
    parameters = Buffer(count: agent.layout.count)
    for slot in agent.layout.slots {
      try checkpoint.read(slot.name, shape: slot.shape, into: parameters.base + slot.offset)
    }
    evaluator = Evaluator(
      task: embedded, hyperparameters: configuration.hyperparameters, episodes: episodes, seed: self.seed)
  }

  /// Plays all episodes.
  public func run(_ actor: Evaluator.Actor) -> EvaluationResult {
    evaluator.run(parameters.base, actor: actor)
  }
}
