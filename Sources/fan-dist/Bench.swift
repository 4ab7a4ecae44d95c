import Agents
import ArgumentParser
import Basics
import Benchmarks
import CAllocations
import Environments
import Foundation
import Kernels
import MPI
import Settings

/// `fan-dist bench`: how fast updates are, and how fast they could be on this machine.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure the speed of updates against the machine's limits.",
    discussion: """
      Rounds of updates alternate with the machine's own matrix products and memory copies; the table shows \
      medians. On several ranks: mpirun -n 2 fan-dist bench.
      """)

  @OptionGroup(title: "Hyperparameters")
  var hyperparameters: Hyperparameters

  @Option(
    help: ArgumentHelp(
      "Compare agents instead: all, or names separated by commas.",
      discussion: "Each with its published defaults; a setting goes to those that read it.",
      valueName: "names"))
  var agents: AgentList?

  @Option(help: "Numbers of an observation.")
  var observationSize = 37

  @Option(
    help: ArgumentHelp(
      "Height, width and channels of images, in place of --observation-size.", valueName: "h,w,c"))
  var observationShape: ImageShape?

  @Option(help: "Components of an action.")
  var actionSize = 5

  @Option(help: "Threads of each rank's products; several are OpenBLAS's.")
  var threads = 1

  @Option(help: "Kernels of the products on one thread; the fastest by default.")
  var products: ProductKernels?

  @Option(help: "Ranks that share memory; all of a node by default, 1 exchanges by messages alone.")
  var ranksPerNode: Int?

  @Flag(help: "Time updates whose bits do not depend on the number of ranks.")
  var reproducible = false

  @Option(help: ArgumentHelp("Chunks of a batch with --reproducible.", valueName: "n"))
  var reproducibleChunks = 16

  @Option(help: "Rounds to take medians over.")
  var rounds = 7

  @Option(help: "Updates in a round; about half a second's by default.")
  var updates: Int?

  @Flag(
    help: ArgumentHelp(
      "Measure again while memory is copied on every core without a rank.",
      discussion: "The table then has two columns, and JSON two results: quiet and loaded."))
  var load = false

  @Flag(help: "Time updates with their steps in an environment, and without, instead.")
  var online = false

  @Option(help: "The task of --online, with its dataset.")
  var env = PointMazeTask.defaultName

  @Option(help: ArgumentHelp("Environments that --online steps at once.", valueName: "k"))
  var onlineEnvironments = 1

  @Option(help: ArgumentHelp("Updates of --online for each step in an environment.", valueName: "number"))
  var updatesPerStep = 1.0

  @Option(help: "Python interpreter that runs the Gymnasium environments of --online.")
  var python = "python3"

  @Flag(help: "Print what updates would take on 1 to 256 ranks, from constants measured now.")
  var model = false

  @Option(help: "Ranks of a node in the model, where there are several nodes.")
  var modelRanksPerNode = 16

  @Flag(help: "Print JSON instead of a table.")
  var json = false

  func validate() throws {
    try require((1...100_000).contains(observationSize), "--observation-size must be between 1 and 100000")
    try require((1...10_000).contains(actionSize), "--action-size must be between 1 and 10000")
    try require((1...1024).contains(threads), "--threads must be between 1 and 1024")
    try require((1...1000).contains(rounds), "--rounds must be between 1 and 1000")
    try require((1...1_000_000).contains(updates ?? 1), "--updates must be between 1 and 1000000")
    try require((1...65_536).contains(ranksPerNode ?? 1), "--ranks-per-node must be between 1 and 65536")
    try require(products == nil || threads == 1, "--products is for one thread: several are OpenBLAS's")
    try require(!model || agents == nil, "--model and --agents ask for different measurements")
    try require(
      !online || (!model && agents == nil), "--online, --model and --agents ask for different measurements")
    try require(
      !load || (!online && !model && agents == nil),
      "--load is for updates, without --online, --model and --agents")
    try require(
      BatchChunks.isPossible(reproducibleChunks),
      "--reproducible-chunks must be a power of two between 1 and 65536")
    try require(
      !reproducible || (threads == 1 && products != .openBLAS && !online && !model && agents == nil),
      "--reproducible is for updates on one thread, without --products openblas, --online, --model and --agents"
    )
    try require((1...256).contains(modelRanksPerNode), "--model-ranks-per-node must be between 1 and 256")
  }

  /// What an observation is.
  private var observation: ObservationSpace { observationShape?.space ?? .vector(observationSize) }

  /// The observation for people.
  private var observationText: String { observationShape.map { "\($0)" } ?? "\(observationSize)" }

  /// Throws when there are options that count only beside one that is missing, or without one that is there.
  private func requireAllCount() throws {
    func refuse(_ names: String..., because reason: String) throws {
      try Settings.requireNone(of: names, in: Self.arguments) { $0 + reason }
    }
    if online {
      try refuse(
        "observation-size", "observation-shape", "action-size",
        because: ": --online takes what the task has; leave it out")
      try refuse("ranks-per-node", because: ": --online takes the machine as it is; leave it out")
    } else {
      try refuse(
        "env", "updates-per-step", "online-environments", "python", because: " is for --online")
    }
    if observationShape != nil {
      try refuse("observation-size", because: ": --observation-shape takes its place; leave one of them out")
    }
    if model {
      try refuse("rounds", "updates", because: ": --model chooses how often it measures; leave it out")
    } else {
      try refuse("model-ranks-per-node", because: " is for --model")
    }
    if !reproducible { try refuse("reproducible-chunks", because: " is for --reproducible") }
  }

  func run(_ job: Job) throws {
    try requireAllCount()
    let world = try job.world()
    try Releases.around { releases in
      if online {
        try timeOnline(world, releases)
      } else if let agents {
        try compare(agents.agents, world, releases)
      } else {
        try measure(world, releases)
      }
    }
  }

  /// Times the updates of one agent, or measures the constants of the scaling model.
  private func measure(_ world: Communicator, _ releases: Releases) throws {
    let hyperparameters = try published(hyperparameters.agent)
    try ProductKernels.reproduce(reproducible)
    let benchmark = try UpdateBenchmark(
      world: world, hyperparameters: hyperparameters, observation, actionSize: actionSize, threads: threads,
      ranksPerNode: ranksPerNode, chunks: reproducible ? reproducibleChunks : nil, releases)
    products?.use()
    if model {
      let model = try benchmark.scalingModel()
      guard world.rank == 0 else { return }
      return try StandardStream.output.say(
        json
          ? try encoded(model)
          : model.table(batch: hyperparameters.batchSize, perNode: modelRanksPerNode))
    }
    func measured() throws -> UpdateBenchmark.Result {
      try benchmark.run(rounds: rounds, updates: updates, allocations: { allocation_count() })
    }
    let quiet = try measured()
    guard load else {
      guard world.rank == 0 else { return }
      return try StandardStream.output.say(json ? try encoded(quiet) : table(rows(quiet)))
    }
    let load = try MemoryLoad(world, threads: threads)
    defer { load.stop() }
    let loaded = try measured()
    guard world.rank == 0 else { return }
    try StandardStream.output.say(
      json ? try encoded(["quiet": quiet, "loaded": loaded]) : table(rows(quiet), rows(loaded)))
  }

  /// Times updates with steps in an environment and without.
  private func timeOnline(_ world: Communicator, _ releases: Releases) throws {
    let benchmark = try OnlineBenchmark(
      env: env, try published(hyperparameters.agent), environments: onlineEnvironments,
      updatesPerStep: updatesPerStep, threads: threads, try WorkerOptions.parse(["--python", python]),
      world: world,
      releases, say: { StandardStream.error.attempt($0 + "\n") })
    products?.use()
    let r = try benchmark.run(rounds: rounds, updates: updates)
    guard world.rank == 0 else { return }
    guard !json else { return try StandardStream.output.say(try encoded(r)) }
    try StandardStream.output.say(
      """
      \(r.env): \(r.ranks) rank(s), \(r.environments) environment(s), \(r.updatesPerStep) update(s) for a step
      without steps  \(decimals(r.update, 3)) ms an update, \(decimals(r.updatesPerSecond, 1)) updates/s
      with steps     \(decimals(r.updateWithSteps, 3)) ms an update, \(decimals(r.updatesPerSecondWithSteps, 1)) updates/s; environment \(decimals(100 * r.environmentShare, 1)) % of the time
      """)
  }

  /// What the command line says after `bench`.
  private static var arguments: [String] { Array(CommandLine.arguments.drop { $0 != "bench" }.dropFirst()) }

  /// The hyperparameters of the command line, over the agent's published defaults.
  private func published(_ agent: AgentKind) throws -> Hyperparameters {
    try agent.requireReads(Self.arguments)
    return try Bench.parse(agent.defaults + Self.arguments).hyperparameters
  }

  private func encoded(_ result: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(result), as: UTF8.self)
  }

  /// What the table says of a result, by name.
  private func rows(_ r: UpdateBenchmark.Result) -> [(name: String, text: String)] {
    var rows = [
      (
        "setting",
        "\(r.ranks) rank(s), \(r.threads) thread(s) each, batch \(r.batchSize), observation \(observationText), action \(actionSize), hidden \(hyperparameters.actorHiddenDims) / \(hyperparameters.valueHiddenDims)"
      ),
      ("products", r.blas),
      ("update", "\(decimals(r.update, 3)) ms, \(decimals(r.updatesPerSecond, 1)) updates/s"),
      (
        "needed",
        "\(decimals(r.gigaOperations, 3)) GFLOP an update, counted \(decimals(r.countedGigaOperations, 3))"
      ),
      (
        "rate",
        "\(decimals(r.rate, 1)) GFLOP/s; at these shapes, all ranks at once: sgemm \(decimals(r.productRate, 1)), the products \(decimals(r.kernelRate, 1))"
      ),
      ("limit", "\(decimals(r.limit, 3)) ms; share of the limit \(decimals(r.shareOfLimit, 3))"),
    ]
    let order = [
      "products", "convolutions", "elementwise", "optimiser", "exchange", "waiting", "sampling", "rest",
    ]
    let total = r.parts.values.reduce(0, +)
    for name in order {
      let time = r.parts[name] ?? 0
      if name == "convolutions" && observationShape == nil { continue }
      rows.append(("  \(name)", "\(decimals(time, 3)) ms, \(decimals(100 * time / total, 1)) %"))
    }
    if r.allReduce > 0 {
      rows.append(
        (
          "all-reduce",
          "\(decimals(r.allReduce, 3)) ms for the exchange's \(decimals(r.allReduceMegabytes, 1)) MB alone"
        ))
    }
    let all = r.gradients.last?.time ?? 1
    let gradients = r.gradients.map {
      "\($0.rows): \(decimals($0.time, 3)) ms, \(decimals(100 * $0.time / all, 1)) %"
    }
    rows += [
      ("rows", "losses and gradients alone, " + gradients.joined(separator: "; ")),
      (
        "  limit",
        "\(decimals(r.gradientLimit, 3)) ms: parameters read twice, targets once, the gradient written"
      ),
      ("memory copy", "\(decimals(r.memoryBandwidth, 1)) GB/s, all ranks at once"),
      ("allocations", "\(decimals(r.allocations, 2)) of the heap in an update, at most, per rank"),
      (
        "memory",
        "\(decimals(r.megabytesPerSample, 3)) MB for a sample of a rank's share, beyond the parameters"
      ),
      ("resident", "\(decimals(r.residentMegabytes, 1)) MB at most, per rank"),
      ("one action", "\(decimals(1e3 * r.action, 1)) µs"),
      (
        "\(r.batchSize) actions",
        "\(decimals(r.actions, 3)) ms at once, on each rank; products \(decimals(r.actionRate, 1)) GFLOP/s"
      ),
    ]
    if observationShape != nil {
      rows.insert(
        ("encodings", "\(decimals(r.encodings / Double(r.batchSize), 1)) of each sample in an update"), at: 4)
    }
    return rows.map { (name: $0.0, text: $0.1) }
  }

  /// A result as lines; with a second one, what both say alike once, and then what each says.
  private func table(
    _ quiet: [(name: String, text: String)], _ loaded: [(name: String, text: String)]? = nil
  ) -> String {
    func line(_ name: String, _ text: String) -> String {
      name.padding(toLength: 14, withPad: " ", startingAt: 0) + text
    }
    guard let loaded else { return quiet.map { line($0.name, $0.text) }.joined(separator: "\n") }
    let width = zip(quiet, loaded).filter { $0.text != $1.text }.map(\.0.text.count).max() ?? 0
    let lines = zip(quiet, loaded).map { quiet, loaded in
      quiet.text == loaded.text
        ? line(quiet.name, quiet.text)
        : line(
          quiet.name, quiet.text.padding(toLength: width, withPad: " ", startingAt: 0) + " | " + loaded.text)
    }
    return (lines + ["left: quiet; right: with copies of memory on the cores without a rank"]).joined(
      separator: "\n")
  }
}

