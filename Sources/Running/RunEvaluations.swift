import Agents
import Basics
import Checkpoints
import Environments
import Evaluation
import Foundation
import Logging
import MPI
import Settings

/// The evaluations of a run, on its first rank: hands snapshots to the thread that plays the episodes, and writes the
/// results to `eval.csv` and to the log.
final class RunEvaluations {
  /// How an evaluation ended.
  private enum Status: String {
    case done
    /// It failed, at the second attempt too.
    case failed
    /// Too many others were waiting.
    case skipped
  }

  /// The columns of `eval.csv`. Rows whose status is not `done` have no figures.
  static let columns = [
    "step", "actor", "status", "episodes", "success", "success_standard_error", "return",
    "return_standard_error", "normalised_score", "normalised_score_standard_error", "length",
    "length_standard_error", "time/seconds", "time/update_seconds", "time/update_seconds_otherwise",
  ]

  /// The last results, by actor.
  private(set) var results: [Evaluator.Actor: EvaluationResult] = [:]
  /// Why the last evaluation failed, if it did.
  private(set) var failure: Failure?
  /// Where results are written; set before the first snapshot is handed over.
  var log: FigureLog?

  private let episodes: Int
  private let background: BackgroundEvaluation
  private let directory: RunDirectory
  private let logger: Logger
  private var times = UpdateTimes()
  /// What the log holds from before the run continued.
  private var recorded = RecordedEvaluations()
  /// What could not be written, or why there can be no evaluation, until somebody asks.
  private var unwritten: Failure?
  /// Looks at the environment's description and throws if the run cannot be evaluated; nil once it has been looked at.
  private var check: ((EnvironmentDescription) throws -> Void)?
  /// Whether an environment that does not work ends the run.
  private let needsEnvironment: Bool
  private let task: String
  private var hasWarned = false
  /// The order of the entries of an observation in the environment, as far as it is known.
  private(set) var observationOrder: [String]?

  /// How long training waits for the environment's description before it begins without it.
  private static let patience = 60.0

  /// Starts the thread that evaluates, and looks at the environment.
  ///
  /// - Parameter isResumed: whether the run continues, so that there may be a best policy already.
  /// - Throws: `Failure` when the environment cannot be used or does not fit the data: nobody wants to learn that after
  ///   the training. With `--eval-anyway` an environment that cannot be used is said in the log. What is not known soon
  ///   is looked at later.
  init(
    _ request: RunRequest, _ task: NamedTask, _ spec: DataSpec, cores: SpareCores, isResumed: Bool,
    _ host: RunHost
  ) throws {
    let (configuration, directory) = (request.configuration, request.directory)
    episodes = configuration.evalEpisodes
    self.directory = directory
    logger = host.logger
    self.task = configuration.env
    needsEnvironment = !request.evalAnyway
    let best = try isResumed ? directory.bestSoFar(host.logger)?.state.score : nil
    let cancellation = Cancellation()
    let environment = task.environment(
      seed: configuration.seed, episodes: episodes, frames: configuration.frameStack,
      scales: spec.scales, workers: request.workers.forEnvironment(freeCores: cores.count),
      isCancelled: { cancellation.isRequested })
    let evaluator = Evaluator(
      environment, spec, configuration.hyperparameters, episodes: episodes, seed: configuration.seed,
      success: configuration.success, referenceReturns: configuration.environment.referenceReturns?.values)
    background = try BackgroundEvaluation(
      evaluator, in: environment, cancellation: cancellation, on: cores, best: best
    ) { snapshot, score in
      guard snapshot.isFinite else { throw Failure.notFinite(step: snapshot.state.step) }
      var state = snapshot.state
      state.score = score
      try Checkpoint.write(directory.best, state, snapshot.tensors)
    }
    check = { try $0.requireFit(spec, task: configuration.env, data: configuration.dataset) }
    do {
      try look(atMost: Self.patience, isUrgent: host.shouldStop)
    } catch {
      background.cancel()
      throw error
    }
    if spec.observationOrder == nil, let order = observationOrder {
      logger.warning(
        "\(self.task) has dictionaries as observations; the data must have their entries in this order, which they do not say: \(printable(order.joined(separator: ", "), limit: 400))"
      )
    }
    if check != nil {
      logger.warning("\(self.task) is not ready yet; training begins without waiting for it")
    }
  }

