import ArrayFiles
import Basics
import Datasets
import Environments
import Settings

/// Finds out how an import scales its rows.
struct ImportScales {
  let options: ScaleOptions
  /// Names the data, for messages.
  let source: String
  /// The bounds of the actions of the environment that people name; asked once, if they are needed.
  let environmentBounds: () throws -> [ClosedRange<Float>?]

  /// The scales of some rows, which are read once if the scales depend on them. Nil if nothing is scaled.
  func of(_ rows: any ImportedRows) throws -> DataScales? {
    let spec = rows.spec
    if let path = options.scalesOf {
      let scales = try DatasetDirectory(path: path).scales
      guard scales?.fit(spec.observation, actionSize: spec.actionSize) ?? true else {
        throw Failure(.data, "\(path): has scales for other sizes than \(source), so they cannot be used")
      }
      return scales
    }
    guard options.normalizeObservations == nil || !spec.observation.isImage else {
      throw Failure(.usage, "--normalize-observations: \(source) has images, which encoders scale themselves")
    }
    let survey = try needsSurvey(rows) ? survey(rows) : nil
    let scales = DataScales(
      observations: observations(survey), actions: try actions(rows, survey),
      rewards: try rewards(rows, survey))
    guard scales?.fit(spec.observation, actionSize: spec.actionSize) ?? true else {
      throw Failure(.data, "\(source): the scales of its numbers are too large; scale the data before")
    }
    return scales
  }

  private func rule(_ rows: any ImportedRows) -> RewardScaleRule? {
    if options.rewardScale != nil || options.rewardShift != nil { return nil }
    return options.rewardRule ?? rows.rewardRule.flatMap { RewardScaleRule(rawValue: $0) }
  }

  private func needsSurvey(_ rows: any ImportedRows) -> Bool {
    options.normalizeObservations != nil || options.actionRange == .data || rule(rows) == .locomotion
  }

  private func survey(_ rows: any ImportedRows) throws -> ScaleSurvey {
    var survey = ScaleSurvey(rows.spec.observation, actionSize: rows.spec.actionSize)
    try rows.forEachBlock(validation: false) { block, _, _ in survey.add(block) }
    return survey
  }

  private func observations(_ survey: ScaleSurvey?) -> DataScales.Columns? {
    switch options.normalizeObservations {
    case .meanStd: survey?.standardised
    case .minMax: survey.map { DataScales.Columns(ranges: $0.observationRanges) }
    case nil: nil
    }
  }

  private func actions(_ rows: any ImportedRows, _ survey: ScaleSurvey?) throws -> DataScales.Columns? {
    switch options.actionRange {
    case .data: return survey.map { DataScales.Columns(ranges: $0.actionRanges) }
    case .environment where rows.actionRanges == nil:
      return DataScales.Columns(ranges: try bounds(rows))
    case .environment, nil: return rows.actionRanges.map { DataScales.Columns(ranges: $0) }
    case .ranges(let ranges):
      let size = rows.spec.actionSize
      guard ranges.count == 1 || ranges.count == size else {
        throw Failure(
          .usage,
          "--action-range: \(ranges.count) ranges, but \(source) has \(size) numbers an action; give one range, or \(size)"
        )
      }
      return DataScales.Columns(
        ranges: ranges.count == size ? ranges : Array(repeating: ranges[0], count: size))
    }
  }

  private func bounds(_ rows: any ImportedRows) throws -> [ClosedRange<Float>] {
    let bounds = try environmentBounds()
    guard bounds.count == rows.spec.actionSize else {
      throw Failure(
        .data,
        "--action-range environment: \(source) has \(rows.spec.actionSize) numbers an action, the environment \(bounds.count)"
      )
    }
    return try bounds.enumerated().map { column, range in
      guard let range else {
        throw Failure(
          .data,
          "--action-range environment: column \(column) of the environment's actions has no bounds; give --action-range LOW,HIGH"
        )
      }
      return range
    }
  }

  private func rewards(_ rows: any ImportedRows, _ survey: ScaleSurvey?) throws -> DataScales.Rewards {
    switch rule(rows) {
    case .antmaze: return DataScales.Rewards(shift: -1)
    case .antmazeRebrac: return DataScales.Rewards(scale: 100)
    case .recorded, .lastStep: return DataScales.Rewards()
    case nil: return DataScales.Rewards(scale: options.rewardScale ?? 1, shift: options.rewardShift ?? 0)
    case .locomotion:
      guard let returns = survey?.returns, returns.lowerBound < returns.upperBound else {
        throw Failure(
          .data, "--reward-rule locomotion: every episode of \(source) has the same return; leave it out")
      }
      return DataScales.Rewards(scale: 1000 / (returns.upperBound - returns.lowerBound))
    }
  }
}
