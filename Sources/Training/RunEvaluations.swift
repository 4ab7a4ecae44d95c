import Agents
import Basics
import Environments
import Foundation
import Kernels
import Logging
import MPI

/// The evaluations of a run as its first rank keeps them: what is handed to the thread that plays the episodes, and
/// what comes back, in `eval.csv` and in the log.
final class RunEvaluations {
  /// What became of an evaluation.
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
  private var problem: Failure?

  /// Starts what evaluates, and looks at the environment.
  ///
  /// - Parameters:
  ///   - best: what the best policy so far came to.
  ///   - isUrgent: whether there is no time to look at the environment.
  /// - Throws: `Failure` when the environment has other sizes than the data. When it cannot be looked at, or not
  ///   soon, that is said in the log: it may work later, and training needs no environment.
  init(
    _ configuration: Configuration, _ task: NamedTask, _ agentProblem: DataSpec, workers: WorkerOptions,
    cores: SpareCores, best: EvaluationScore?, directory: RunDirectory, logger: Logger,
    isUrgent: () -> Bool
  ) throws {
    episodes = configuration.evalEpisodes
    self.directory = directory
    self.logger = logger
    let cancellation = Cancellation()
    let environment = task.environment(
      seed: configuration.seed, episodes: episodes,
      workers: workers.forEnvironment(freeCores: cores.count),
      isCancelled: { cancellation.isRequested })
    let evaluator = Evaluator(
      environment, agentProblem, configuration.hyperparameters, episodes: episodes, seed: configuration.seed)
    background = BackgroundEvaluation(
      evaluator, in: environment, cancellation: cancellation, on: cores, best: best
    ) { snapshot, score in
      guard snapshot.isFinite else { throw Failure.notFinite(step: snapshot.state.step) }
      var state = snapshot.state
      state.score = score
      try Checkpoint.write(directory.best, state, snapshot.tensors)
    }
    do {
      let description = try background.describe(atMost: 60, isUrgent: isUrgent)
      try description?.requireFit(agentProblem, task: configuration.env, data: configuration.dataset)
      if description == nil {
        logger.warning("\(configuration.env) is not ready yet; training begins without waiting for it")
      }
    } catch let failure as Failure {
      background.cancel()
      throw failure
    } catch {
      logger.warning(
        "\(configuration.env) cannot be evaluated now and is tried again when it is time: \(error)")
    }
  }

  deinit { background.cancel() }

  // MARK: To be evaluated

  /// Hands over a snapshot. It is left out when too many others wait, unless it is needed.
  func submit(_ snapshot: Snapshot, for actors: [Evaluator.Actor], isNeeded: Bool) {
    guard !background.submit(snapshot, for: actors, isNeeded: isNeeded) else { return }
    let step = snapshot.state.step
    logger.warning(
      "update \(step): not evaluated, because evaluations take longer than the updates between them; a larger --eval-interval or fewer --eval-episodes helps"
    )
    do { for actor in actors { try write(step, actor, .skipped) } } catch {
      problem = problem ?? Failure(error)
    }
  }

  /// Saves the snapshots of which not all is known, so that a run that continues from `step` can evaluate them.
  /// That of `step` itself is its checkpoint.
  func saveOutstanding(before step: Int) throws {
    for snapshot in background.outstanding where snapshot.state.step < step {
      let path = directory.path(.unevaluated, step: snapshot.state.step)
      if access(path, F_OK) != 0 { try Checkpoint.write(path, snapshot.state, snapshot.tensors) }
    }
  }

  /// How far the evaluation at hand is; nil when there is none.
  var progress: BackgroundEvaluation.Progress? { background.progress }

  /// Waits until nothing is left to do, for `seconds` at most.
  func wait(atMost seconds: Double) { background.wait(atMost: seconds) }

  /// Drops what is outstanding and ends everything that evaluates.
  func cancel() { background.cancel() }

  // MARK: What comes back

  /// Notes how long an update took, nil if it is not like the others, and writes down what has come back.
  func follow(updateTook duration: Duration?) {
    times.add(duration, isEvaluating: background.progress != nil)
    for event in background.takeEvents() {
      do { try record(event) } catch { problem = problem ?? Failure(error) }
    }
  }

  /// Throws if something could not be written since the last call.
  func requireWritten() throws { if let problem { throw problem } }

  private func record(_ event: BackgroundEvaluation.Event) throws {
    switch event {
    case .played(let snapshot, let actor, let result, let seconds, let isBest):
      let step = snapshot.state.step
      results[actor] = result
      failure = nil
      try write(step, actor, .done, result, seconds: seconds)
      if actor == .policy {
        logger.info("update \(step): \(result)\(isBest ? ", the best so far" : "")\(times.text(seconds))")
      }
      finish(step)
    case .repeating(let snapshot, let problem):
      logger.warning("update \(snapshot.state.step): the evaluation failed and is repeated: \(problem)")
    case .failed(let snapshot, let actor, let problem):
      let step = snapshot.state.step
      failure = Failure(.unavailable, "the evaluation of update \(step) failed twice: \(problem)")
      logger.warning("update \(step): the evaluation failed again: \(problem)")
      try write(step, actor, .failed)
      finish(step)
    case .unsaved(let failure):
      throw failure
    }
  }

  /// All that is known of an update's policy is written down.
  private func finish(_ step: Int) {
    times.forgetEvaluation()
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

/// How long updates take while something is evaluated, and while nothing is.
private struct UpdateTimes {
  private struct Sum {
    var seconds = 0.0
    var count = 0
    var mean: Double? { count > 0 ? seconds / Double(count) : nil }
  }
  private var (during, without) = (Sum(), Sum())
  private var wasEvaluating = false

  /// Seconds of an update during the evaluation at hand.
  var meanwhile: Double? { during.mean }
  /// Seconds of an update without any evaluation, over the run so far.
  var otherwise: Double? { without.mean }

  /// Notes an update, and whether something is evaluated after it. Those in which that changes do not count.
  mutating func add(_ duration: Duration?, isEvaluating: Bool) {
    defer { wasEvaluating = isEvaluating }
    guard let duration, isEvaluating == wasEvaluating else { return }
    let seconds = duration.seconds
    if isEvaluating {
      during.seconds += seconds
      during.count += 1
    } else {
      without.seconds += seconds
      without.count += 1
    }
  }

  mutating func forgetEvaluation() { during = Sum() }

  /// What an evaluation took, and what it cost; nothing about one that took no time to speak of.
  func text(_ seconds: Double) -> String {
    guard seconds >= 1 else { return "" }
    let updates = meanwhile.map { meanwhile in
      ", updates \(decimals(1e3 * meanwhile, 2)) ms meanwhile"
        + (otherwise.map { ", \(decimals(1e3 * $0, 2)) ms otherwise" } ?? "")
    }
    return "; took \(decimals(seconds, 1)) s\(updates ?? "")"
  }
}

extension EnvironmentDescription {
  /// Throws when a policy for `problem` cannot play here.
  ///
  /// - Parameter data: the dataset, or what else the problem's sizes are from.
  func requireFit(_ spec: DataSpec, task: String, data: String?) throws(Failure) {
    guard (observationSize, actionSize) != (spec.observationSize, spec.actionSize) else { return }
    throw Failure(
      .data,
      "\(data ?? "the data"): observations of \(spec.observationSize) numbers and actions of \(spec.actionSize), but \(task) has \(observationSize) and \(actionSize)"
    )
  }
}
