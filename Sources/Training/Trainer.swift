import Agents
import ArrayFiles
import Basics
import Datasets
import Environments
import Foundation
import Kernels
import Logging
import MPI
import Networks
import ProtobufFiles

/// The version of the program.
public let version = "0.1.0"

/// Where a run stands, for whoever watches.
public struct RunStatus: Sendable {
  /// Updates done.
  public let step: Int
  /// Updates of the whole run.
  public let steps: Int
  /// Whether the figures are this update's, and in train.csv; otherwise some time has passed since.
  public let isLogged: Bool
  /// Updates a second over the last log interval.
  public let updatesPerSecond: Double
  /// Share of the time spent exchanging or waiting for other ranks over the last log interval.
  public let communicationShare: Double
  /// The figures of the last logged update, by name.
  public let figures: [(name: String, value: Double)]
  /// Success of the last evaluation.
  public let success: Double?
  /// Update whose policy is being evaluated, and how many of the episodes have ended.
  public let evaluating: (step: Int, done: Int, episodes: Int)?
}

/// One training run, from its configuration to its last checkpoint. Every method is called by all ranks.
///
/// An update, with who takes part in each collective:
///
///     sampler   this rank's rows of the batch, and their noise          nobody else
///     agent     losses and gradients, into the rank's slab              all, only when value losses are normalised
///     exchange  sum over ranks, Adam and target on this rank's part     all: barrier, part sums, summary, barrier
///     log       figures of this update                                  all, every log interval
///     evaluate  a snapshot for the evaluating thread of rank 0          nobody else
///     save      a checkpoint                                            all wait while rank 0 writes it
public final class Trainer {
  /// How the run ended.
  public struct Summary: Sendable {
    /// Updates done.
    public let steps: Int
    /// The policy's last evaluation; on rank 0, nil if it failed or none was wanted.
    public let policy: EvaluationResult?
    /// The behaviour flow's evaluation at the end, if the agent has one; on rank 0.
    public let behaviour: EvaluationResult?
    /// Why the last evaluation failed, if it did; on rank 0.
    public let evaluationFailure: Failure?
    /// Whether a signal ended it before all updates were done.
    public let wasStopped: Bool
  }

  private let configuration: Configuration
  private let world: Communicator
  private let directory: RunDirectory
  private let logger: Logger
  private let watch: (RunStatus) -> Void
  private let shouldStop: () -> Bool

  private let data: SharedDataset
  private let sampler: BatchSampler
  private let validationData: SharedDataset?
  private let validation: BatchSampler?
  private let agent: any Agent<Float>
  private let exchange: ParameterExchange
  /// On rank 0, unless no evaluation is wanted.
  private var evaluations: RunEvaluations?
  private var trainingLog: FigureLog?
  private let lock: Int32?
  private let nodes: Int

  private var step = 0
  private var skipped = 0
  private var meter = Meter()
  private var figures: [(name: String, value: Double)] = []
  private var lastReport = ContinuousClock.now

