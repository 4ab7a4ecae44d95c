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
package struct Penalty<T: Real> {
  let weight: T
  let values: UnsafePointer<T>
}

extension Matrix {
  /// distances[i] ← Σ over the columns of (self − other)² in row i.
  func squaredDistances(to other: Matrix, into distances: UnsafeMutablePointer<T>) {
    for i in 0..<rows {
      distances[i] = 0
      for c in 0..<columns { distances[i] += (self[i, c] - other[i, c]) * (self[i, c] - other[i, c]) }
    }
  }
}

extension Aggregation {
  /// Two values as one.
  @inline(__always)
  func callAsFunction<T: Real>(_ a: T, _ b: T) -> T { self == .mean ? (a + b) / 2 : Swift.min(a, b) }

  /// The derivatives of that by each.
  @inline(__always)
  func slopes<T: Real>(_ a: T, _ b: T) -> (T, T) {
    if self == .mean { return (0.5, 0.5) }
    return a <= b ? (1, 0) : (0, 1)
  }
}

/// Sum and extremes of some values.
struct Spread<T: Real> {
  private var (sum, maximum, minimum) = (T(0), -T.infinity, T.infinity)

  mutating func add(_ value: T) {
    sum += value
    maximum = max(maximum, value)
    minimum = min(minimum, value)
  }

  /// The figures NAME_mean, NAME_max and NAME_min.
  ///
  /// - Parameters:
  ///   - share: of each value in the mean over the batch of all ranks.
  ///   - mean: the name of the first, if it has another.
  func log(_ name: String, each share: T, mean: String? = nil, _ figures: Figures) {
    figures[mean ?? "\(name)_mean"] = Double(sum * share)
    figures["\(name)_max"] = Double(maximum)
    figures["\(name)_min"] = Double(minimum)
  }
}

/// What an ensemble of two critics says in some rows, or the gradients there.
struct TwinValues<T: Real> {
  let first: Matrix<T>
  let second: Matrix<T>

  /// The mean of both in row i.
  @inline(__always)
  func mean(_ i: Int) -> T { (first[i, 0] + second[i, 0]) / 2 }

  /// Both in row i as one.
  @inline(__always)
  func aggregate(_ i: Int, _ how: Aggregation) -> T {
    how(first[i, 0], second[i, 0])
  }

  /// Σ aggregate(i) and Σ |aggregate(i)|.
  func sums(_ how: Aggregation) -> (values: T, magnitudes: Double) {
    var sums = (values: T(0), magnitudes: 0.0)
    for i in 0..<first.rows {
      let value = aggregate(i, how)
      sums.values += value
      sums.magnitudes += Double(abs(value))
    }
    return sums
  }

  /// Gradients of Σ scale(i) · aggregate(i) of some values.
  func setSlopes(of values: TwinValues, _ how: Aggregation, times scale: (_ i: Int) -> T) {
    for i in 0..<first.rows {
      let slopes = how.slopes(values.first[i, 0], values.second[i, 0])
      let scale = scale(i)
      (first[i, 0], second[i, 0]) = (scale * slopes.0, scale * slopes.1)
    }
  }

  /// Adds a number to everything.
  func add(_ number: T) {
    for i in 0..<first.rows {
      first[i, 0] += number
      second[i, 0] += number
    }
  }

  /// The figures NAME_mean, NAME_max and NAME_min.
  func log(_ name: String, _ batch: Batch<T>, _ figures: Figures) {
    var spread = Spread<T>()
    for i in 0..<first.rows {
      spread.add(first[i, 0])
      spread.add(second[i, 0])
    }
    spread.log(name, each: batch.perSample / 2, figures)
  }
}

extension MLP {
  /// The values of two critics in some rows of the last forward pass.
  func values(_ rows: Range<Int>) -> TwinValues<T> {
    TwinValues(first: output(0).rows(rows), second: output(1).rows(rows))
  }

  /// Where the gradients of the loss with respect to those go.
  func valueGradients(_ rows: Range<Int>) -> TwinValues<T> {
    TwinValues(first: outputGradient(0).rows(rows), second: outputGradient(1).rows(rows))
  }
}
