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
  /// The updates whose evaluations were in the file already and stay there.
  let evaluated: Set<Int>

  /// Opens the files. Rows that the run computes again are removed, and those that are written only at a run's end.
  ///
  /// - Parameters:
  ///   - step: updates done.
  ///   - validates: whether there are validation data.
  init(_ request: RunRequest, _ learner: Learner, from step: Int, validates: Bool) throws {
    let (configuration, directory) = (request.configuration, request.directory)
    let events = try EventFile(directory: directory.path, from: step)
    let columns =
      learner.figureNames + (validates ? learner.lossNames.map(RunLog.validationName) : [])
      + RunLog.speedColumns
    training = try FigureLog(
      path: directory.training, columns: ["step"] + columns, events: events, from: step, group: { _ in "" }
    ) { row, _ in row <= step && configuration.logs(row) }
    guard configuration.evalEpisodes > 0 else {
      (evaluations, evaluated) = (nil, [])
      return
    }
    var evaluated: Set<Int> = []
    evaluations = try FigureLog(
      path: directory.evaluation, columns: RunEvaluations.columns, events: events, from: step,
      group: { "eval/\($0[1] ?? "")/" }
    ) { row, fields in
      // The evaluation of the last update is not periodic: it is repeated when a whole run is resumed.
      let isKept =
        row <= step && configuration.evaluatesOnTheWay(row) && fields[1] == Evaluator.Actor.policy.rawValue
      if isKept { evaluated.insert(row) }
      return isKept
    }
    self.evaluated = evaluated
  }
}

extension Configuration {
  /// Whether an update's figures go to the log.
  func logs(_ step: Int) -> Bool { step % logInterval == 0 || step == steps }

  /// Whether the policy is evaluated after an update, other than the last one.
  func evaluatesOnTheWay(_ step: Int) -> Bool { isDue(evalInterval, step) && step < steps }

  /// Whether a checkpoint is saved after an update, other than the last one.
  func savesOnTheWay(_ step: Int) -> Bool { isDue(saveInterval, step) && step < steps }

  private func isDue(_ interval: Int, _ step: Int) -> Bool { interval > 0 && step % interval == 0 }
}
