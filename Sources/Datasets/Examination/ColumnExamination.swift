import Foundation

/// What the rows of a dataset hold in one column: a number of an observation or of an action, or the reward.
package struct ExaminedColumn: Sendable {
  /// Where something is.
  package struct Place: Sendable {
    /// The row in the dataset, from 0.
    package let row: Int
    /// The episode, from 0.
    package let episode: Int
  }

  /// Episodes that differ from the others.
  package struct Oddity: Sendable {
    /// What differs.
    package enum Kind: Sendable {
      /// Values are far larger.
      case level
      /// From one row to the next, values change far more.
      case step
    }
    /// What differs.
    package let kind: Kind
    /// How many episodes there are.
    package let episodes: Int
    /// The first of them, from 0.
    package let first: Int
    /// What all other episodes stay below.
    package let others: Double
    /// What these reach.
    package let reach: Double
  }

  /// Names the column: `observations column 3`.
  package let name: String
  /// The numbers that are finite.
  package let count: Int
  /// How many numbers are not finite.
  package let notFinite: Int
  /// Where the first of these is.
  package let firstNotFinite: Place?
  /// The smallest number.
  package let minimum: Double
  /// The largest number.
  package let maximum: Double
  /// The mean.
  package let mean: Double
  /// The standard deviation.
  package let spread: Double
  /// The share of the numbers that equal the one of the row before in the same episode; nil for images.
  package let repeated: Double?
  /// The share of the numbers that are the smallest.
  package let atMinimum: Double
  /// The share of the numbers that are the largest.
  package let atMaximum: Double
  /// The share of the numbers that lie at −1 or 1, or beyond.
  package let atBounds: Double
  /// How the numbers are distributed.
  package let histogram: Histogram
  /// The numbers over episodes.
  package let episodes: EpisodeSeries
  /// A few episodes that differ from the others; nil if none does.
  package let oddity: Oddity?

  /// Whether all numbers are the same.
  package var isConstant: Bool { minimum == maximum }
}

/// Examines one column while rows pass.
struct ColumnExaminer {
  private var count = 0
  private var notFinite = 0
  private var firstNotFinite: ExaminedColumn.Place?
  private var (minimum, maximum) = (Float.infinity, -Float.infinity)
  private var (atMinimum, atMaximum, atBounds) = (0, 0, 0)
  /// Sums are of differences to the first number, so that they stay exact where all numbers are far from zero.
  private var shift = 0.0
  private var (sum, squares) = (0.0, 0.0)
  private var (repeated, pairs) = (0, 0)
  private var histogram = Histogram()
  private var series = EpisodeSeries()
  private var (levels, steps) = (EpisodeMagnitudes(), EpisodeMagnitudes())
  private var largestStep: Float = 0
  private var episode = Episode()

  /// The part of the present episode that has passed.
  private struct Episode {
    var (count, pairs) = (0, 0)
    var (minimum, maximum) = (Float.infinity, -Float.infinity)
    var (sum, largestStep) = (0.0, Float(0))
    var previous: Float?
  }

  /// Adds rows.
  ///
  /// - Parameters:
  ///   - values: the column's number in the first row; that of the next row is `stride` further.
  ///   - ends: not zero where a row is the last of its episode.
  ///   - usesLast: whether the last row of an episode counts.
  ///   - place: the first row.
  mutating func add(
    _ values: UnsafePointer<Float>, stride: Int, ends: UnsafePointer<UInt8>, rows: Int, usesLast: Bool,
    from place: ExaminedColumn.Place
  ) {
    var number = place.episode
    for row in 0..<rows {
      let isLast = ends[row] != 0
      if usesLast || !isLast {
        let value = values[row * stride]
        if value.isFinite {
          add(value)
        } else {
          notFinite += 1
          firstNotFinite = firstNotFinite ?? .init(row: place.row + row, episode: number)
          episode.previous = nil
        }
      }
      if isLast {
        end(number)
        number += 1
      }
    }
  }

  @inline(__always)
  private mutating func add(_ value: Float) {
    if count == 0 { shift = Double(value) }
    count += 1
    if value < minimum { (minimum, atMinimum) = (value, 0) }
    if value > maximum { (maximum, atMaximum) = (value, 0) }
    atMinimum += value == minimum ? 1 : 0
    atMaximum += value == maximum ? 1 : 0
    atBounds += ActionBounds.isReached(by: value) ? 1 : 0
    let difference = Double(value) - shift
    sum += difference
    squares += difference * difference
    histogram.add(Double(value))
    if let previous = episode.previous {
      episode.pairs += 1
      repeated += value == previous ? 1 : 0
      episode.largestStep = max(episode.largestStep, abs(value - previous))
    }
    episode.previous = value
    episode.count += 1
    episode.minimum = min(episode.minimum, value)
    episode.maximum = max(episode.maximum, value)
    episode.sum += Double(value)
  }

  private mutating func end(_ number: Int) {
    if episode.count > 0 {
      levels.add(max(abs(episode.minimum), abs(episode.maximum)), episode: number)
      series.add(
        episode: number, minimum: Double(episode.minimum), maximum: Double(episode.maximum), sum: episode.sum,
        count: episode.count)
    }
    if episode.pairs > 0 { steps.add(episode.largestStep, episode: number) }
    pairs += episode.pairs
    largestStep = max(largestStep, episode.largestStep)
    episode = Episode()
  }

  /// What has been found, after the last episode.
  ///
  /// - Parameter comparesEpisodes: whether episodes that differ from the others are told.
  func result(_ name: String, comparesEpisodes: Bool) -> ExaminedColumn {
    let total = Double(max(count, 1))
    let mean = sum / total
    return ExaminedColumn(
      name: name, count: count, notFinite: notFinite, firstNotFinite: firstNotFinite,
      minimum: count > 0 ? Double(minimum) : .nan, maximum: count > 0 ? Double(maximum) : .nan,
      mean: count > 0 ? shift + mean : .nan, spread: max(0, squares / total - mean * mean).squareRoot(),
      repeated: Double(repeated) / Double(max(pairs, 1)), atMinimum: Double(atMinimum) / total,
      atMaximum: Double(atMaximum) / total, atBounds: Double(atBounds) / total, histogram: histogram,
      episodes: series, oddity: comparesEpisodes ? oddity : nil)
  }

  private var oddity: ExaminedColumn.Oddity? {
    if let found = levels.outliers {
      return .init(
        kind: .level, episodes: found.count, first: found.first, others: found.others,
        reach: Double(max(abs(minimum), abs(maximum))))
    }
    return steps.outliers.map {
      .init(
        kind: .step, episodes: $0.count, first: $0.first, others: $0.others, reach: Double(largestStep))
    }
  }
}
