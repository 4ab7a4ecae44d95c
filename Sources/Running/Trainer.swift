import Basics
import Checkpoints
import Datasets
import Evaluation
import Exploration
import Judging
import Kernels
import Learning
import MPI
import Settings
import TrainingData

/// One training run, from its configuration to its last checkpoint. Every method is called by all ranks.
///
/// An update, with who takes part in each collective:
///
///     collector online: rank 0 steps the environment                     all: broadcast; each node: barrier
///     sampler   this rank's rows of the batch, and their noise           nobody else
///     learner   losses and gradients, into the rank's slab               all, when losses are normalised
///               sum over ranks, Adam and targets on the owned piece      all: barrier, sums, barrier
///     log       figures of this update                                   all, every log interval
///     evaluate  a snapshot for the evaluating thread of rank 0           nobody else
///     save      a checkpoint                                             all wait while rank 0 writes it
public final class Trainer {
  /// How the run ended.
  public struct Summary: Sendable {
    /// Updates done.
    public let steps: Int
    /// The policy's last evaluation; on rank 0, nil if it failed or none was wanted.
    public let policy: EvaluationResult?
    /// The behaviour flow's evaluation at the end, if the agent has one; on rank 0.
    public let behaviour: EvaluationResult?
    /// The policy's value by recorded episodes at the end; on rank 0, nil if none was wanted.
    public let judged: JudgedValue?
    /// Behaviour cloning's, if the agent has it; on rank 0.
    public let judgedBehaviour: JudgedValue?
    /// Why the last evaluation failed, if it did; on rank 0.
    public let evaluationFailure: Failure?
    /// Whether a signal ended it before all updates were done.
    public let wasStopped: Bool

    /// Why a run that came to its end is not finished all the same, and what to do; nil if it is. On rank 0.
    public func failure(in directory: RunDirectory) -> Failure? {
      evaluationFailure.map {
        Failure(
          $0.code,
          "all is trained and saved in \(directory.path), but \($0.message). Repair that and give the same command with --run-dir \(directory.path) --resume auto"
        )
      }
    }
  }

  /// Updates between two comparisons of the ranks' parameters.
  private static let comparisonInterval = 100
  /// The run ends with the fifth update in a row that is skipped.
  private static let skippedLimit = 5
  /// Seconds between two looks at signals and results while the first rank waits for the last evaluation.
  private static let waitingInterval = 0.2

  private let configuration: Configuration
  private let directory: RunDirectory
  private let world: Communicator
  private let host: RunHost
  private let data: RunData
  private let state: RunState
  private let facts: RunFacts
  private let log: RunLog
  /// On rank 0.
  private let lock: RunLock?
  /// On rank 0.
  private let files: RunFiles?
  /// On rank 0, unless no evaluation is wanted.
  private let evaluations: RunEvaluations?
  /// Nil for a run that is not judged by recorded episodes.
  private let judgements: RunJudgements?
  /// Nil for a run that never goes online.
  private let collector: Collector?
  /// On rank 0, for a run that goes online.
  private let collectedFiles: CollectedFiles?
  private let rollouts: RolloutDataset?
  private let phases: [Phase]
  private var skipped = 0

  /// Trains. Collective over `world`, whose ranks are free for other work afterwards: nothing of the run is left but
  /// its files.
  ///
  /// - Parameter notes: lines for the log, before those about the run itself.
  /// - Throws: a `Failure` that is the same on all ranks, or another error of this rank, which only the end of the job
  ///   can tell the others.
  public static func run(
    _ request: RunRequest, world: Communicator, host: RunHost, notes: [String] = []
  ) throws -> Summary {
    world.whenAllRun = { [watchdog = host.watchdog] in watchdog.allRun() }
    world.wasAskedToStop = host.shouldStop
    world.someRankWasAskedToStop = false
    defer { (world.whenAllRun, world.wasAskedToStop) = (nil, nil) }
    let host = host.listening(to: world)
    return try Releases.around { releases in
      // Before anything is freed, which is collective: the last phase begins, however this one ends.
      defer { host.watchdog.enter("the end of the run") }
      let trainer = try Trainer(request, world: world, host: host, releases)
      if world.rank == 0 {
        for note in notes { host.logger.info("\(note)") }
        trainer.facts.say(to: host, request.directory)
      }
      return try trainer.run()
    }
  }

  // MARK: Start

