import Agents
import ArgumentParser
import Basics
import Evaluation
import Foundation
import Judging
import MPI
import Settings
import TrainingData

/// `fan-dist evaluate CHECKPOINT`: plays episodes with a saved policy.
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Play episodes with the policy of a checkpoint, or judge it by recorded ones.")

  @Argument(help: "A checkpoint, such as RUN/checkpoints/best.safetensors.")
  var checkpoint: String

  @Option(help: "Number of episodes.")
  var episodes = 50

  @Option(help: "Task to play; the one it was trained for by default.")
  var env: String?

  @OptionGroup(title: "Environment")
  var environment: EnvironmentOptions

  @Option(help: "Seed of starts and noise; the run's own by default.")
  var seed: UInt32?

  @Option(
    help: "An episode succeeds when its task is solved at its last step, or at any; as in the run by default."
  )
  var success: SuccessRule?

  @Flag(help: "Also play the behaviour flow alone: behaviour cloning.")
  var behaviour = false

  @Option(
    help: ArgumentHelp(
      "Write a video of the first episode, .mp4 or .gif.",
      discussion: "For Gymnasium environments that render.",
      valueName: "file"))
  var video: String?

  @Flag(help: "Play nothing: judge the policy by recorded episodes, with fitted Q evaluation.")
  var fqe = false

  @Option(
    help: ArgumentHelp(
      "Held-out episodes for --fqe.",
      discussion: "By default the validation data of the run, or its training data.", valueName: "path"))
  var dataset: String?

  @OptionGroup(title: "Fitted Q evaluation")
  var fittedQ: FittedQOptions

  @OptionGroup(title: "Gymnasium environments")
  var workers: WorkerOptions

  func validate() throws {
    try require((1...100_000).contains(episodes), "--episodes must be between 1 and 100000")
    try require(
      video.map { $0.hasSuffix(".mp4") || $0.hasSuffix(".gif") } ?? true, "--video must end in .mp4 or .gif")
    try require(fqe || dataset == nil, "--dataset is for --fqe")
  }

  /// Options for playing episodes.
  private static let ofPlaying =
    ["episodes", "env", "seed", "success", "behaviour", "video", "eval-workers", "eval-timeout"]
    + EnvironmentOptions.settingNames

  /// Throws when there are options that count for the other way to evaluate alone.
  private func requireNoneOfTheOther(_ arguments: [String]) throws {
    guard fqe else { return try FittedQOptions.requireNone(in: arguments, without: "fqe") }
    try Settings.requireNone(of: Self.ofPlaying, in: arguments) {
      "\($0): --fqe plays no episodes; leave it out"
    }
  }

  func run(_ job: Job) throws {
    try requireNoneOfTheOther(CommandLine.arguments)
    guard fqe else {
      // Further ranks have nothing to do.
      if job.isFirst { try play() }
      return
    }
    let world = try job.world()
    guard world.size == 1 else { throw Failure(.usage, "--fqe runs on one rank, without mpirun") }
    try judge(world)
  }

  private func judge(_ world: Communicator) throws {
    let output = StandardStream.output
    let importing = DatasetLocation.Import(
      python: workers.python, say: { output.attempt($0 + "\n") })
    let judgement = try Judgement.run(
      checkpoint, dataset: dataset, fittedQ, importing: importing, world: world, say: output.say)
    try output.say("policy: value \(judgement.policy)")
    if let behaviour = judgement.behaviour, let difference = judgement.difference {
      try output.say("behaviour cloning: value \(behaviour)")
      try output.say("difference: \(difference)")
    }
    let share = decimals(100 * judgement.actions.shareAtBounds, 1)
    try output.say(
      "actions: \(decimals(judgement.actions.error, 3)) from the data's, \(share) % of their numbers at the bounds"
    )
  }

  private func play() throws {
    let player = try CheckpointPlayer(
      path: checkpoint, env: env, environment: environment, seed: seed, success: success, episodes: episodes,
      workers: workers,
      video: video)
    if behaviour && !player.plays(.behaviour) {
      throw Failure(.usage, "--behaviour: \(player.agent.title) learns no flow of the dataset's actions")
    }
    let output = StandardStream.output
    try output.say("\(checkpoint): update \(player.step), task \(player.task), seed \(player.seed)")
    if let result = try player.run(.policy) {
      if let warning = result.warning { try output.say("warning: \(warning)") }
      try output.say("policy: \(result)")
    }
    if let video { try output.say("video: \(video)") }
    if behaviour, let result = try player.run(.behaviour) {
      try output.say("behaviour cloning: \(result)")
    }
  }
}
