/// The smallest, the mean and the largest of some values over the episodes, in their order. When there are many episodes,
/// successive ones share a point.
package struct EpisodeSeries: Sendable {
  /// Some successive episodes, from number `first` on, counted from 0.
  package struct Point: Sendable {
    /// The number of the first episode.
    package fileprivate(set) var first: Int
    /// The smallest value.
    package fileprivate(set) var minimum: Double
    /// The largest value.
    package fileprivate(set) var maximum: Double
    fileprivate var sum: Double
    fileprivate var count: Int

    /// The mean.
    package var mean: Double { sum / Double(count) }

    fileprivate func joined(with next: Point) -> Point {
      Point(
        first: first, minimum: min(minimum, next.minimum), maximum: max(maximum, next.maximum),
        sum: sum + next.sum, count: count + next.count)
    }
  }

  /// Points in the order of episodes. Episodes without a value have none.
  package private(set) var points: [Point] = []
  /// How many episodes share a point.
  private var share = 1
  private static let mostPoints = 128

  /// A series of no episodes.
  package init() {}

  /// Adds `count` values of an episode, which is not before those that were added.
  mutating func add(episode: Int, minimum: Double, maximum: Double, sum: Double, count: Int) {
    let point = Point(first: episode, minimum: minimum, maximum: maximum, sum: sum, count: count)
    if let last = points.last, last.first / share == episode / share {
      points[points.count - 1] = last.joined(with: point)
      return
    }
    points.append(point)
    while points.count > Self.mostPoints { halve() }
  }

  /// Adds the one value of an episode.
  mutating func add(episode: Int, _ value: Double) {
    add(episode: episode, minimum: value, maximum: value, sum: value, count: 1)
  }

  private mutating func halve() {
    share *= 2
    points = points.reduce(into: []) { joined, point in
      if let last = joined.last, last.first / share == point.first / share {
        joined[joined.count - 1] = last.joined(with: point)
      } else {
        joined.append(point)
      }
    }
  }
}