  /// Looks at the environment's description, once, if it is known in time.
  private func look(atMost seconds: Double, isUrgent: () -> Bool) throws {
    guard let check else { return }
    do {
      guard let description = try background.describe(atMost: seconds, isUrgent: isUrgent) else { return }
      self.check = nil
      observationOrder = description.observationOrder
      try check(description)
    } catch let failure as Failure {
      throw failure
    } catch {
      self.check = nil
      guard !needsEnvironment else {
        throw Failure(
          .unavailable,
          "\(task) cannot be evaluated; repair that, or train with --eval-episodes 0, or with --eval-anyway if it will work later: \(error)"
        )
      }
      logger.warning("\(task) cannot be evaluated now and is tried again when it is time: \(error)")
    }
  }

  deinit { background.cancel() }

  // MARK: Handing over

  /// Hands over a snapshot. It is left out when too many others wait, unless it is needed.
  func submit(_ snapshot: Snapshot, for actors: [Evaluator.Actor], isNeeded: Bool) {
    guard !background.submit(snapshot, for: actors, isNeeded: isNeeded) else { return }
    let step = snapshot.state.step
    logger.warning(
      "update \(step): not evaluated, because evaluations take longer than the updates between them; a larger --eval-interval or fewer --eval-episodes helps"
    )
    do { for actor in actors { try write(step, actor, .skipped) } } catch {
      unwritten = unwritten ?? Failure(error)
    }
  }

  /// Hands over again the snapshots that were not evaluated before the run continued from `state`.
  ///
  /// - Parameter recorded: the evaluations that are in the log.
  func resubmit(
    _ state: RunState, _ configuration: Configuration, except recorded: RecordedEvaluations
  ) throws {
    self.recorded = recorded
    let evaluated = recorded.steps
    for old in try directory.steps(.unevaluated) {
      guard old < state.step, !evaluated.contains(old) else {
        directory.remove(.unevaluated, step: old)
        continue
      }
      do {
        let snapshot = try state.snapshot(Checkpoint(path: directory.path(.unevaluated, step: old)))
        submit(snapshot, for: [.policy], isNeeded: true)
      } catch {
        logger.warning(
          "update \(old): not evaluated, because its policy cannot be read; the file stays: \(error)")
      }
    }
    if state.step > 0 && configuration.evaluatesOnTheWay(state.step) && !evaluated.contains(state.step) {
      submit(state.snapshot(), for: [.policy], isNeeded: true)
    }
  }

  /// Saves the snapshots whose evaluation is not finished, so that a run that continues from `step` can evaluate them.
  /// The snapshot of `step` itself is that update's checkpoint.
  func saveOutstanding(before step: Int) throws {
    for snapshot in background.outstanding where snapshot.state.step < step {
      let path = directory.path(.unevaluated, step: snapshot.state.step)
      if access(path, F_OK) != 0 { try Checkpoint.write(path, snapshot.state, snapshot.tensors) }
    }
  }

  /// How far the present evaluation is; nil when there is none.
  var progress: BackgroundEvaluation.Progress? { background.progress }

  /// Waits until nothing is left to do, for `seconds` at most.
  func wait(atMost seconds: Double) { background.wait(atMost: seconds) }

  /// Drops the snapshots that wait and ends the thread and its processes.
  func cancel() {
    // An environment that was still opened then has not failed.
    check = nil
    background.cancel()
  }

