import ArrayFiles
import Foundation

/// What the episodes of a dataset are like.
package struct ExaminedEpisodes: Sendable {
  /// An episode that another one repeats.
  package struct Copy: Sendable {
    /// The number of the later one, from 0.
    package let episode: Int
    /// The number of the earlier one.
    package let original: Int
  }

  /// How many there are.
  package fileprivate(set) var count = 0
  /// How many have one row, and so no transition.
  package fileprivate(set) var empty = 0
  /// The first of these, from 0.
  package fileprivate(set) var firstEmpty: Int?
  /// How many end with a mask of 0: their task ended.
  package fileprivate(set) var terminated = 0
  /// Masks of 0 before the last transition of an episode.
  package fileprivate(set) var masksWithin = 0
  /// How many repeat an earlier one, number by number.
  package fileprivate(set) var copies = 0
  /// The first of these.
  package fileprivate(set) var firstCopy: Copy?
  /// Transitions that lead to the observation that they come from.
  package fileprivate(set) var still = 0
  /// The number of transitions.
  package fileprivate(set) var transitions = 0
  /// The numbers of transitions of an episode.
  package fileprivate(set) var lengths = Distribution()
  /// The sums of the rewards of an episode that has a transition.
  package fileprivate(set) var returns = Distribution()

  /// A number of each episode.
  package struct Distribution: Sendable {
    /// The smallest.
    package private(set) var minimum = Double.infinity
    /// The largest.
    package private(set) var maximum = -Double.infinity
    /// How they are distributed.
    package private(set) var histogram = Histogram()
    /// The numbers in the order of the episodes.
    package private(set) var series = EpisodeSeries()
    private var (sum, count) = (0.0, 0)

    /// The mean; not a number if there is none.
    package var mean: Double { sum / Double(count) }

    fileprivate mutating func add(_ value: Double, episode: Int) {
      guard value.isFinite else { return }
      minimum = min(minimum, value)
      maximum = max(maximum, value)
      sum += value
      count += 1
      histogram.add(value)
      series.add(episode: episode, value)
    }
  }
}

/// Examines episodes while rows pass. For each episode it keeps a hash, to notice another that is the same.
struct EpisodeExaminer {
  private(set) var result = ExaminedEpisodes()
  private var originals: [SIMD2<UInt64>: Int32] = [:]
  private var (observations, actions) = (Digest(), Digest())
  private var (length, total, mask) = (0, 0.0, Float(1))
  /// The observation before the first row of the next block, of the same episode.
  private var previous: [UInt8] = []

  mutating func add(_ block: RowBlock) {
    var first = 0
    for row in 0..<block.rows where block.terminals[row] != 0 {
      addPart(block, first..<row, last: row)
      end()
      first = row + 1
    }
    addPart(block, first..<block.rows, last: nil)
  }

  /// Adds rows of one episode that begin transitions, and its last row if it is there.
  private mutating func addPart(_ block: RowBlock, _ rows: Range<Int>, last: Int?) {
    let (bytes, width) = (block.observation.byteCount, block.actionSize)
    let states = block.bytes(of: .observations)
    let end = last.map { $0 + 1 } ?? rows.upperBound
    guard rows.lowerBound < end else { return }
    observations.update(UnsafeRawBufferPointer(rebasing: states[rows.lowerBound * bytes..<end * bytes]))
    actions.update(
      UnsafeRawBufferPointer(start: block.actions + rows.lowerBound * width, count: rows.count * width * 4))
    for row in rows {
      total += Double(block.rewards[row])
      if length > 0, mask == 0 { result.masksWithin += 1 }
      mask = block.masks[row]
      length += 1
    }
    countStill(states, rows.lowerBound..<end, bytes)
  }

  /// Counts the rows whose observation is that of the row before.
  private mutating func countStill(_ states: UnsafeMutableRawBufferPointer, _ rows: Range<Int>, _ bytes: Int)
  {
    let base = states.baseAddress!
    if !previous.isEmpty, memcmp(previous, base + rows.lowerBound * bytes, bytes) == 0 { result.still += 1 }
    for row in rows.dropFirst() where memcmp(base + row * bytes, base + (row - 1) * bytes, bytes) == 0 {
      result.still += 1
    }
    previous = Array(states[(rows.upperBound - 1) * bytes..<rows.upperBound * bytes])
  }

  private mutating func end() {
    let number = result.count
    result.count += 1
    result.transitions += length
    result.lengths.add(Double(length), episode: number)
    if length > 0 {
      result.returns.add(total, episode: number)
      result.terminated += mask == 0 ? 1 : 0
      compare(number)
    } else {
      result.empty += 1
      result.firstEmpty = result.firstEmpty ?? number
    }
    (observations, actions, length, total, mask) = (Digest(), Digest(), 0, 0, 1)
    previous = []
  }

  private mutating func compare(_ number: Int) {
    let key = SIMD2(observations.value, actions.value)
    guard let original = originals[key] else {
      originals[key] = Int32(clamping: number)
      return
    }
    result.copies += 1
    result.firstCopy = result.firstCopy ?? .init(episode: number, original: Int(original))
  }
}
