/// Finds the row in which a transition starts.
///
/// Every row of an episode but the last starts a transition. Before the rows of episode e there are e last
/// rows, so transition t of episode e starts in row t + e. The index lies in memory that the caller owns,
/// usually shared between the ranks of a node. The type is Sendable although it holds a pointer, because the
/// memory is filled before the index is made and never changes afterwards.
public struct EpisodeIndex: @unchecked Sendable {
  /// The first transition of each episode, ascending.
  private let firstTransitions: UnsafePointer<Int64>
  private let episodes: Int

  /// The index of `episodes` episodes that an ``EpisodeIndexBuilder`` has written to `base`.
  public init(_ base: UnsafeRawPointer, episodes: Int) {
    firstTransitions = base.assumingMemoryBound(to: Int64.self)
    self.episodes = episodes
  }

  /// The bytes that the index of `episodes` episodes takes.
  public static func byteCount(episodes: Int) -> Int { 8 * episodes }

  /// The row in which `transition` starts; the transition leads to the row after it.
  public func row(of transition: Int) -> Int { place(of: transition).row }

  /// The row in which `transition` starts, and the first row of its episode.
  public func place(of transition: Int) -> (row: Int, first: Int) {
    // Search for the last episode whose first transition is `transition` or an earlier one.
    var (low, high) = (0, episodes)
    while high - low > 1 {
      let middle = (low + high) / 2
      if firstTransitions[middle] <= transition { low = middle } else { high = middle }
    }
    return (transition + low, Int(firstTransitions[low]) + low)
  }
}

/// Writes an ``EpisodeIndex`` while the rows of a dataset are read.
struct EpisodeIndexBuilder {
  /// The number of episodes that have ended.
  private(set) var episodes = 0
  private let firstTransitions: UnsafeMutablePointer<Int64>
  private let capacity: Int
  private var transitions: Int64 = 0
  private var startsEpisode = true

  /// Makes a builder that writes to `base`, which has room for `capacity` episodes.
  init(_ base: UnsafeMutableRawPointer, capacity: Int) {
    firstTransitions = base.bindMemory(to: Int64.self, capacity: capacity)
    self.capacity = capacity
  }

  /// Adds rows, given as their terminals. Returns false if there are more episodes than `capacity`; the index
  /// is then unusable.
  mutating func add(_ terminals: UnsafeBufferPointer<UInt8>) -> Bool {
    for terminal in terminals {
      if startsEpisode {
        guard episodes < capacity else { return false }
        firstTransitions[episodes] = transitions
      }
      startsEpisode = terminal != 0
      if startsEpisode { episodes += 1 } else { transitions += 1 }
    }
    return true
  }

  /// Whether the last episode has ended and there are `capacity` episodes.
  var isComplete: Bool { startsEpisode && episodes == capacity }
}