  /// Hands over the last snapshot, for all actors whose results are not in the log since an earlier end of this run.
  func submitLast(_ snapshot: Snapshot) {
    let known = recorded.results(snapshot.state.step, episodes: episodes)
    results.merge(known) { $1 }
    let actors: [Evaluator.Actor] = [.policy, .behaviour].filter { known[$0] == nil }
    if !actors.isEmpty { submit(snapshot, for: actors, isNeeded: true) }
  }

  /// The result in a row of `eval.csv`; nil if it has none.
  static func result(_ fields: [String]) -> EvaluationResult? {
    let values = Dictionary(uniqueKeysWithValues: zip(columns, fields))
    func estimate(_ column: String) -> Estimate? {
      guard let mean = values[column].flatMap(Double.init),
        let error = values[column + "_standard_error"].flatMap(Double.init)
      else { return nil }
      return Estimate(mean: mean, error: error)
    }
    guard values["status"] == Status.done.rawValue, let episodes = values["episodes"].flatMap({ Int($0) }),
      let totalReward = estimate("return"), let length = estimate("length")
    else { return nil }
    return EvaluationResult(
      episodes: episodes, success: estimate("success"), totalReward: totalReward,
      score: estimate("normalised_score"), length: length)
  }

  // MARK: Results

  /// Notes how long an update took, nil if it is not like the others, and writes down new results.
  func follow(updateTook duration: Duration?) {
    times.add(duration, isEvaluating: background.progress != nil)
    do { try look(atMost: 0, isUrgent: { true }) } catch { unwritten = unwritten ?? Failure(error) }
    for event in background.takeEvents() {
      do { try record(event) } catch { unwritten = unwritten ?? Failure(error) }
    }
  }

  /// Throws if something could not be written since the last call.
  func requireWritten() throws { if let unwritten { throw unwritten } }

  private func record(_ event: BackgroundEvaluation.Event) throws {
    switch event {
    case .played(let snapshot, let actor, let result, let seconds, let isBest):
      let step = snapshot.state.step
      results[actor] = result
      failure = nil
      if let warning = result.warning, !hasWarned {
        logger.warning("update \(step): \(warning)")
        hasWarned = true
      }
      try write(step, actor, .done, result, seconds: seconds)
      if actor == .policy {
        logger.info("update \(step): \(result)\(isBest ? ", the best so far" : "")\(times.text(seconds))")
      }
      try finish(step)
    case .repeating(let snapshot, let problem):
      logger.warning("update \(snapshot.state.step): the evaluation failed and is repeated: \(problem)")
    case .failed(let snapshot, let actor, let problem):
      let step = snapshot.state.step
      failure = Failure(.unavailable, "the evaluation of update \(step) failed twice: \(problem)")
      logger.warning("update \(step): the evaluation failed again: \(problem)")
      try write(step, actor, .failed)
      try finish(step)
    case .unsaved(let failure):
      throw failure
    }
  }

  /// An evaluation is finished and written down.
  private func finish(_ step: Int) throws {
    times.forgetEvaluation()
    // The row takes the place of the policy that was kept for it.
    try log?.synchronize()
    directory.remove(.unevaluated, step: step)
  }

  private func write(
    _ step: Int, _ actor: Evaluator.Actor, _ status: Status, _ result: EvaluationResult? = nil,
    seconds: Double? = nil
  ) throws {
    func columns(_ estimate: Estimate?) -> [String?] {
      [estimate.map { "\($0.mean)" }, estimate.map { "\($0.error)" }]
    }
    try log?.append(
      ["\(step)", actor.rawValue, status.rawValue, "\(result?.episodes ?? 0)"]
        + columns(result?.success) + columns(result?.totalReward) + columns(result?.score)
        + columns(result?.length)
        + (status == .skipped ? [nil, nil, nil] : [seconds, times.meanwhile, times.otherwise]).map {
          $0.map { decimals($0, 6) }
        })
  }
}