  /// Agrees on everything with the other ranks, loads data, and starts or continues the run.
  private init(_ request: RunRequest, world: Communicator, host: RunHost, _ releases: Releases) throws {
    configuration = request.configuration
    directory = request.directory
    self.world = world
    self.host = host
    host.watchdog.enter("the start of the run")
    try world.requireAgreement(
      on: "the configuration", configuration.digest,
      advice: "start all ranks with the same program, arguments and files")
    BLAS.setThreads(configuration.threads)
    try world.together { [configuration] in try ProductKernels.reproduce(configuration.reproducible) }
    host.watchdog.enter("loading data")
    data = try RunData(request, world: world, host, releases)
    host.watchdog.enter("the start of the run")
    let learner = try Learner(
      configuration.hyperparameters, data.spec, rows: data.mostRows, world: world,
      ranksPerNode: configuration.ranksPerNode,
      chunks: configuration.chunks(ranks: world.size))
    releases.add(learner.free)
    facts = try RunFacts(
      configuration, data.training, learner, world: world, isAlone: host.spareCores == nil)
    lock = try world.together {
      guard world.rank == 0 else { return RunLock?.none }
      return try request.directory.open(
        resuming: request.resumes, warn: { host.logger.warning("\($0)") })
    }
    state = RunState(
      learner, configuration, datasetDigest: data.training.data.digest,
      validationDigest: data.validationDigest, data.spec)
    state.remedy = data.training.data.remedy
    let isResumed = try state.start(request, world: world) { line, isWarning in
      isWarning ? host.logger.warning("\(line)") : host.logger.info("\(line)")
    }
    let cores = try host.spareCores ?? SpareCores(world, threads: configuration.threads)
    collector = try Self.collector(request, data, cores, world, host)
    collectedFiles = world.rank == 0 && collector != nil ? CollectedFiles(request.directory) : nil
    rollouts = try Self.rollouts(request, data.training.replay?.buffer, world, isResumed: isResumed)
    judgements = try Self.judgements(request, data, world, host, isResumed: isResumed)
    (evaluations, files, log) = try Self.open(
      request, data, state, facts, judgements, collector, cores, world, host, isResumed: isResumed)
    state.environmentOrder = evaluations?.observationOrder
    let (sampler, steps, updates) = (data.training.sampler, configuration.steps, configuration.updates)
    phases =
      [.offline(sampler, updates: steps)]
      + (collector.map { [.online(sampler, $0, updates: steps..<updates)] } ?? [])
    try restoreCollected()
  }

  /// What collects transitions, for a run that goes online.
  private static func collector(
    _ request: RunRequest, _ data: RunData, _ cores: SpareCores, _ world: Communicator, _ host: RunHost
  ) throws -> Collector? {
    guard let replay = data.training.replay else { return nil }
    let rewards = data.training.data.rewardScale
    if !rewards.isIdentity {
      host.logger.info(
        "the environment's rewards become r * \(rewards.scale) + \(rewards.shift), as in the data")
    }
    return try Collector(
      request.configuration, data.task, request.workers, data.spec, data: request.configuration.dataset,
      replay,
      rewards: rewards, cores: cores, world: world, isStopped: host.shouldStop,
      warn: { host.logger.warning("\($0)") })
  }

  /// What judges the run by recorded episodes, if that is wanted; then there are validation data.
  private static func judgements(
    _ request: RunRequest, _ data: RunData, _ world: Communicator, _ host: RunHost, isResumed: Bool
  ) throws -> RunJudgements? {
    guard request.configuration.fqeInterval != nil, let validation = data.validation else { return nil }
    return try RunJudgements(
      request, data.spec, by: validation, world: world, isResumed: isResumed, host)
  }

  /// Where rank 0 writes what was collected, if somebody wants it.
  private static func rollouts(
    _ request: RunRequest, _ buffer: ReplayBuffer?, _ world: Communicator, isResumed: Bool
  ) throws -> RolloutDataset? {
    try world.together {
      guard world.rank == 0, let path = request.rollouts, let buffer else { return nil }
      return try RolloutDataset(path, of: buffer, task: request.configuration.env, isResumed: isResumed)
    }
  }

  /// Brings back what was collected before the run continued.
  private func restoreCollected() throws {
    try collector?.restore(
      state.online, read: { try CollectedFile.read(directory.path(of: $0), $0, width: $1) },
      say: { host.logger.warning("\($0)") })
    collectedFiles?.restore(state.online?.files ?? [])
  }

