import ArrayFiles
import Foundation

/// What a checkpoint of a run that goes on online says about its environments and about what they gave so far.
public struct OnlineState: Codable, Equatable, Sendable {
  /// An episode that goes on, or that the next step begins.
  public struct Episode: Codable, Equatable, Sendable {
    /// Its number.
    public var number: Int
    /// Steps so far.
    public var length: Int
    /// Rewards so far.
    public var total: Double
    /// Whether its task is solved, by the run's rule; nil where the environment did not say.
    public var success: Bool?
    /// The environment's state; nil for a simulator, whose state cannot be saved.
    public var state: [Double]?

    /// An episode that has come so far.
    public init(number: Int, length: Int, total: Double, success: Bool?, state: [Double]?) {
      (self.number, self.length, self.total, self.success) = (number, length, total, success)
      self.state = state
    }
  }

  /// Sums over the episodes that have ended since the last row of `train.csv`.
  public struct Ended: Codable, Equatable, Sendable {
    /// How many have ended.
    public var episodes = 0
    /// Of how many the environment said whether they were solved.
    public var told = 0
    /// How many were solved.
    public var successes = 0
    /// Their rewards.
    public var total = 0.0
    /// Their steps.
    public var length = 0

    /// No episode.
    public init() {}
  }

  /// Rounds done: every environment has taken one step in each.
  public var rounds: Int
  /// Transitions collected.
  public var collected: Int
  /// The number of the next episode that begins.
  public var nextEpisode: Int
  /// The present episode of each environment; nil where the next step begins one.
  public var episodes: [Episode?]
  /// Episodes that have ended and are in no row of `train.csv` yet.
  public var ended: Ended
  /// The files that hold what was collected, in the order of the transitions.
  public var files: [CollectedFile.Entry] = []

  /// The state after some rounds.
  public init(rounds: Int, collected: Int, nextEpisode: Int, episodes: [Episode?], ended: Ended) {
    (self.rounds, self.collected, self.nextEpisode) = (rounds, collected, nextEpisode)
    (self.episodes, self.ended) = (episodes, ended)
  }

  /// Reads a checkpoint's text.
  init(_ text: String, _ path: String) throws(FileError) {
    let isCount = { (number: Int) in (0...1 << 40).contains(number) }
    guard let state = try? JSONDecoder().decode(OnlineState.self, from: Data(text.utf8)),
      [state.rounds, state.collected, state.nextEpisode].allSatisfy(isCount),
      (1...1024).contains(state.episodes.count), CollectedFile.follow(state.files, to: state.collected)
    else { throw FileError(.malformed, file: path, reason: "'online' is not the state of an online phase") }
    self = state
  }

  /// The text that a checkpoint holds.
  var text: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    // Numbers, texts and lists of them can always be encoded; none of the numbers is infinite.
    return String(decoding: (try? encoder.encode(self)) ?? Data(), as: UTF8.self)
  }
}