  /// Agrees on everything with the other ranks, loads data, and starts or continues the run.
  ///
  /// - Parameters:
  ///   - workers: how a Gymnasium environment is run.
  ///   - resume: continue from the newest whole checkpoint in `directory`, if there is one.
  ///   - watch: is told on rank 0, after each logged update and about every second, where the run stands.
  ///   - shouldStop: asked on every rank before each update; when any says yes, the run saves and ends.
  /// - Throws: the same `Failure` on all ranks.
  public init(
    _ configuration: Configuration, workers: WorkerOptions, world: Communicator, directory: RunDirectory,
    resume: Bool, logger: Logger,
    watch: @escaping (RunStatus) -> Void, shouldStop: @escaping () -> Bool
  ) throws {
    self.configuration = configuration
    self.world = world
    self.directory = directory
    self.logger = logger
    self.watch = watch
    self.shouldStop = shouldStop
    try world.requireAgreement(
      on: "the configuration", configuration.digest,
      advice: "start all ranks with the same program, arguments and files")
    BLAS.setThreads(configuration.threads)

    nodes = try world.nodeCount()
    let task = try world.together { try namedTask(configuration.env) }
    let importing = DatasetLocation.Import(python: workers.python, isCancelled: shouldStop) { line in
      logger.info("\(line)")
    }
    let location = try DatasetLocation(configuration, task, importing, world: world)
    let data = try SharedDataset(configuration, at: location, world: world)
    self.data = data
    let (hyperparameters, parts) = (configuration.hyperparameters, configuration.virtualShards)
    let draws = hyperparameters.agent.draws(data.spec, hyperparameters)
    sampler = try BatchSampler(
      data.transitions, data.spec, draws: draws, batchSize: hyperparameters.batchSize, parts: parts,
      seed: configuration.seed, world: world)
    // Another seed, so that validation batches draw other numbers than training.
    validationData = try SharedDataset.validation(configuration, at: location, world: world)
    validation = try validationData.map {
      try BatchSampler(
        $0.transitions, data.spec, draws: draws, batchSize: hyperparameters.batchSize, parts: parts,
        seed: configuration.seed ^ 0x9E37_79B9, world: world)
    }
    agent = hyperparameters.agent.make(
      data.spec, hyperparameters, rows: max(sampler.batch.capacity, validation?.batch.capacity ?? 0))
    exchange = try ParameterExchange(
      world: world, count: agent.layout.count, followed: agent.layout.followed,
      learningRate: hyperparameters.lr, tau: hyperparameters.tau, ranksPerNode: configuration.ranksPerNode)
    lock = try world.together { world.rank == 0 ? try directory.open(resuming: resume) : nil }
    let isResumed = try start(resume: resume)
    let cores = try SpareCores(world, threads: configuration.threads)
    try world.together {
      guard world.rank == 0 else { return }
      if configuration.evalEpisodes > 0 {
        let best = isResumed ? try? Checkpoint(path: directory.best).state.score : nil
        evaluations = try RunEvaluations(
          configuration, task, data.spec, workers: workers, cores: cores, best: best,
          directory: directory, logger: logger, isUrgent: shouldStop)
      }
      let evaluated = try openFiles()
      submitUnevaluated(except: evaluated)
    }
  }

  /// Trains until the configured number of updates is done or a signal stops it.
  public func run() throws -> Summary {
    announce()
    let watchdog = Watchdog(seconds: configuration.stallTimeout, rank: world.rank)
    meter.restart(step: step, communication: exchange.communicationSeconds)
    while step < configuration.steps {
      let start = ContinuousClock.now
      let outcome = try watchdog.watch {
        let outcome = try update()
        if step % 100 == 0 { try compareReplicas() }
        return outcome
      }
      // Updates that are logged take longer.
      evaluations?.follow(updateTook: logs(step) ? nil : ContinuousClock.now - start)
      reportEverySecond()
      if configuration.steps > step, outcome.stops {
        try rankZero { try save() }
        return summary(wasStopped: true)
      }
      if isDue(configuration.evalInterval) && step < configuration.steps {
        evaluate([.policy], isNeeded: false)
      }
      if isDue(configuration.saveInterval) && step < configuration.steps { try rankZero { try save() } }
    }
    try rankZero { try save() }
    return summary(wasStopped: try !evaluateTheEnd())
  }

  private func summary(wasStopped: Bool) -> Summary {
    evaluations?.cancel()
    return Summary(
      steps: step, policy: evaluations?.results[.policy], behaviour: evaluations?.results[.behaviour],
      evaluationFailure: evaluations?.failure, wasStopped: wasStopped)
  }

  // MARK: One update

  private func update() throws -> ParameterExchange.Outcome {
    let logs = logs(step + 1)
    try sampler.load(step: step)
    try evaluateLosses(sampler.batch, logging: logs, gradients: exchange.gradients)
    let figures = logs ? try reduce(agent.figures.values, of: agent.figures.all, over: world) : []
    let outcome = try exchange.step(
      gradientIsFinite: agent.networks.gradientIsFinite, movesTarget: agent.movesTarget(update: step),
      stop: shouldStop())
    step += 1
    try judge(outcome)
    if logs {
      let squares = try world.allReduce(outcome.gradientSquares)
      try log(figures, gradientNorm: squares.squareRoot())
    }
    return outcome
  }

