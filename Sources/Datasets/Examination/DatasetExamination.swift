import ArrayFiles
import Basics

/// What one pass over all rows of a dataset finds: every column, the episodes, and what is suspicious. The memory that
/// this takes depends on the numbers of columns and episodes; the rows pass in blocks.
public struct DatasetExamination: Sendable {
  /// The sizes of the dataset.
  public let plan: DatasetPlan
  /// The statistics; nil if training refuses the rows.
  public let statistics: DatasetStatistics?
  /// Why training refuses the rows, by the first that it refuses; nil if it does not.
  public let refusal: FileError?
  /// The columns of observations, or the channels of images.
  package let observations: [ExaminedColumn]
  /// The columns of the actions of transitions.
  package let actions: [ExaminedColumn]
  /// The rewards of transitions.
  package let rewards: ExaminedColumn
  /// The episodes.
  package let episodes: ExaminedEpisodes
  /// Whether the data say themselves what their rows are like, as dataset directories do.
  let isStated: Bool
  /// Images of one colour.
  let plainImages: (count: Int, first: ExaminedColumn.Place?)

  /// Reads all rows of a dataset. Throws ``FileError`` if they cannot be read.
  public init(_ source: any DatasetSource) throws(FileError) {
    let examiner = DatasetExaminer(source.plan)
    var survey = DatasetSurvey(bounds: .clip)
    var refusal: FileError?
    let stated = source.statedStatistics
    try source.forEachBlock { (rows, file, first) throws(FileError) in
      examiner.add(rows)
      guard stated == nil, refusal == nil else { return }
      // What the survey refuses is examined all the same.
      do throws(FileError) { try survey.add(rows, from: file, row: first) } catch { refusal = error }
    }
    (plan, isStated) = (source.plan, stated != nil)
    (observations, actions, rewards) = (examiner.observations, examiner.actions, examiner.rewards)
    (episodes, plainImages) = (examiner.episodes, examiner.plainImages)
    refusal = refusal ?? Self.refusal(observations + actions + [rewards], of: source.path)
    statistics = refusal == nil ? stated ?? survey.statistics : nil
    self.refusal = refusal ?? Self.refusal(ofActions: statistics, isStated: isStated, of: source.path)
  }

  /// All columns.
  var columns: [ExaminedColumn] { observations + actions + [rewards] }

  /// Why training refuses actions that a survey has counted. Those of dataset directories are clipped.
  private static func refusal(
    ofActions statistics: DatasetStatistics?, isStated: Bool, of path: String
  ) -> FileError? {
    guard let count = statistics?.actionsOutside, count > 0, !isStated else { return nil }
    return FileError(
      .malformed, file: path,
      reason: "\(count) action components lie outside [-1, 1]; dataset import --action-range scales them")
  }

  /// Why training refuses data that nobody surveyed.
  private static func refusal(_ columns: [ExaminedColumn], of path: String) -> FileError? {
    columns.lazy.compactMap { column in
      column.firstNotFinite.map {
        FileError(.malformed, file: path, reason: "\(column.name): row \($0.row) is not a finite number")
      }
    }.first
  }
}

/// Examines rows while they pass.
private final class DatasetExaminer {
  private let plan: DatasetPlan
  private var observation: [ColumnExaminer]
  private var action: [ColumnExaminer]
  private var reward = ColumnExaminer()
  private var images: ImageExaminer?
  private var episode = EpisodeExaminer()
  private var rows = 0

  init(_ plan: DatasetPlan) {
    self.plan = plan
    let isImage = plan.observation.isImage
    images = isImage ? ImageExaminer(channels: plan.observation.shape[2]) : nil
    observation = Array(repeating: ColumnExaminer(), count: isImage ? 0 : plan.observationSize)
    action = Array(repeating: ColumnExaminer(), count: plan.actionSize)
  }

  func add(_ block: RowBlock) {
    let place = ExaminedColumn.Place(row: rows, episode: episode.result.count)
    images?.add(block, from: place)
    for column in observation.indices {
      observation[column].add(
        block.observations + column, stride: observation.count, ends: block.terminals, rows: block.rows,
        usesLast: true, from: place)
    }
    // The last row of an episode has no transition: nothing uses its action and its reward.
    for column in action.indices {
      action[column].add(
        block.actions + column, stride: action.count, ends: block.terminals, rows: block.rows,
        usesLast: false, from: place)
    }
    reward.add(
      block.rewards, stride: 1, ends: block.terminals, rows: block.rows, usesLast: false, from: place)
    episode.add(block)
    rows += block.rows
  }

  var observations: [ExaminedColumn] {
    images?.result
      ?? observation.enumerated().map { $1.result("observations column \($0)", comparesEpisodes: true) }
  }
  var actions: [ExaminedColumn] {
    action.enumerated().map { $1.result("actions column \($0)", comparesEpisodes: false) }
  }
  var rewards: ExaminedColumn { reward.result("rewards", comparesEpisodes: false) }
  var episodes: ExaminedEpisodes { episode.result }
  var plainImages: (count: Int, first: ExaminedColumn.Place?) {
    (images?.plain ?? 0, images?.firstPlain)
  }
}
