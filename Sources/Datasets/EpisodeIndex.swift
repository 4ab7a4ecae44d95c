/// Which row each transition starts in.
///
/// All rows of an episode but its last start a transition, so before the rows of episode e there are e rows that
/// start none: transition t, if it belongs to episode e, starts in row t + e. The numbers lie in memory that somebody
/// else owns, usually shared between the ranks of a node. It is Sendable although it holds a pointer: the memory is
/// filled before it is made and never changes afterwards.
public struct EpisodeIndex: @unchecked Sendable {
  /// The number of the first transition of each episode, ascending.
  private let firstTransitions: UnsafePointer<Int64>
  private let episodes: Int

  /// The index of `episodes` episodes that an ``EpisodeIndexBuilder`` has written to `base`.
  public init(_ base: UnsafeRawPointer, episodes: Int) {
    firstTransitions = base.assumingMemoryBound(to: Int64.self)
    self.episodes = episodes
  }

  /// Bytes that the index of `episodes` episodes takes.
  public static func byteCount(episodes: Int) -> Int { 8 * episodes }

  /// The row that a transition starts in; the transition leads to the row after it.
  public func row(of transition: Int) -> Int {
    // The last episode that starts with this transition or before it.
    var (low, high) = (0, episodes)
    while high - low > 1 {
      let middle = (low + high) / 2
      if firstTransitions[middle] <= transition { low = middle } else { high = middle }
    }
    return transition + low
  }
}

/// Writes an ``EpisodeIndex`` while the rows of a dataset pass.
struct EpisodeIndexBuilder {
  /// Episodes that have ended.
  private(set) var episodes = 0
  private let firstTransitions: UnsafeMutablePointer<Int64>
  private let capacity: Int
  private var transitions: Int64 = 0
  private var startsEpisode = true

  /// Writes to `base`, which has room for `capacity` episodes.
  init(_ base: UnsafeMutableRawPointer, capacity: Int) {
    firstTransitions = base.bindMemory(to: Int64.self, capacity: capacity)
    self.capacity = capacity
  }

  /// Adds rows by their terminals. False if there are more episodes than there is room for; nothing is usable then.
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

  /// Whether every episode has ended and there are as many as there is room for.
  var isComplete: Bool { startsEpisode && episodes == capacity }
}