  private func evaluateLosses(
    _ batch: Batch<Float>, logging: Bool, gradients: UnsafeMutablePointer<Float>?
  ) throws {
    try agent.computeLosses(
      batch, exchange.parameters, target: exchange.target, gradients: gradients, logging: logging
    ) { (sums) throws(MPIError) in try exchange.sumOverRanks(&sums) }
  }

  /// A gradient that is not finite was skipped by all ranks; several in a row end the run.
  private func judge(_ outcome: ParameterExchange.Outcome) throws {
    guard !outcome.isFinite else {
      skipped = 0
      return
    }
    skipped += 1
    let tensor = agent.layout.slots.first { slot in
      !exchange.reducedGradient(slot.range).allSatisfy(\.isFinite)
    }
    let place = "update \(step): the gradient of \(tensor?.name ?? "some tensor") is not finite"
    guard skipped < 5 else {
      throw Failure(
        .software,
        "\(place), the fifth in a row; checkpoints before it are kept. Lower --lr, or look with --check")
    }
    if world.rank == 0 { logger.warning("\(place); the update is skipped") }
  }

  /// All groups of ranks must hold the same bits.
  private func compareReplicas() throws {
    var digest = Digest()
    digest.update(UnsafeRawBufferPointer(start: exchange.parameters, count: exchange.count * 4))
    digest.update(UnsafeRawBufferPointer(start: exchange.target, count: agent.layout.targetCount * 4))
    try world.requireAgreement(
      on: "the parameters after update \(step)", digest.value,
      advice: "memory or network is unreliable; continue from the last checkpoint with --resume auto")
  }

  private func isDue(_ interval: Int) -> Bool { interval > 0 && step % interval == 0 }

  /// Whether an update's figures go to the log.
  private func logs(_ step: Int) -> Bool {
    step % configuration.logInterval == 0 || step == configuration.steps
  }

  // MARK: Evaluation

  /// Hands a snapshot to what evaluates. No rank changes the numbers before all have computed the next update.
  ///
  /// - Parameter isNeeded: whether it must not be left out.
  private func evaluate(_ actors: [Evaluator.Actor], isNeeded: Bool) {
    evaluations?.submit(
      Snapshot(state, NamedTensors(agent.layout, exchange), of: exchange.carried), for: actors,
      isNeeded: isNeeded)
  }

  /// The last evaluation, which is waited for, by the other ranks without using their cores. False if a signal ended
  /// the wait. Collective.
  private func evaluateTheEnd() throws -> Bool {
    evaluate([.policy, .behaviour], isNeeded: true)
    while let evaluations, evaluations.progress != nil, !shouldStop() {
      evaluations.wait(atMost: 0.2)
      evaluations.follow(updateTook: nil)
      reportEverySecond()
    }
    try world.waitAsleep()
    evaluations?.follow(updateTook: nil)
    try rankZero {}
    return try world.allReduce(Int64(evaluations?.progress == nil ? 1 : 0), .min) == 1
  }

  /// Hands over again what the run before did not get to.
  ///
  /// - Parameter evaluated: the updates whose evaluations are in the log.
  private func submitUnevaluated(except evaluated: Set<Int>) {
    guard let evaluations else { return }
    for old in directory.steps(.unevaluated) {
      guard old < step, !evaluated.contains(old),
        let checkpoint = try? Checkpoint(path: directory.path(.unevaluated, step: old)),
        let snapshot = try? Snapshot(
          checkpoint, like: NamedTensors(agent.layout, exchange), of: exchange.carried)
      else {
        directory.remove(.unevaluated, step: old)
        continue
      }
      evaluations.submit(snapshot, for: [.policy], isNeeded: true)
    }
    if step > 0 && step < configuration.steps && isDue(configuration.evalInterval)
      && !evaluated.contains(step)
    {
      evaluate([.policy], isNeeded: true)
    }
  }

  // MARK: Logs

