import Basics

/// The sizes of a dataset and its layout in one block of memory, which all ranks of a node share.
///
///     observations (rows, O) | actions (rows, A) | rewards (rows) | masks (rows) | episode index
///
/// All elements but those of the index are Float, except that images are bytes. Each field, and the index, starts at
/// a multiple of 64 bytes.
public struct DatasetPlan: Equatable, Sendable {
  /// The number of rows; a row is a state and the action taken in it.
  public let rows: Int
  /// The number of episodes.
  public let episodes: Int
  /// What an observation is.
  public let observation: ObservationSpace
  /// A, the size of an action.
  public let actionSize: Int

  /// The plan for the given sizes. Each is at least 1, and there are more rows than episodes, hence a
  /// transition.
  public init(rows: Int, episodes: Int, observation: ObservationSpace, actionSize: Int) {
    precondition(
      rows > episodes && episodes >= 1 && observation.count >= 1 && actionSize >= 1, "empty dataset")
    self.rows = rows
    self.episodes = episodes
    self.observation = observation
    self.actionSize = actionSize
  }

  /// The plan for vectors of `observationSize` numbers as observations.
  public init(rows: Int, episodes: Int, observationSize: Int, actionSize: Int) {
    self.init(rows: rows, episodes: episodes, observation: .vector(observationSize), actionSize: actionSize)
  }

  /// O, the numbers of an observation.
  public var observationSize: Int { observation.count }

  /// N, the number of transitions: every row but the last of its episode starts one.
  public var transitions: Int { rows - episodes }

  /// The plan as ``wordCount`` integers, to be sent to other ranks.
  public var words: [Int64] { ([rows, episodes, actionSize] + observation.words).map { Int64($0) } }

  /// The number of ``words``.
  public static let wordCount = 3 + ObservationSpace.wordCount

  /// The plan that has the given ``words``.
  public init(words: [Int64]) {
    precondition(words.count == Self.wordCount, "a plan is \(Self.wordCount) words")
    let words = words.map { Int($0) }
    self.init(
      rows: words[0], episodes: words[1], observation: ObservationSpace(words: Array(words[3...])),
      actionSize: words[2])
  }

  /// The offset of the observations in the block, in bytes.
  public var observationsOffset: Int { 0 }
  /// The offset of the actions in the block, in bytes.
  public var actionsOffset: Int { aligned(rows * observation.byteCount) }
  /// The offset of the rewards in the block, in bytes.
  public var rewardsOffset: Int { actionsOffset + aligned(4 * rows * actionSize) }
  /// The offset of the masks in the block, in bytes.
  public var masksOffset: Int { rewardsOffset + aligned(4 * rows) }
  /// The offset of the episode index in the block, in bytes.
  public var episodesOffset: Int { masksOffset + aligned(4 * rows) }
  /// The size of the block in bytes.
  public var byteCount: Int { episodesOffset + aligned(EpisodeIndex.byteCount(episodes: episodes)) }

  private func aligned(_ bytes: Int) -> Int { (bytes + 63) & ~63 }
}
