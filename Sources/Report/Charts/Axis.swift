import Foundation

/// An axis of a chart: the values that it spans and the values of its ticks.
package struct Axis {
  /// How values map to positions along the axis.
  enum Kind { case linear, logarithmic }

  let title: String
  package let low: Double
  package let high: Double
  package let ticks: [Double]
  let kind: Kind

  /// Makes a linear axis over the plottable ones of `values`.
  ///
  /// - Parameters:
  ///   - limits: values that the axis must include.
  ///   - isRounded: whether the axis ends at ticks; otherwise it ends at the smallest and the largest value.
  ///   - count: the approximate number of ticks.
  package init(
    _ title: String, over values: some Sequence<Double>, including limits: [Double] = [],
    isRounded: Bool = true, ticks count: Int = 5
  ) {
    let (least, most) = Self.extent(values, limits)
    let step = Self.niceStep((most - least) / Double(count))
    low = isRounded ? (least / step).rounded(.down) * step : least
    high = isRounded ? (most / step).rounded(.up) * step : most
    let (first, last) = ((low / step - 1e-9).rounded(.up), (high / step + 1e-9).rounded(.down))
    ticks = stride(from: first, through: last, by: 1).map { $0 * step }
    self.title = title
    kind = .linear
  }

  /// Makes a logarithmic axis over the positive ones of `values`.
  package init(_ title: String, logarithmicOver values: some Sequence<Double>) {
    let (least, most) = Self.extent(values.lazy.map(log10).filter { $0.isFinite && $0 > -30 }, [])
    let (first, last) = (least.rounded(.down), most.rounded(.up))
    // Ticks are at powers of ten if there are more than three of them, else also at 2 and 5 times these. The
    // axis ends at a candidate for a tick.
    let factors: [Double] = last - first > 3 ? [1] : [1, 2, 5]
    let every = max(1, ((last - first) / 6).rounded(.up))
    let candidates = stride(from: first, through: last, by: every).flatMap { exponent in
      factors.map { $0 * pow(10, exponent) }
    }
    let below = candidates.last { $0 <= pow(10, least) * (1 + 1e-9) } ?? pow(10, first)
    let above = candidates.first { $0 >= pow(10, most) * (1 - 1e-9) } ?? pow(10, last)
    (low, high) = (below, max(above, below * 10.0.squareRoot()))
    ticks = candidates.filter { $0 >= below && $0 <= above }
    self.title = title
    kind = .logarithmic
  }

  /// The position of a value along the axis: 0 at the low end, 1 at the high end.
  package func fraction(_ value: Double) -> Double {
    switch kind {
    case .linear: (value - low) / (high - low)
    case .logarithmic: log(value / low) / log(high / low)
    }
  }

  /// The label of a tick. All ticks of a linear axis have as many decimals as their distance needs.
  package func label(_ tick: Double) -> String {
    let largest = max(abs(low), abs(high))
    let step = kind == .linear && ticks.count > 1 ? ticks[1] - ticks[0] : abs(tick)
    if tick == 0 || abs(tick) < step * 1e-6 { return "0" }
    if largest >= 1e9 || step < 1e-4 { return scientific(tick) }
    let (unit, suffix) = largest >= 1e6 ? (1e6, "M") : largest >= 1e4 ? (1e3, "k") : (1, "")
    let places = max(0, Int((-log10(step / unit) - 1e-9).rounded(.up)))
    return fixed(tick / unit, places) + (suffix.isEmpty ? "" : "\u{202F}" + suffix)
  }

  private func scientific(_ value: Double) -> String {
    let exponent = log10(abs(value)).rounded(.down)
    return "\(fixed(value / pow(10, exponent), 0))e\(fixed(exponent, 0))"
  }

  /// The smallest and the largest of the values and limits, moved apart if they are equal. Values that are
  /// not plottable are left out, so that distances stay finite.
  private static func extent(
    _ values: some Sequence<Double>, _ limits: [Double]
  ) -> (Double, Double) {
    var (least, most) = (limits.min() ?? .infinity, limits.max() ?? -.infinity)
    for value in values where abs(value) < plottableLimit {
      (least, most) = (min(least, value), max(most, value))
    }
    guard least <= most else { return (0, 1) }
    // Values that differ only by rounding count as one value.
    let width = max(abs(most) * 1e-9, 1e-30)
    guard most - least < width else { return (least, most) }
    let room = abs(most) < 1e-30 ? 0.5 : abs(most) / 10
    return (least - room, most + room)
  }

  /// The smallest of 1, 2 and 5 times the powers of ten that is at least `distance`.
  private static func niceStep(_ distance: Double) -> Double {
    let power = pow(10, log10(distance).rounded(.down))
    return power * ([1, 2, 5, 10].first { $0 * power >= distance * (1 - 1e-9) } ?? 10)
  }
}

/// Values of this magnitude or more are not drawn.
let plottableLimit = 1e30

extension Double {
  /// Whether the value can be drawn in a chart: it is finite and not too large.
  var isPlottable: Bool { abs(self) < plottableLimit }
}
