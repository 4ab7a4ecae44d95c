import Agents
import ArgumentParser
import ArrayFiles
import Basics
import Environments
import Kernels

/// Everything that decides what a run computes. Each setting is a flag, a key of a configuration file (with
/// underscores for dashes), and a line of the `config.yaml` that a run writes.
public struct Configuration: ParsableArguments, Sendable {
  @Option(help: "Task to train for and evaluate in.")
  public var env = PointMazeTask.defaultName

  @Option(
    help:
      "Dataset directory, OGBench .npz file, or a directory of them. Embedded tasks generate theirs when it is not given."
  )
  public var dataset: String?

  @Option(
    help: ArgumentHelp(
      "Held-out data in place of the validation data that belong to the dataset: losses are logged for them, and --fqe-interval judges by them.",
      valueName: "path"))
  public var valDataset: String?

  @Option(
    help: ArgumentHelp(
      "MB of a node's memory that a dataset may take; of a dataset directory beyond that, each rank reads the rows it needs from the files.",
      valueName: "mb"))
  public var datasetMemory = 4096

  @Option(help: "Refuse to train on data with another digest than this.")
  public var datasetDigest: String?

  @Option(
    help: ArgumentHelp(
      "Successive frames that make an observation, the newest last.",
      discussion: "They are stacked when a batch is gathered and when the policy acts.", valueName: "n"))
  public var frameStack = 1

  @Option(
    help: ArgumentHelp(
      "Probability that the images of a batch are padded by 3 pixels and cropped at random.",
      valueName: "p"))
  public var pAug = 0.0

  @OptionGroup(title: "Environment")
  public var environment: EnvironmentOptions

  @OptionGroup(title: "Hyperparameters")
  public var hyperparameters: Hyperparameters

  @Option(help: "Number of updates on the dataset.")
  public var steps = 1_000_000

  @OptionGroup(title: "Online")
  public var online: OnlineSettings

  @Option(
    help: ArgumentHelp(
      "The task's settings to begin with: offline, or online for training that goes on in the environment.",
      discussion: "By default online when --online-steps is given."))
  public var preset: PresetKind?

  @Option(help: "Seed of initial parameters, batches, noise and evaluation.")
  public var seed: UInt32 = 0

  @Option(
    help:
      "Seconds after which the run ends when an update or another phase does not end."
  )
  public var stallTimeout = 600.0

  @Option(help: "Updates between lines of train.csv.")
  public var logInterval = 5000

  @Option(help: "Updates between evaluations; 0 evaluates at the end only.")
  public var evalInterval = 100_000

  @Option(help: "Episodes of an evaluation; 0 evaluates nothing and needs no environment.")
  public var evalEpisodes = 50

  @Option(help: "An episode succeeds when its task is solved at its last step, or at any.")
  public var success = SuccessRule.last

  @Option(
    help: ArgumentHelp(
      "Updates between judgements of the policy by fitted Q evaluation on the validation data, without an environment; also at the end.",
      discussion:
        "Training waits meanwhile; the seeds are divided among the ranks. By default nothing is judged.",
      valueName: "updates"))
  public var fqeInterval: Int?

  @OptionGroup(title: "Fitted Q evaluation")
  public var fittedQ: FittedQOptions

  @Option(help: "Updates between checkpoints; 0 saves at the end only.")
  public var saveInterval = 50_000

  @Option(help: "Shards that the data is cut into for sampling; at least the number of ranks.")
  public var virtualShards = 64

  @Option(help: "Threads of each rank's products; several are OpenBLAS's.")
  public var threads = 1

  @Option(
    help: ArgumentHelp(
      "Ranks that share memory; 1 exchanges by messages alone.", discussion: "All of a node by default.",
      valueName: "n"))
  public var ranksPerNode: Int?

  @Flag(
    inversion: .prefixedNo, exclusivity: .chooseLast,
    help: ArgumentHelp(
      "Learn the same bits on any number of ranks, and on every processor with AVX2.",
      discussion: "Sums over the batch are made chunk by chunk."))
  public var reproducible = false

  @Option(
    help: ArgumentHelp(
      "Chunks of a batch with --reproducible: a power of two, at least the number of ranks.", valueName: "n"))
  public var reproducibleChunks = 16

  /// Settings that only a parser can fill, as with every `ParsableArguments`.
  public init() {}

  /// Rejects values that are out of range.
  public func validate() throws {
    try require((1...1_000_000_000).contains(steps), "--steps must be between 1 and 1000000000")
    try require((0...1 << 30).contains(datasetMemory), "--dataset-memory must be between 0 and 1073741824")
    try require((1...64).contains(frameStack), "--frame-stack must be between 1 and 64")
    try require((0...1).contains(pAug), "--p-aug must be between 0 and 1")
    try require(logInterval > 0, "--log-interval must be positive")
    try require(evalInterval >= 0, "--eval-interval must not be negative")
    try require((0...100_000).contains(evalEpisodes), "--eval-episodes must be between 0 and 100000")
    try require(saveInterval >= 0, "--save-interval must not be negative")
    try require(
      (fqeInterval ?? 1) > 0,
      "--fqe-interval must be positive; leave it out to judge nothing by recorded episodes")
    try require((1...65_536).contains(virtualShards), "--virtual-shards must be between 1 and 65536")
    try require((1...86_400).contains(stallTimeout), "--stall-timeout must be between 1 and 86400 seconds")
    try require((1...1024).contains(threads), "--threads must be between 1 and 1024")
    try require((1...65_536).contains(ranksPerNode ?? 1), "--ranks-per-node must be between 1 and 65536")
    try require(
      BatchChunks.isPossible(reproducibleChunks),
      "--reproducible-chunks must be a power of two between 1 and 65536")
    try require(!reproducible || threads == 1, "--reproducible needs --threads 1")
    try require(
      online.onlineSteps == 0 || frameStack == 1,
      "--online-steps: observations of several frames cannot be trained on online; leave out --frame-stack")
    for (name, weight) in [("alpha1", online.onlineAlpha1), ("alpha2", online.onlineAlpha2)] {
      try require(
        weight == nil || hyperparameters.agent.reads(name),
        "--online-\(name): not a setting of --agent \(hyperparameters.agent)")
    }
  }

