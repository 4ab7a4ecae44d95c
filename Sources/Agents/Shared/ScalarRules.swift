import Kernels

/// A loss of one error, and its derivative.
struct Loss<T: Real> {
  let value: T
  let slope: T
}

/// d².
@inline(__always)
func squared<T: Real>(_ d: T) -> Loss<T> { Loss(value: d * d, slope: 2 * d) }

/// Expectile regression: w · d² with w = `expectile` where d ≥ 0, else 1 − `expectile` (arXiv 2110.06169, eq. 5).
@inline(__always)
func expectileSquared<T: Real>(_ d: T, _ expectile: T) -> Loss<T> {
  let w = d >= 0 ? expectile : 1 - expectile
  return Loss(value: w * d * d, slope: 2 * w * d)
}

/// Quantile regression: |τ − [d < 0]| · Huber(d) / κ, quadratic where |d| ≤ κ (arXiv 1806.06923, eq. 3).
@inline(__always)
func quantileHuber<T: Real>(_ d: T, level τ: T, threshold κ: T) -> Loss<T> {
  let weight = abs(τ - (d < 0 ? 1 : 0)) / κ
  let size = abs(d)
  return size <= κ
    ? Loss(value: weight * (d * d / 2), slope: weight * d)
    : Loss(value: weight * (κ * (size - κ / 2)), slope: weight * (d < 0 ? -κ : κ))
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

extension Batch {
  /// 1 / B: sums over samples times this are means over the batch of all ranks.
  var perSample: T { 1 / T(globalRows) }
  /// 1 / (B·A), the same for sums over samples and action components.
  var perElement: T { perSample / T(actions.columns) }
}

/// λ = sg(1 / mean of |·|) over the batch of all ranks, from this rank's sum of magnitudes.
func inverseMean<T: Real>(
  _ magnitude: ExactSum, _ batch: Batch<T>, _ sumOverRanks: (inout ExactSums) throws -> Void
) throws -> Double {
  var sums = ExactSums(magnitude)
  try sumOverRanks(&sums)
  return Double(batch.globalRows) / sums.first.value
}
