import Basics
import Evaluation
import Learning
import ProtobufFiles
import Settings

/// The files to which a run appends. Rank 0 opens them when the run starts or continues.
struct RunFiles {
  /// Losses, figures and speed by update.
  let training: FigureLog
  /// Evaluations; nil when none is wanted.
  let evaluations: FigureLog?
  /// What was in the evaluations' file already and stays there.
  let recorded: RecordedEvaluations
  /// Judgements by recorded episodes; nil when none is wanted.
  let judgements: FigureLog?
  /// What was in the judgements' file already and stays there.
  let recordedJudgements: RecordedJudgements

  /// Opens the files. Rows of updates after `step` are removed, because the run computes them again; all others stay.
  ///
  /// - Parameters:
  ///   - step: updates done.
  ///   - validates: whether there are validation data.
  ///   - warn: is told of lines that are no rows.
  init(
    _ request: RunRequest, _ learner: Learner, from step: Int, validates: Bool, warn: (String) -> Void
  ) throws {
    let (configuration, directory) = (request.configuration, request.directory)
    let events = try EventFile(directory: directory.path, from: step)
    let columns =
      learner.figureNames + (validates ? learner.lossNames.map(RunLog.validationName) : [])
      + RunLog.columnsBehind(configuration)
    training = try FigureLog(
      path: directory.training, columns: ["step"] + columns, events: events, from: step, group: { _ in "" },
      warn: warn
    ) { row, _ in row <= step }
    var judged = RecordedJudgements()
    judgements =
      configuration.fqeInterval == nil
      ? nil
      : try FigureLog(
        path: directory.judgement, columns: RunJudgements.columns, events: events, from: step,
        group: { "fqe/\($0[1] ?? "")/" }, warn: warn
      ) { row, fields in
        if row <= step { judged.add(row, fields) }
        return row <= step
      }
    recordedJudgements = judged
    var recorded = RecordedEvaluations()
    guard configuration.evalEpisodes > 0 else {
      (evaluations, self.recorded) = (nil, recorded)
      return
    }
    evaluations = try FigureLog(
      path: directory.evaluation, columns: RunEvaluations.columns, events: events, from: step,
      group: { "eval/\($0[1] ?? "")/" }, warn: warn
    ) { row, fields in
      guard row <= step else { return false }
      recorded.add(row, fields)
      return true
    }
    self.recorded = recorded
  }

  /// Waits until all that has been written is on the storage device.
  func synchronize() throws {
    try training.synchronize()
    try evaluations?.synchronize()
    try judgements?.synchronize()
  }
}

/// The rows of `eval.csv` that a run which continues finds there.
struct RecordedEvaluations {
  /// The updates whose policies have a row, whatever it says.
  private(set) var steps: Set<Int> = []
  private var results: [Int: [Evaluator.Actor: EvaluationResult]] = [:]

  /// Takes a row.
  mutating func add(_ step: Int, _ fields: [String]) {
    guard let actor = Evaluator.Actor(rawValue: fields[1]) else { return }
    if actor == .policy { steps.insert(step) }
    if let result = RunEvaluations.result(fields) { results[step, default: [:]][actor] = result }
  }

  /// The results of an update that were played with so many episodes, by actor.
  func results(_ step: Int, episodes: Int) -> [Evaluator.Actor: EvaluationResult] {
    (results[step] ?? [:]).filter { $1.episodes == episodes }
  }
}

extension Configuration {
  /// Whether an update's figures go to the log.
  func logs(_ step: Int) -> Bool { step % logInterval == 0 || step == updates }

  /// Whether the policy is evaluated after an update, other than the last one.
  func evaluatesOnTheWay(_ step: Int) -> Bool {
    (isDue(evalInterval, step) || isSwitch(step)) && step < updates
  }

  /// Whether the policy is judged by recorded episodes after an update, other than the last one.
  func judgesOnTheWay(_ step: Int) -> Bool {
    fqeInterval.map { isDue($0, step) || isSwitch(step) } ?? false && step > 0 && step < updates
  }

  /// Whether a checkpoint is saved after an update, other than the last one.
  func savesOnTheWay(_ step: Int) -> Bool { (isDue(saveInterval, step) || isSwitch(step)) && step < updates }

  /// Whether a run saves on the way from one update to another, both excluded.
  func savesOnTheWay(from first: Int, to last: Int) -> Bool {
    let isPeriodic = saveInterval > 0 && (last - 1) / saveInterval > first / saveInterval
    return isPeriodic || (online.onlineSteps > 0 && first < steps && steps < last)
  }

  /// Whether the online phase begins after an update.
  private func isSwitch(_ step: Int) -> Bool { step == steps && online.onlineSteps > 0 }

  private func isDue(_ interval: Int, _ step: Int) -> Bool { interval > 0 && step % interval == 0 }
}
