import Basics
import Exploration
import Learning
import Settings

/// Tells people how training goes: writes rows of train.csv, and says where the run stands.
final class RunLog {
  /// The last columns of train.csv.
  static func columnsBehind(_ configuration: Configuration) -> [String] {
    let speed = ["time/updates_per_second", "time/communication_share"]
    guard configuration.online.onlineSteps > 0 else { return speed }
    return ["phase"] + Collector.figureNames + speed + ["time/environment_share"]
  }

  /// The name of a figure of validation data.
  static func validationName(_ figure: String) -> String { "validation/\(figure)" }

  private let configuration: Configuration
  private let state: RunState
  private let watch: (RunStatus) -> Void
  /// On rank 0.
  private let evaluations: RunEvaluations?
  private let judgements: RunJudgements?
  private let file: FigureLog?
  private let collector: Collector?

  private var meter = Meter()
  private var figures: [Learner.NamedFigure] = []
  private var lastStatus = ContinuousClock.now

  /// Time between two statuses when no update is logged.
  private static let statusInterval = Duration.seconds(1)

  /// A log of a run; only rank 0 has a file to write to.
  init(
    _ configuration: Configuration, _ state: RunState, _ evaluations: RunEvaluations?,
    _ judgements: RunJudgements?, _ collector: Collector?, file: FigureLog?,
    watch: @escaping (RunStatus) -> Void
  ) {
    self.configuration = configuration
    self.state = state
    self.evaluations = evaluations
    self.judgements = judgements
    self.collector = collector
    self.file = file
    self.watch = watch
  }

  /// Begins a new interval of updates, after something else has taken time.
  func restartMeter() {
    meter.restart(
      step: state.step, communication: state.learner.communicationSeconds,
      environment: collector?.seconds ?? 0)
  }

  /// Writes the figures of the last update, on rank 0, and says where the run stands.
  func write(_ figures: [Learner.NamedFigure]) throws {
    let reading = reading
    restartMeter()
    self.figures = figures
    if let file {
      let before: [String?] = ["\(state.step)"] + figures.map { "\($0.value)" }
      let after = online(reading)
      // Validation figures come last; without them their columns stay empty.
      let absent = [String?](repeating: nil, count: file.columnCount - before.count - after.count)
      try file.append(before + absent + after)
    }
    if file != nil { report(reading, isLogged: true) }
  }

  /// The last values of a row, as many as `columnsBehind` names.
  private func online(_ reading: Meter.Reading) -> [String?] {
    let speed: [String?] = [decimals(reading.rate, 3), decimals(reading.communication, 4)]
    guard let collector else { return speed }
    let isOnline = state.step > configuration.steps
    return [isOnline ? "online" : "offline"] + collector.takeFigures().map { $0.map { "\($0)" } } + speed
      + [isOnline ? decimals(reading.environment, 4) : nil]
  }

  /// Says on rank 0 where the run stands, if some time has passed since it was said last.
  func reportNowAndThen() {
    guard file != nil, ContinuousClock.now - lastStatus > Self.statusInterval else { return }
    report(reading, isLogged: false)
  }

  private var reading: Meter.Reading {
    meter.reading(
      step: state.step, communication: state.learner.communicationSeconds,
      environment: collector?.seconds ?? 0)
  }

  private func report(_ reading: Meter.Reading, isLogged: Bool) {
    lastStatus = .now
    watch(
      RunStatus(
        step: state.step, steps: configuration.updates, isLogged: isLogged, updatesPerSecond: reading.rate,
        communicationShare: reading.communication,
        environmentShare: collector.map { _ in reading.environment }, figures: figures,
        success: evaluations?.results[.policy]?.success?.mean, value: judgements?.results[.policy]?.mean,
        judging: judgements?.progress,
        evaluating: evaluations?.progress.map { ($0.step, $0.episodes, configuration.evalEpisodes) }))
  }
}
