import Basics

/// What scales are computed from: accumulates over the rows of training data, before they are scaled. Numbers that are
/// not finite are left out; whoever writes the rows refuses them.
public struct ScaleSurvey {
  /// The smallest and the largest value, and the sums that a mean and a standard deviation come from.
  private struct Column {
    private(set) var low = Float.infinity
    private(set) var high = -Float.infinity
    private var count = 0.0
    // Sums of differences to the first value lose no digits where all values are large.
    private var origin = 0.0
    private var (sum, squares) = (0.0, 0.0)

    mutating func add(_ value: Float) {
      guard value.isFinite else { return }
      if count == 0 { origin = Double(value) }
      let difference = Double(value) - origin
      count += 1
      sum += difference
      squares += difference * difference
      low = min(low, value)
      high = max(high, value)
    }

    var range: ClosedRange<Float> { low <= high ? low...high : 0...0 }
    var mean: Double { count > 0 ? origin + sum / count : 0 }
    /// The standard deviation; 1 where single precision hardly tells the values apart.
    var spread: Double {
      let deviation = count > 0 ? max(0, squares / count - sum / count * (sum / count)).squareRoot() : 0
      return deviation > 1e-6 * Double(max(abs(low), abs(high))) ? deviation : 1
    }
  }

  private var observations: [Column]
  private var actions: [Column]
  private var total = 0.0
  private var returnRange: ClosedRange<Double>?

  /// A survey without rows. Images have no columns.
  public init(_ observation: ObservationSpace, actionSize: Int) {
    observations = Array(repeating: Column(), count: observation.isImage ? 0 : observation.count)
    actions = Array(repeating: Column(), count: actionSize)
  }

  /// Adds rows.
  public mutating func add(_ block: RowBlock) {
    let (O, A) = (observations.count, actions.count)
    for row in 0..<block.rows {
      for column in 0..<O { observations[column].add(block.observations[row * O + column]) }
      // The last row of an episode has neither an action nor a reward.
      guard block.terminals[row] == 0 else {
        returnRange =
          returnRange.map { min($0.lowerBound, total)...max($0.upperBound, total) } ?? total...total
        total = 0
        continue
      }
      for column in 0..<A { actions[column].add(block.actions[row * A + column]) }
      if block.rewards[row].isFinite { total += Double(block.rewards[row]) }
    }
  }

  /// The map of observations to mean 0 and standard deviation 1.
  public var standardised: DataScales.Columns {
    DataScales.Columns(
      shift: observations.map { Float($0.mean) }, scale: observations.map { Float($0.spread) })
  }

  /// The smallest and the largest value of each column of the observations.
  public var observationRanges: [ClosedRange<Float>] { observations.map(\.range) }

  /// The same of the actions.
  public var actionRanges: [ClosedRange<Float>] { actions.map(\.range) }

  /// The smallest and the largest undiscounted return of an episode; nil without episodes.
  public var returns: ClosedRange<Double>? { returnRange }
}

extension RowBlock {
  /// Scales the rows in place.
  public func scale(_ scales: DataScales) {
    scales.observations?.apply(to: observations, rows: rows)
    scales.actions?.apply(to: actions, rows: rows)
    guard let map = scales.rewards else { return }
    for row in 0..<rows { rewards[row] = Float(map.apply(to: Double(rewards[row]))) }
  }

  /// The first action that starts a transition and has a number outside [−1, 1] by more than rounding, once it is scaled.
  public func firstActionOutside(_ columns: DataScales.Columns) -> (row: Int, column: Int)? {
    for row in 0..<rows where terminals[row] == 0 {
      for column in 0..<actionSize {
        let value = (actions[row * actionSize + column] - columns.shift[column]) / columns.scale[column]
        if abs(value) > 1 + DatasetSurvey.actionTolerance { return (row, column) }
      }
    }
    return nil
  }
}