/// The sizes of images, written `64,64,9`.
struct ImageShape: ExpressibleByArgument, CustomStringConvertible {
  let space: ObservationSpace
  let description: String

  /// Parses height, width and channels; nil when they are none.
  init?(argument: String) {
    let sizes = argument.split(separator: ",", omittingEmptySubsequences: false).compactMap { Int($0) }
    guard sizes.count == 3, sizes.allSatisfy({ (1...1024).contains($0) }) else { return nil }
    space = .image(height: sizes[0], width: sizes[1], channels: sizes[2])
    description = sizes.map(String.init).joined(separator: " × ")
  }
}

/// Agents by name.
struct AgentList: ExpressibleByArgument {
  let agents: [AgentKind]

  /// Parses `all`, or names separated by commas.
  init?(argument: String) {
    let names = argument.split(separator: ",", omittingEmptySubsequences: false)
    agents = argument == "all" ? AgentKind.allCases : names.compactMap { AgentKind(rawValue: String($0)) }
    guard argument == "all" || agents.count == names.count, Set(agents).count == agents.count else {
      return nil
    }
  }
}

extension Bench {
  /// Times agents in turn and prints what an update and an action of each cost.
  private func compare(_ agents: [AgentKind], _ world: Communicator, _ releases: Releases) throws {
    try Settings.requireNone(of: ["agent"], in: Self.arguments) { "\($0) and --agents: give one of them" }
    if let name = AgentKind.firstUnread(in: Self.arguments, by: agents) {
      throw Failure(.usage, "--\(name): not a setting of any of these agents")
    }
    let hyperparameters = try agents.map {
      try Bench.parse($0.defaults + Self.arguments + ["--agent", $0.rawValue]).hyperparameters
    }
    let comparison = try AgentComparison(
      world: world, hyperparameters, observation, actionSize: actionSize,
      threads: threads, ranksPerNode: ranksPerNode, releases)
    products?.use()
    let costs = try comparison.run(rounds: rounds, updates: updates)
    guard world.rank == 0 else { return }
    try StandardStream.output.say(json ? try encoded(costs) : table(costs, ranks: world.size))
  }