  private func log(_ figures: [Double], gradientNorm: Double) throws {
    var named = zip(agent.figures.all, figures).map { (name: $0.name, value: $1) }
    named.append((name: "grad/norm", value: gradientNorm))
    if let validation {
      try validation.load(step: step)
      try evaluateLosses(validation.batch, logging: true, gradients: nil)
      let values = try reduce(agent.figures.values, of: agent.figures.all, over: world)
      named += zip(agent.figures.all, values).map { (name: "validation/\($0.name)", value: $1) }
    }
    let (rate, share) = meter.reading(step: step, communication: exchange.communicationSeconds)
    meter.restart(step: step, communication: exchange.communicationSeconds)
    self.figures = named
    // Together, so that a full disk on the first rank ends all of them.
    try world.together {
      try evaluations?.requireWritten()
      try trainingLog?.append(
        ["\(step)"] + named.map { "\($0.value)" } + [decimals(rate, 3), decimals(share, 4)])
    }
    if world.rank == 0 { report(rate: rate, share: share, isLogged: true) }
  }

  /// Tells whoever watches where the run stands.
  private func report(rate: Double, share: Double, isLogged: Bool) {
    lastReport = .now
    watch(
      RunStatus(
        step: step, steps: configuration.steps, isLogged: isLogged, updatesPerSecond: rate,
        communicationShare: share, figures: figures, success: evaluations?.results[.policy]?.success?.mean,
        evaluating: evaluations?.progress.map { ($0.step, $0.episodes, configuration.evalEpisodes) }))
  }

  /// Keeps a watcher informed between logged updates.
  private func reportEverySecond() {
    guard world.rank == 0, ContinuousClock.now - lastReport > .seconds(1) else { return }
    let (rate, share) = meter.reading(step: step, communication: exchange.communicationSeconds)
    report(rate: rate, share: share, isLogged: false)
  }

  private func save() throws {
    try requireFiniteState()
    // First what depends on it: a run may end at any moment.
    try evaluations?.saveOutstanding(before: step)
    let path = directory.checkpoint(step: step)
    try Checkpoint.write(path, state, NamedTensors(agent.layout, exchange))
    directory.prune(step: step)
    logger.info("update \(step): saved \(path)")
  }

  private func requireFiniteState() throws {
    for (base, count) in [(exchange.parameters, exchange.count), (exchange.target, agent.layout.targetCount)]
    {
      guard UnsafeBufferPointer(start: base, count: count).allSatisfy(\.isFinite) else {
        throw Failure.notFinite(step: step)
      }
    }
  }

  private var state: CheckpointState {
    CheckpointState(
      step: step, optimiserSteps: exchange.optimiserSteps, configuration: configuration.yaml,
      datasetDigest: data.digest, spec: data.spec)
  }

  /// Work of rank 0 between updates, while the others wait. Collective: what fails there ends all ranks.
  private func rankZero(_ body: () throws -> Void) throws {
    try world.together {
      try evaluations?.requireWritten()
      if world.rank == 0 { try body() }
    }
    meter.restart(step: step, communication: exchange.communicationSeconds)
  }

  // MARK: Start

  /// Parameters, moments and counters, from a checkpoint or from the seed. Whether there was a checkpoint.
  private func start(resume: Bool) throws -> Bool {
    let resumed = try world.together {
      guard world.rank == 0, resume else { return false }
      let rejected = { (line: String) in self.logger.warning("passed over a checkpoint: \(line)") }
      guard let checkpoint = directory.newestCheckpoint(rejected: rejected) else { return false }
      try restore(checkpoint)
      return true
    }
    if exchange.leadsGroup && !resumed {
      agent.layout.initialise(exchange.parameters, seed: configuration.seed)
      agent.layout.copyFollowed(of: exchange.parameters, to: exchange.target)
    }
    var position = Int64(step)
    try world.broadcast(&position, count: 8)
    step = Int(position)
    try exchange.distribute()
    try compareReplicas()
    return resumed
  }

  private func restore(_ checkpoint: Checkpoint) throws {
    let state = checkpoint.state
    let saved = try checkpoint.configuration().identity
    if let (now, then) = zip(configuration.identity, saved).first(where: { $0 != $1 }) {
      throw Failure(
        .configuration,
        "\(directory.path): was trained with --\(then.name) \(then.value), not \(now.value); give the same settings to resume, or another --run-dir"
      )
    }
    guard state.datasetDigest == data.digest else {
      throw Failure(
        .configuration,
        "\(directory.path): was trained on data with digest \(state.datasetDigest), not \(data.digest)"
      )
    }
    try checkpoint.read(into: NamedTensors(agent.layout, exchange))
    exchange.optimiserSteps = state.optimiserSteps
    step = state.step
    logger.info("continuing \(directory.path) after update \(step)")
  }

