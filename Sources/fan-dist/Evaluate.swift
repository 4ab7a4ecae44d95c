import Agents
import ArgumentParser
import Foundation
import Training

/// `fan-dist evaluate CHECKPOINT`: plays episodes with a saved policy.
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Play episodes with the policy of a checkpoint.")

  @Argument(help: "A checkpoint, such as RUN/checkpoints/best.safetensors.")
  var checkpoint: String

  @Option(help: "Number of episodes.")
  var episodes = 50

  @Option(help: "Task to play; the one it was trained for by default.")
  var env: String?

  @Option(help: "Seed of starts and noise; the run's own by default.")
  var seed: UInt32?

  @Flag(help: "Also play the behaviour flow alone: behaviour cloning.")
  var behaviour = false

  func validate() throws {
    guard (1...100_000).contains(episodes) else {
      throw ValidationError("--episodes must be between 1 and 100000")
    }
  }

  func run() throws {
    let player = try CheckpointPlayer(path: checkpoint, env: env, seed: seed, episodes: episodes)
    if behaviour && !player.plays(.behaviour) {
      throw Failure(.usage, "--behaviour: \(player.agent.title) learns no flow of the dataset's actions")
    }
    print("\(checkpoint): update \(player.step), task \(player.task), seed \(player.seed)")
    show("policy", player.run(.policy))
    if behaviour { show("behaviour cloning", player.run(.behaviour)) }
  }

  private func show(_ name: String, _ result: EvaluationResult?) {
    guard let result else { return }
    print(
      name + ": "
        + String(
          format: "success %.3f, return %.2f ± %.2f, length %.1f over %d episodes", result.success,
          result.meanReturn, result.returnError, result.meanLength, result.episodes))
  }
}
