import Kernels

/// What an ensemble of two computed in some rows, or the gradients there, n × 1 each.
struct Twins<T: Real> {
  let first: Matrix<T>
  let second: Matrix<T>

  /// That of a member.
  subscript(member: Int) -> Matrix<T> { member == 0 ? first : second }

  /// The mean of both in row i.
  @inline(__always)
  func mean(_ i: Int) -> T { (first[i, 0] + second[i, 0]) / 2 }

  /// Both in row i as one.
  @inline(__always)
  func aggregate(_ i: Int, _ how: Aggregation) -> T { how(first[i, 0], second[i, 0]) }

  /// Sets both in row i to the gradient of `factor` · aggregate(i) of some values.
  @inline(__always)
  func setGradient(_ i: Int, of values: Twins, _ how: Aggregation, times factor: T) {
    let slopes = how.slopes(values.first[i, 0], values.second[i, 0])
    (first[i, 0], second[i, 0]) = (factor * slopes.0, factor * slopes.1)
  }

  /// The figures NAME_mean, NAME_max and NAME_min over rows and members.
  func log(_ name: String, _ batch: Batch<T>, _ figures: Figures) {
    var spread = Spread<T>()
    for i in 0..<first.rows {
      spread.add(first[i, 0])
      spread.add(second[i, 0])
    }
    spread.log(name, each: batch.perSample / 2, figures)
  }
}

/// The sum of some values, which may be scaled by one over their mean magnitude.
struct ValueSum<T: Real> {
  var value = T(0)
  var magnitude = ExactSum()

  @inline(__always)
  mutating func add(_ value: T) {
    self.value += value
    magnitude.add(Double(abs(value)))
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
  ///   - mean: the first figure's name if it is another.
  func log(_ name: String, each share: T, mean: String? = nil, _ figures: Figures) {
    figures[mean ?? "\(name)_mean"] = Double(sum * share)
    figures["\(name)_max"] = Double(maximum)
    figures["\(name)_min"] = Double(minimum)
  }
}