  /// Rank 0 opens the run's files and starts the evaluating thread, which begins with what was not evaluated before.
  private static func open(
    _ request: RunRequest, _ data: RunData, _ state: RunState, _ facts: RunFacts,
    _ judgements: RunJudgements?, _ collector: Collector?, _ cores: SpareCores, _ world: Communicator,
    _ host: RunHost, isResumed: Bool
  ) throws -> (RunEvaluations?, RunFiles?, RunLog) {
    let configuration = request.configuration
    return try world.workTogether {
      guard world.rank == 0 else {
        return (
          nil, nil, RunLog(configuration, state, nil, nil, collector, file: nil, watch: host.watch)
        )
      }
      let evaluations =
        configuration.evalEpisodes > 0
        ? try RunEvaluations(
          request, data.task, data.spec, cores: cores, isResumed: isResumed, host) : nil
      let files = try RunFiles(
        request, state.learner, from: state.step, validates: data.hasValidationData,
        warn: { host.logger.warning("\($0)") })
      try facts.write(to: request.directory)
      evaluations?.log = files.evaluations
      judgements?.log = files.judgements
      judgements?.recorded = files.recordedJudgements
      try evaluations?.resubmit(state, configuration, except: files.recorded)
      return (
        evaluations, files,
        RunLog(
          configuration, state, evaluations, judgements, collector, file: files.training, watch: host.watch)
      )
    }
  }

  // MARK: The loop

  /// Trains until the configured number of updates is done or a signal stops it.
  private func run() throws -> Summary {
    log.restartMeter()
    // A judgement that a signal interrupted is made first.
    if try !judgeOnTheWay() { return try summary(wasStopped: true) }
    for phase in phases where state.step < phase.lastUpdate {
      begin(phase)
      while state.step < phase.lastUpdate {
        let start = ContinuousClock.now
        let stops = try update(phase)
        // Updates that are logged take longer.
        let isOrdinary = !configuration.logs(state.step)
        evaluations?.follow(updateTook: isOrdinary ? ContinuousClock.now - start : nil)
        log.reportNowAndThen()
        if stops && state.step < configuration.updates {
          try save()
          return try summary(wasStopped: true)
        }
        if configuration.evaluatesOnTheWay(state.step) {
          try state.requireSameReplicas(world)
          evaluations?.submit(state.snapshot(), for: [.policy], isNeeded: false)
        }
        guard try judgeOnTheWay() else {
          try save()
          return try summary(wasStopped: true)
        }
        if configuration.savesOnTheWay(state.step) { try save() }
      }
    }
    try save()
    let wasStopped = try !evaluateTheEnd() || !judgePolicy([.policy, .behaviour])
    if !wasStopped { try writeRollouts() }
    return try summary(wasStopped: wasStopped)
  }

  /// Goes on with the weights of a phase.
  private func begin(_ phase: Phase) {
    guard phase.collector != nil else { return }
    let (now, before) = (configuration.onlineHyperparameters, configuration.hyperparameters)
    if now.settings != before.settings { state.learner.use(now) }
    if world.rank == 0 && state.step == phase.firstUpdate {
      host.logger.info("online from update \(state.step + 1) on")
    }
  }

  /// Does one update and writes its figures. Returns whether some rank asked to stop.
  private func update(_ phase: Phase) throws -> Bool {
    if let collector = phase.collector, try !collect(phase, collector) { return true }
    host.watchdog.enter("an update")
    let number = state.step - phase.firstUpdate
    phase.collector?.beginAhead(of: number, state.learner.memory.parameters)
    let isLogged = configuration.logs(state.step + 1)
    try phase.sampler.load(step: state.step)
    let outcome = try state.learner.update(
      phase.sampler.batch, logging: isLogged, stop: host.shouldStop())
    state.step += 1
    try phase.collector?.endAhead(of: number)
    try judge(outcome)
    if isLogged { try write(outcome.figures) }
    if state.step % Self.comparisonInterval == 0 { try state.requireSameReplicas(world) }
    return outcome.stops
  }

  /// Collects what the next update needs. Returns false if somebody asked to stop. An environment that cannot be used any
  /// more ends the run, which is saved.
  private func collect(_ phase: Phase, _ collector: Collector) throws -> Bool {
    host.watchdog.enter("a step of the environment")
    let number = state.step - phase.firstUpdate
    switch try collector.collect(before: number, state.learner.memory.parameters) {
    case .done: return true
    case .stopped: return false
    case .failed(let failure):
      try save()
      throw Failure(
        failure.code,
        "update \(state.step): the environment failed twice, and everything is saved: \(failure.message). Repair that and give the same command with --run-dir \(directory.path) --resume auto"
      )
    }
  }

  /// An update whose gradient is not finite was skipped by all ranks; several in a row end the run.
  private func judge(_ outcome: Learner.Outcome) throws {
    guard !outcome.isFinite else {
      skipped = 0
      return
    }
    skipped += 1
    let tensor = outcome.nonFiniteTensor ?? "some tensor"
    let place = "update \(state.step): the gradient of \(tensor) is not finite"
    guard skipped < Self.skippedLimit else {
      // Perhaps the numbers of one group alone are wrong: that has another remedy.
      try state.requireSameReplicas(world)
      throw Failure(
        .software,
        "\(place), the fifth in a row; checkpoints before it are kept. \(data.training.data.remedy)")
    }
    if world.rank == 0 { host.logger.warning("\(place); the update is skipped") }
  }