  private func table(_ costs: [AgentComparison.Cost], ranks: Int) -> String {
    let reference = "/ " + (costs.first?.title ?? "")
    let header = [
      "", "passes", "GFLOP", "counted", "ms/update", reference, "µs/action", reference, "MB/rank",
    ]
    let rows = costs.map {
      [
        $0.title, decimals($0.passes, $0.passes == $0.passes.rounded() ? 0 : 1),
        decimals($0.gigaOperations, 3),
        decimals($0.countedGigaOperations, 3),
        decimals($0.update, 3), decimals($0.relativeUpdate, 2), decimals($0.action, 1),
        decimals($0.relativeAction, 2), decimals($0.megabytes, 1),
      ]
    }
    let setting =
      "\(ranks) rank(s), \(threads) thread(s) each, batch \(hyperparameters.batchSize), observation \(observationText), action \(actionSize), hidden \(hyperparameters.actorHiddenDims) / \(hyperparameters.valueHiddenDims), \(BLAS.description)"
    return [setting, "", columns([header] + rows, first: 12), doublings(costs)].joined(separator: "\n")
  }

  /// A table of what twice as much of a setting costs; empty when no setting was doubled.
  private func doublings(_ costs: [AgentComparison.Cost]) -> String {
    let rows = costs.flatMap { cost in
      cost.doublings.map {
        [
          "\(cost.title), \($0.setting) \($0.from) -> \($0.to)", decimals($0.gigaOperations, 3),
          decimals($0.relativeOperations, 2), decimals($0.update, 3), decimals($0.relativeUpdate, 2),
          decimals($0.action, 1), decimals($0.relativeAction, 2),
        ]
      }
    }
    guard !rows.isEmpty else { return "" }
    let header = ["twice as much", "GFLOP", "/ once", "ms/update", "/ once", "µs/action", "/ once"]
    return "\n" + columns([header] + rows, first: 44)
  }

  /// Rows of cells as lines; the first column is `first` characters wide.
  private func columns(_ rows: [[String]], first: Int) -> String {
    rows.map { cells in
      cells.enumerated().map { column, cell in
        column == 0
          ? cell.padding(toLength: first, withPad: " ", startingAt: 0)
          : String(repeating: " ", count: max(1, 11 - cell.count)) + cell
      }.joined()
    }.joined(separator: "\n")
  }
}