  /// How a batch is cut among so many ranks; nil unless the run is reproducible. The batch source has found no problem.
  public func chunks(ranks: Int) -> BatchChunks? {
    reproducible
      ? BatchChunks(count: reproducibleChunks, batch: hyperparameters.batchSize, ranks: ranks) : nil
  }

  /// Throws when arguments set the number of chunks and the run has none.
  public func requireNoChunks(in arguments: [String]) throws(Failure) {
    guard !reproducible else { return }
    try Settings.requireNone(of: ["reproducible-chunks"], in: arguments) { "\($0) needs --reproducible" }
  }

  /// Updates of the whole run, on the dataset and online.
  public var updates: Int { steps + online.onlineSteps }

  /// The hyperparameters of the online phase.
  public var onlineHyperparameters: Hyperparameters {
    var changed = hyperparameters
    changed.alpha1 = online.onlineAlpha1 ?? changed.alpha1
    changed.alpha2 = online.onlineAlpha2 ?? changed.alpha2
    return changed
  }

  /// The name by which the task is known to presets and papers.
  public var benchmarkTask: String { Settings.benchmarkTask(env: env, kwargs: environment.envKwargs) }

  /// Names of all settings, hyperparameters included.
  public static var allSettingNames: [String] {
    settingNames + EnvironmentOptions.settingNames + FittedQOptions.settingNames + OnlineSettings.settingNames
      + Hyperparameters.settingNames
  }

  /// All settings that the run reads, with their values.
  public var allSettings: [Setting] {
    settings.filter { $0.name != "preset" && (reproducible || $0.name != "reproducible-chunks") }
      + environment.settings + (fqeInterval == nil ? [] : fittedQ.settings)
      + (online.onlineSteps > 0 ? online.settings : [])
      + hyperparameters.settings.filter { hyperparameters.agent.reads($0.name) }
  }

  /// The settings that decide what is learned: two runs that agree on them are the same run. The others say where it
  /// computes, how long, and how often it reports. Where the online phase begins belongs to the former.
  public var identity: [Setting] {
    let incidental: Set = [
      online.onlineSteps > 0 ? "online-steps" : "steps", "dataset", "dataset-memory", "dataset-digest",
      "log-interval", "eval-interval",
      "eval-episodes", "val-dataset", "fqe-interval", "save-interval", "threads", "ranks-per-node",
      "stall-timeout",
    ]
    return allSettings.filter { setting in
      !incidental.contains(setting.name) && !FittedQOptions.settingNames.contains(setting.name)
    }
  }

  /// Bytes that a dataset may take of a node's memory.
  public var datasetBytes: Int { datasetMemory << 20 }

  /// A configuration file with all settings.
  public var yaml: String {
    allSettings.map { setting in
      "\(setting.name.replacing("-", with: "_")): \(quoted(setting.value))\n"
    }.joined()
  }

  /// Hash of the program's version and all settings, to compare between ranks.
  public var digest: UInt64 {
    var digest = Digest()
    Array((version + yaml).utf8).withUnsafeBytes { digest.update($0) }
    return digest.value
  }

  private func quoted(_ value: String) -> String {
    let isPlain =
      !value.isEmpty
      && value.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.,_/".contains($0)) }
    if isPlain { return value }
    // A file with these could not be read again: see `yaml`.
    let needsEscapes =
      looksLikeKeyThatIsList(value)
      || value.unicodeScalars.contains { $0.properties.generalCategory == .control }
    return needsEscapes ? escaped(value) : "'" + value.replacing("'", with: "''") + "'"
  }

  /// A text in double quotes, with numbers in place of all characters but letters and digits.
  private func escaped(_ value: String) -> String {
    let characters = value.unicodeScalars.map { scalar -> String in
      guard !scalar.properties.isAlphabetic, scalar.properties.numericType == nil else { return "\(scalar)" }
      let digits = String(scalar.value, radix: 16)
      return "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
    }
    return "\"\(characters.joined())\""
  }
}

extension AgentKind {
  /// Throws when arguments set a hyperparameter that this agent does not read.
  ///
  /// - Parameter source: where they come from, such as a file; nil for the command line.
  public func requireReads(_ arguments: [String], source: String? = nil) throws(Failure) {
    guard let name = Self.firstUnread(in: arguments, by: [self]) else { return }
    throw Failure(.usage, "\(source.map { $0 + ": " } ?? "")--\(name): not a setting of --agent \(rawValue)")
  }
}
