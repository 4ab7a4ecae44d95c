import Foundation
import Kernels
import Randomness

/// The mean of a figure over a group's runs, by update, with its bootstrap interval.
package struct Curve {
  /// The means at the updates for which all runs have the figure.
  package private(set) var points: [LineChart.Point] = []
  /// The means at the later updates, for which only some runs have the figure yet, preceded by the last point
  /// of ``points``; empty if no run is ahead.
  package private(set) var partial: [LineChart.Point] = []

  /// Makes the curve of `column` in one table of each run; tables without the column do not count.
  init(_ tables: [CSVTable], _ column: String) { self.init(tables.map { $0.values(column) }) }

  /// Makes the curve of the values of several runs, each with its update.
  package init(_ runs: [[(step: Double, value: Double)]]) {
    // A chart shows about 400 points, so longer tables are averaged over consecutive rows, as many for all
    // runs.
    let size = (runs.map(\.count).max() ?? 0) / 400 + 1
    let runs = runs.filter { !$0.isEmpty }.map { averaged($0, by: size) }
    var byStep: [Double: [Double]] = [:]
    for run in runs {
      for (step, value) in run { byStep[step, default: []].append(value) }
    }
    for step in byStep.keys.sorted() {
      let values = byStep[step] ?? []
      let interval = values.count == runs.count ? bootstrapInterval(of: values) : nil
      let point = LineChart.Point(
        x: step, y: mean(values), low: interval?.low, high: interval?.high)
      if values.count >= runs.count { points.append(point) } else { partial.append(point) }
    }
    // Partial means are shown only after the last update for which all runs have the figure.
    partial.removeAll { $0.x < points.last?.x ?? 0 }
    if let last = points.last, !partial.isEmpty { partial.insert(.init(x: last.x, y: last.y), at: 0) }
  }

  /// The last point for which all runs have the figure; if there is none, the last for which any run has.
  package var last: LineChart.Point? { points.last ?? partial.last }
}

/// Rows averaged over `size` consecutive ones, each mean at the last update of its rows. Rows left over at
/// the end are dropped.
private func averaged(
  _ rows: [(step: Double, value: Double)], by size: Int
) -> [(step: Double, value: Double)] {
  guard size > 1 else { return rows }
  return stride(from: 0, through: rows.count - size, by: size).map { start in
    let part = rows[start..<start + size]
    return (rows[start + size - 1].step, mean(part.map(\.value)))
  }
}

func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

/// The 95 % bootstrap interval of a mean; nil for fewer than two values, or if a value is not plottable.
package func bootstrapInterval(of values: [Double]) -> (low: Double, high: Double)? {
  plottableInterval(ofGroups: [values])
}

/// The same for the mean of the means of groups.
func plottableInterval(ofGroups groups: [[Double]]) -> (low: Double, high: Double)? {
  groups.joined().allSatisfy(\.isPlottable) ? bootstrapInterval(ofGroups: groups) : nil
}
