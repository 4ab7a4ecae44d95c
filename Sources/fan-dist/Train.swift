import ArgumentParser
import ArrayFiles
import Basics
import Checkpoints
import Checks
import Evaluation
import Foundation
import Logging
import MPI
import Running
import Settings
import Sweeps
import TrainingData

/// `fan-dist train`: trains, evaluates and saves.
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a policy (the default).",
    discussion: """
      Settings come from, later ones winning: published defaults of the agent, the preset of the task, the file of --config, \
      flags. A configuration file is YAML with the names below, underscores for dashes: batch_size: 256.
      """)

  @OptionGroup(title: "Run")
  var settings: Configuration

  @Option(help: "Configuration file with settings.")
  var config: String?

  @Option(
    help: ArgumentHelp("Where to write the run.", discussion: "By default a new directory under runs/."))
  var runDir: String?

  @Option(
    help: ArgumentHelp(
      "Begin with what another run has learned, at the online phase.",
      discussion:
        "Settings are those of the checkpoint where flags do not say otherwise; needs --online-steps.",
      valueName: "checkpoint"))
  var from: String?

  @Option(
    help: ArgumentHelp(
      "At the end, write what was collected online as a dataset directory.", valueName: "directory"))
  var saveRollouts: String?

  @OptionGroup(title: "Gymnasium environments")
  var environments: RunWorkerOptions

  @Option(help: "auto continues the run in --run-dir from its newest whole checkpoint, if there is one.")
  var resume = ResumeMode.never

  @Option(help: "live redraws one line, plain prints lines, auto looks who watches.")
  var progress = ProgressStyle.auto

  @Option(help: ArgumentHelp("Beside other runs: stands in front of every line.", visibility: .hidden))
  var label: String?

  @Option(
    help: ArgumentHelp(
      "Beside other runs: where to say how far the run is, instead of lines.", visibility: .hidden))
  var progressFile: String?

  @Flag(help: "Compare gradients with finite differences on the first batch, then stop. One rank.")
  var check = false

  enum ResumeMode: String, ExpressibleByArgument, CaseIterable { case never, auto }

  func validate() throws {
    try requirePath(runDir, "--run-dir")
    try requirePath(from, "--from")
    try requirePath(saveRollouts, "--save-rollouts")
    if let runDir, let saveRollouts, isSamePath(runDir, saveRollouts) {
      throw ValidationError("--save-rollouts is --run-dir; name a directory of its own")
    }
    if resume == .auto && runDir == nil {
      throw ValidationError("--resume auto needs --run-dir, to say which run to continue")
    }
  }

  /// Runs on all ranks of a job.
  func run(_ job: Job) throws {
    let world = try job.world()
    job.watchdog.enter("the start of the run")
    defer { job.watchdog.enter("the end of the run") }
    let console = Console(style: world.rank == 0 ? progress : .silent)
    let (train, preset) = try world.together { try layered() }
    try train.agree(world)
    if train.check { return try train.checkGradients(world) }
    let directory = try train.directory(world)
    do {
      try train.train(in: directory, world, console, job.watchdog, notes: preset.map { [$0] } ?? [])
    } catch {
      if train.runDir == nil && world.rank == 0 { directory.removeIfEmpty() }
      throw error
    }
  }

  private func train(
    in directory: RunDirectory, _ world: Communicator, _ console: Console, _ watchdog: Watchdog,
    notes: [String]
  ) throws {
    let voice = world.rank == 0 ? try voice(console) : nil
    let logger = voice?.logger ?? console.logger
    let host = RunHost(
      logger: logger, watch: { if let voice { voice.show($0) } else { console.show($0) } },
      shouldStop: { Signals.stopRequested },
      watchdog: watchdog)
    let request = RunRequest(
      settings, workers: environments, directory: directory, resumes: resume == .auto, origin: from,
      rollouts: saveRollouts)
    let summary = try Trainer.run(request, world: world, host: host, notes: notes)
    console.endLine()
    try conclude(summary, directory, world, logger)
  }

  /// What speaks for a run that trains beside others; nil for one that has the terminal to itself.
  private func voice(_ console: Console) throws -> RunVoice? {
    guard let label else { return nil }
    return RunVoice(label, file: try progressFile.map { try ProgressFile(path: $0) }, print: console.say)
  }

  /// Seconds for which other ranks may be silent, as far as the command line and the file of settings say so by
  /// themselves. Wrong settings are reported later, by all ranks together.
  var patience: Double { (try? layered())?.0.settings.stallTimeout ?? settings.stallTimeout }

  /// Tells people how the run ended, and throws if the command's exit code is not 0.
  private func conclude(
    _ summary: Trainer.Summary, _ directory: RunDirectory, _ world: Communicator, _ logger: Logger
  ) throws {
    if summary.wasStopped {
      throw Failure(
        .requeue,
        "stopped by a signal after update \(summary.steps); continue with --run-dir \(directory.path) --resume auto"
      )
    }
    if world.rank == 0 { report(summary, directory, logger) }
    try world.together { if let failure = summary.failure(in: directory) { throw failure } }
  }

  /// Says what the results are, where they lie, and which command comes next.
  private func report(_ summary: Trainer.Summary, _ directory: RunDirectory, _ logger: Logger) {
    if summary.evaluationFailure == nil, let policy = summary.policy {
      logger.info("done: \(policy)")
      if let behaviour = summary.behaviour { logger.info("behaviour cloning: \(behaviour)") }
    }
    if let judged = summary.judged {
      logger.info("judged by recorded episodes: value \(judged)")
      if let behaviour = summary.judgedBehaviour { logger.info("behaviour cloning: value \(behaviour)") }
    }
    logger.info("results in \(directory.path)")
    guard summary.policy != nil || summary.judged != nil else { return }
    logger.info("best policy: \(directory.best)")
    let how = summary.policy == nil ? ["--fqe"] : settings.argumentsToPlay + environments.workers.arguments
    logger.info(
      "next: \(shellCommand([CommandLine.arguments[0], "evaluate", directory.best] + how))")
  }

  /// Settings from the agent's defaults, preset, file and flags, each overriding those before, all read by the same
  /// parser; and what the preset gave.
  private func layered() throws -> (Train, preset: String?) {
    var flags = Array(CommandLine.arguments.dropFirst())
    if flags.first == "train" { flags.removeFirst() }
    var file: [String] = []
    if let config {
      file = try arguments(ofConfiguration: textOfSettings(config), file: config)
      do { _ = try Train.parse(file) } catch {
        throw Failure(
          .usage, "\(config): \(Train.message(for: error).split(separator: "\n").joined(separator: " "))")
      }
    }
    let named = try Train.parse(file + flags)
    if let origin = named.from {
      try Settings.requireNone(of: ["preset"], in: file + flags) {
        "\($0): with --from, settings are those of the checkpoint; leave it out"
      }
      return (try named.layered(file + flags, over: origin), nil)
    }
    let agent = named.settings.hyperparameters.agent
    if let config { try agent.requireReads(file, source: config) }
    try agent.requireReads(flags)
    let (arguments, preset) = try named.settings.layered(under: file + flags)
    let train = try Train.parse(arguments)
    if train.settings.online.onlineSteps == 0 {
      if train.saveRollouts != nil { throw Failure(.usage, "--save-rollouts needs --online-steps") }
      try OnlineSettings.requireNone(in: file + flags, without: "online-steps")
    }
    if train.settings.fqeInterval == nil {
      try FittedQOptions.requireNone(in: file + flags, without: "fqe-interval")
    }
    try train.settings.requireNoChunks(in: file + flags)
    return (train, preset)
  }

  /// The arguments that this command was parsed from over the settings of a checkpoint, whose updates count as done.
  private func layered(_ arguments: [String], over origin: String) throws -> Train {
    let checkpoint = try Checkpoint(path: origin)
    let saved = try checkpoint.configuration()
    let kept = saved.allSettings.filter { $0.name != "steps" }.flatMap(\.arguments)
    let online = Preset.named(saved.env)?.arguments(for: saved.hyperparameters.agent, .online) ?? []
    let weights = online.filter { $0.hasPrefix("--online-alpha") }
    let train = try Train.parse(weights + kept + ["--steps", "\(checkpoint.state.step)"] + arguments)
    try train.settings.hyperparameters.agent.requireReads(arguments)
    try train.settings.requireNoChunks(in: arguments)
    guard train.settings.online.onlineSteps > 0 else {
      throw Failure(.usage, "--from needs --online-steps, the updates of the online phase")
    }
    let namesTask = optionNames(in: arguments).contains("env")
    let (task, options) = (train.settings.env, train.settings.environment)
    try requireGivenImports(
      env: namesTask ? task : nil, settings.environment, of: namedTask(task, options), called: task, options,
      path: origin)
    return train
  }

  /// Throws unless all ranks were given the same options beside the configuration: these decide, too, what the ranks
  /// do together.
  private func agree(_ world: Communicator) throws {
    var digest = Digest()
    Array("\(check) \(resume) \(from ?? "") \(saveRollouts ?? "")".utf8).withUnsafeBytes { digest.update($0) }
    try world.requireAgreement(
      on: "the command line", digest.value, advice: "start all ranks with the same arguments")
  }

  /// The run's directory. All ranks take the first rank's, whose default name depends on the time.
  private func directory(_ world: Communicator) throws -> RunDirectory {
    let path = try world.together {
      guard world.rank == 0, runDir == nil else { return runDir ?? "" }
      return try RunDirectory.fresh(task: settings.env, seed: settings.seed).path
    }
    return RunDirectory(path: String(decoding: try world.broadcast(Array(path.utf8)), as: UTF8.self))
  }

  private func checkGradients(_ world: Communicator) throws {
    guard world.size == 1 else { throw Failure(.usage, "--check runs on one rank, without mpirun") }
    let importing = DatasetLocation.Import(
      python: environments.workers.python, isCancelled: { Signals.stopRequested },
      say: { StandardStream.output.attempt($0 + "\n") })
    let report = try GradientCheck.run(settings, importing: importing, world: world)
    for line in report.lines { try StandardStream.output.say(line) }
    if let problem = report.problem { throw Failure(.software, problem) }
  }
}

extension ProgressStyle: ExpressibleByArgument {
  /// `silent` is for the ranks that do not speak; people cannot ask for it.
  init?(argument: String) {
    guard argument != "silent", let style = ProgressStyle(rawValue: argument) else { return nil }
    self = style
  }
  static var allValueStrings: [String] { ["auto", "live", "plain"] }
}