  private func write(_ figures: [Learner.NamedFigure]) throws {
    var figures = figures
    if let validation = data.validation?.sampler {
      try validation.load(step: state.step)
      figures += try state.learner.losses(validation.batch).map { (RunLog.validationName($0.name), $0.value) }
    }
    // Together, so that a full disk on the first rank ends all of them.
    try world.together {
      try evaluations?.requireWritten()
      try log.write(figures)
    }
  }

  // MARK: Saving and the end

  private func save() throws {
    host.watchdog.enter("saving a checkpoint")
    try state.requireSameReplicas(world)
    try onRankZero {
      try state.requireFinite()
      try lock?.requireHeld()
      // The run may end at any moment, with the power, too: whoever finds the new checkpoint must find the policies that
      // are not evaluated yet, the rows of those that are, and all other rows. Whatever is not outstanding has an event.
      try evaluations?.saveOutstanding(before: state.step)
      evaluations?.follow(updateTook: nil)
      try evaluations?.requireWritten()
      try files?.synchronize()
      let online = try saveCollected()
      let path = directory.checkpoint(step: state.step)
      try state.save(to: path, online: online)
      try directory.prune(step: state.step)
      let digest = configuration.reproducible ? "; digest \(state.learner.digest.hex)" : ""
      host.logger.info("update \(state.step): saved \(path)\(digest)")
    }
  }

  /// Writes what was collected since the last checkpoint, and gives the state of the online phase if it has begun.
  private func saveCollected() throws -> OnlineState? {
    guard let buffer = data.training.replay?.buffer, buffer.collected > 0, var online = collector?.state
    else {
      return nil
    }
    try collectedFiles?.save(buffer)
    online.files = collectedFiles?.entries ?? []
    return online
  }

  private func writeRollouts() throws {
    guard configuration.online.onlineSteps > 0 else { return }
    host.watchdog.enter("writing what was collected")
    try onRankZero {
      guard let rollouts else { return }
      let line = try rollouts.write(data.spec)
      host.logger.info("\(line)")
    }
  }

  /// Judges the policy by recorded episodes, if it is time. False if a signal interrupted that.
  private func judgeOnTheWay() throws -> Bool {
    try !configuration.judgesOnTheWay(state.step) || judgePolicy([.policy])
  }

  /// Judges the present parameters by recorded episodes, on all ranks, if that is wanted. False if a signal interrupted
  /// that.
  private func judgePolicy(_ actors: [Evaluator.Actor]) throws -> Bool {
    guard let judgements else { return true }
    try state.requireSameReplicas(world)
    let isDone = try judgements.judge(state, actors) {
      evaluations?.follow(updateTook: nil)
      log.reportNowAndThen()
    }
    log.restartMeter()
    return isDone
  }

  /// Evaluates the last policy and waits for the result, while the other ranks sleep. False if a signal ended the
  /// wait.
  private func evaluateTheEnd() throws -> Bool {
    host.watchdog.enter("the last evaluation")
    evaluations?.submitLast(state.snapshot())
    try world.workTogether {
      while let evaluations, evaluations.progress != nil, !host.shouldStop() {
        evaluations.wait(atMost: Self.waitingInterval)
        evaluations.follow(updateTook: nil)
        log.reportNowAndThen()
      }
    }
    evaluations?.follow(updateTook: nil)
    try onRankZero {}
    return try world.allReduce(Int64(evaluations?.progress == nil ? 1 : 0), .min) == 1
  }

  /// Does work of rank 0 between updates, while the others wait. What fails there is thrown by all ranks.
  private func onRankZero(_ body: () throws -> Void) throws {
    try world.workTogether {
      try evaluations?.requireWritten()
      if world.rank == 0 { try body() }
    }
    log.restartMeter()
  }

  /// Ends the evaluations. One that has ended meanwhile is written down, too.
  private func summary(wasStopped: Bool) throws -> Summary {
    evaluations?.cancel()
    evaluations?.follow(updateTook: nil)
    try world.together { try evaluations?.requireWritten() }
    return Summary(
      steps: state.step, policy: evaluations?.results[.policy], behaviour: evaluations?.results[.behaviour],
      judged: judgements?.results[.policy], judgedBehaviour: judgements?.results[.behaviour],
      evaluationFailure: evaluations?.failure, wasStopped: wasStopped)
  }
}