  /// Opens the files that grow. The updates whose evaluations are there already.
  private func openFiles() throws -> Set<Int> {
    let figures = agent.figures.all.map(\.name)
    let validationFigures = validation == nil ? [] : figures.map { "validation/\($0)" }
    let events = try EventFile(directory: directory.path, from: step)
    // What a resumed run computes again goes, and what only the end of the run before it had.
    trainingLog = try FigureLog(
      path: directory.training,
      columns: ["step"] + figures + ["grad/norm"] + validationFigures
        + ["time/updates_per_second", "time/communication_share"],
      events: events, from: step, group: { _ in "" }
    ) { [self] row, _ in
      row <= step && (row % configuration.logInterval == 0 || row == configuration.steps)
    }
    var evaluated: Set<Int> = []
    evaluations?.log = try FigureLog(
      path: directory.evaluation, columns: RunEvaluations.columns, events: events, from: step,
      group: { "eval/\($0[1] ?? "")/" }
    ) { [self] row, fields in
      // The evaluation of the last update is not periodic: it is repeated when a whole run is resumed.
      let isPeriodic =
        configuration.evalInterval > 0 && row % configuration.evalInterval == 0 && row < configuration.steps
      let isKept = row <= step && isPeriodic && fields[1] == Evaluator.Actor.policy.rawValue
      if isKept { evaluated.insert(row) }
      return isKept
    }
    var repeated = configuration
    repeated.dataset = configuration.dataset.map { URL(fileURLWithPath: $0).path }
    repeated.datasetDigest = data.digest
    let facts =
      ["fan-dist \(version), \(MPI.libraryVersion), \(BLAS.description), \(ranks)"]
      + (data.statistics.map { $0.lines + $0.warnings.map { "warning: \($0)" } } ?? [])
    let text = facts.map { "# \($0)\n" }.joined() + repeated.yaml
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: directory.configuration), options: .atomic)
    } catch {
      throw Failure(.cannotCreate, "\(directory.configuration): cannot write: \(error.localizedDescription)")
    }
    return evaluated
  }

  private var ranks: String {
    "\(world.size) rank(s) on \(nodes) node(s), \(configuration.threads) thread(s) each"
  }

  private func announce() {
    guard world.rank == 0, let statistics = data.statistics else { return }
    logger.info("fan-dist \(version), \(MPI.libraryVersion), \(BLAS.description)")
    logger.info("\(ranks)")
    for line in statistics.lines + provenanceLines(data.provenance) { logger.info("\(line)") }
    logger.info(
      "\(data.place); parameters and gradients \(megabytes(exchange.byteCount / exchange.groupSize)) MB per rank"
    )
    for warning in statistics.warnings { logger.warning("dataset: \(warning)") }
    logger.info(
      "batch \(configuration.hyperparameters.batchSize), up to \(sampler.batch.capacity) on a rank; \(agent.layout.slots.reduce(0) { $0 + $1.count }) trained parameters; seed \(configuration.seed)"
    )
    logger.info("writing to \(directory.path)")
  }
}

/// The rate of updates since the last reading.
private struct Meter {
  private var start = ContinuousClock.now
  private var step = 0
  private var communication = 0.0

  /// Begins a new interval.
  mutating func restart(step: Int, communication: Double) {
    self.step = step
    self.communication = communication
    start = .now
  }

  /// Updates a second and the share of time in communication since the interval began.
  func reading(step: Int, communication: Double) -> (rate: Double, share: Double) {
    let seconds = max((ContinuousClock.now - start).seconds, 1e-9)
    return (Double(step - self.step) / seconds, (communication - self.communication) / seconds)
  }
}

/// A number with so many decimals.
func decimals(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }

private func megabytes(_ bytes: Int) -> String { decimals(Double(bytes) / 1e6, 1) }
