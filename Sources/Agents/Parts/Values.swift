import Kernels
import Networks

/// The i-th n rows of a stack.
@inline(__always)
func block(_ i: Int, _ n: Int) -> Range<Int> { i * n..<(i + 1) * n }

extension Batch {
  /// 1 / B: what sums over samples are multiplied with to give means over the batch of all ranks.
  var perSample: T { 1 / T(globalRows) }
  /// 1 / (B·A), the same for sums over samples and action components.
  var perElement: T { perSample / T(actions.columns) }
}

/// What a critic's target subtracts from the next state's value: weight · values[i] in row i.
struct Penalty<T: Real> {
  let weight: T
  let values: UnsafePointer<T>
}

extension MLP {
  /// Mean over the ensemble of the value in a row.
  @inline(__always)
  func mean(_ row: Int) -> T { (output(0)[row, 0] + output(1)[row, 0]) / 2 }

  /// The ensemble's values in a row as one.
  @inline(__always)
  func aggregate(_ row: Int, _ how: Aggregation) -> T {
    how == .mean ? mean(row) : Swift.min(output(0)[row, 0], output(1)[row, 0])
  }

  /// The figures NAME_mean, NAME_max and NAME_min of an ensemble's values over some rows.
  func log(_ name: String, rows: Range<Int>, _ batch: Batch<T>, _ figures: Figures) {
    var (sum, maximum, minimum) = (T(0), -T.infinity, T.infinity)
    for e in 0..<2 {
      for i in rows {
        let value = output(e)[i, 0]
        sum += value
        maximum = max(maximum, value)
        minimum = min(minimum, value)
      }
    }
    figures["\(name)_mean"] = Double(sum * batch.perSample / 2)
    figures["\(name)_max"] = Double(maximum)
    figures["\(name)_min"] = Double(minimum)
  }

  /// Σ |mean over the ensemble| over some rows.
  func magnitude(rows: Range<Int>) -> Double { rows.reduce(0) { $0 + Double(abs(mean($1))) } }

  /// The gradient of −scale · (mean over B and the ensemble) with respect to the values in some rows.
  func ascend(rows: Range<Int>, scale: Double, _ batch: Batch<T>) {
    for e in 0..<2 {
      for i in rows { outputGradient(e)[i, 0] = -T(scale) * batch.perSample / 2 }
    }
  }
}
