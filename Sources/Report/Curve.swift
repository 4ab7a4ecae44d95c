import Foundation
import Kernels
import Randomness

/// A figure over the updates of a group's runs: their mean and the interval it lies in.
struct Curve {
  /// The mean where all runs have the figure.
  private(set) var points: [LineChart.Point] = []
  /// The mean where only some have it yet, beginning with the last point of all; empty when all are as far.
  private(set) var partial: [LineChart.Point] = []

  /// The curve of `column` in one table of each run; tables without the column do not count.
  init(_ tables: [CSVTable], _ column: String) { self.init(tables.map { $0.values(column) }) }

  /// The curve of some runs' values by update.
  init(_ runs: [[(step: Double, value: Double)]]) {
    // More rows than a chart can show become means over equal numbers of them, the same number for all runs.
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
    // Only what follows the common part is worth showing.
    partial.removeAll { $0.x < points.last?.x ?? 0 }
    if let last = points.last, !partial.isEmpty { partial.insert(.init(x: last.x, y: last.y), at: 0) }
  }

  /// The last point of all runs, or of those that have one.
  var last: LineChart.Point? { points.last ?? partial.last }
}

/// Rows averaged in groups of `size`, each at its last update; what is left over at the end goes.
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

/// The 95 % bootstrap interval of a mean (percentile method; Efron and Tibshirani, An Introduction to the Bootstrap,
/// 1993, chapter 13): the mean's spread when runs are drawn with replacement. Nil for less than two values or values
/// that are not finite. The draws are always the same.
func bootstrapInterval(of values: [Double]) -> (low: Double, high: Double)? {
  guard values.count > 1, values.allSatisfy(\.isPlottable) else { return nil }
  var random = RandomSequence(seed: 0, stream: .report)
  let means = (0..<1000).map { _ in
    mean(values.map { _ in values[random.below(values.count)] })
  }.sorted()
  return (means[24], means[974])
}
