import Basics
import Learning
import Settings

/// Tells people how training goes: writes rows of train.csv, and says where the run stands.
final class RunLog {
  /// The last columns of train.csv.
  static let speedColumns = ["time/updates_per_second", "time/communication_share"]

  /// The name of a figure of validation data.
  static func validationName(_ figure: String) -> String { "validation/\(figure)" }

  private let configuration: Configuration
  private let state: RunState
  private let watch: (RunStatus) -> Void
  /// On rank 0.
  private let evaluations: RunEvaluations?
  private let file: FigureLog?

  private var meter = Meter()
  private var figures: [Learner.NamedFigure] = []
  private var lastStatus = ContinuousClock.now

  /// Time between two statuses when no update is logged.
  private static let statusInterval = Duration.seconds(1)

  /// A log of a run; only rank 0 has a file to write to.
  init(
    _ configuration: Configuration, _ state: RunState, _ evaluations: RunEvaluations?, file: FigureLog?,
    watch: @escaping (RunStatus) -> Void
  ) {
    self.configuration = configuration
    self.state = state
    self.evaluations = evaluations
    self.file = file
    self.watch = watch
  }

  /// Begins a new interval of updates, after something else has taken time.
  func restartMeter() {
    meter.restart(step: state.step, communication: state.learner.communicationSeconds)
  }

  /// Writes the figures of the last update, on rank 0, and says where the run stands.
  func write(_ figures: [Learner.NamedFigure]) throws {
    let (rate, share) = reading
    restartMeter()
    self.figures = figures
    if let file {
      let before: [String?] = ["\(state.step)"] + figures.map { "\($0.value)" }
      let after: [String?] = [decimals(rate, 3), decimals(share, 4)]
      // Validation figures come last; without them their columns stay empty.
      let absent = [String?](repeating: nil, count: file.columnCount - before.count - after.count)
      try file.append(before + absent + after)
    }
    if file != nil { report(rate: rate, share: share, isLogged: true) }
  }

  /// Says on rank 0 where the run stands, if some time has passed since it was said last.
  func reportNowAndThen() {
    guard file != nil, ContinuousClock.now - lastStatus > Self.statusInterval else { return }
    let (rate, share) = reading
    report(rate: rate, share: share, isLogged: false)
  }

  private var reading: (rate: Double, share: Double) {
    meter.reading(step: state.step, communication: state.learner.communicationSeconds)
  }

  private func report(rate: Double, share: Double, isLogged: Bool) {
    lastStatus = .now
    watch(
      RunStatus(
        step: state.step, steps: configuration.steps, isLogged: isLogged, updatesPerSecond: rate,
        communicationShare: share, figures: figures, success: evaluations?.results[.policy]?.success?.mean,
        evaluating: evaluations?.progress.map { ($0.step, $0.episodes, configuration.evalEpisodes) }))
  }
}
