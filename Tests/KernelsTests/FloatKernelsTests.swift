import Kernels
import Optimisation
import Randomness
import Testing

/// A matrix with the same numbers in both precisions. Columns to its right hold a known number, so that
/// writes beyond the matrix are noticed.
struct Pair {
  let float: Matrix<Float>
  let double: Matrix<Double>
  private let floats: Buffer<Float>
  private let doubles: Buffer<Double>
  private static let margin = 3
  private static let untouched: Float = 12345

  init(_ rows: Int, _ columns: Int, _ value: (_ row: Int, _ column: Int) -> Float = { _, _ in 0 }) {
    let stride = columns + Self.margin
    floats = Buffer(count: rows * stride)
    doubles = Buffer(count: rows * stride)
    float = Matrix(floats, rows: rows, columns: stride).columns(0..<columns)
    double = Matrix(doubles, rows: rows, columns: stride).columns(0..<columns)
    for r in 0..<rows {
      for c in 0..<stride {
        let number = c < columns ? value(r, c) : Self.untouched
        float.row(r)[c] = number
        double.row(r)[c] = Double(number)
      }
    }
  }

  /// The largest difference between the precisions, relative to the magnitude in double precision but to no
  /// less than `unit`.
  func deviation(unit: Double = 1) -> Double {
    var worst = 0.0
    for r in 0..<double.rows {
      for c in 0..<double.columns {
        let difference = abs(Double(float[r, c]) - double[r, c])
        // NaN counts as an infinite difference.
        if !(difference.isFinite) { return .infinity }
        worst = max(worst, difference / max(unit, abs(double[r, c])))
      }
    }
    return worst
  }

  /// Whether the columns to the right are unchanged.
  var marginIsIntact: Bool {
    (0..<float.rows).allSatisfy { r in
      (0..<Self.margin).allSatisfy { float.row(r)[float.columns + $0] == Self.untouched }
    }
  }
}

/// The kinds of rows of a kernel's input.
enum Rows: CaseIterable {
  case ordinary, fifty, constant, large

  func value(_ row: Int, _ column: Int) -> Float {
    var random = RandomSequence(seed: UInt32(row), stream: .acting, index: UInt64(column))
    switch self {
    case .ordinary: return 2 * random.normal()
    case .fifty: return (column % 2 == 0 ? 50 : -50) + random.uniform()
    case .constant: return 0.75
    case .large: return [1e4, -1e4, 0, 1, -1][(row + column) % 5]
    }
  }
}

/// The size and kind of an input.
struct Input: CustomTestStringConvertible {
  let rows: Int
  let width: Int
  let kind: Rows
  var testDescription: String { "\(rows) × \(width), \(kind)" }

  static let all = [1, 3, 32].flatMap { rows in
    [1, 15, 16, 17, 20, 512].flatMap { width in
      Rows.allCases.map { Input(rows: rows, width: width, kind: $0) }
    }
  }

  func matrix() -> Pair { Pair(rows, width, kind.value) }
  /// A matrix of ordinary numbers, which differ between seeds.
  func matrix(seed: Int) -> Pair { Pair(rows, width) { Rows.ordinary.value($0 + 1000 * seed, $1) } }
  func vector(seed: Int) -> Pair { Pair(1, width) { _, c in Rows.ordinary.value(1000 * seed, c) / 2 } }
}

/// The kernels in single precision agree with their definition in double precision.
@Suite struct FloatKernelsTests {
  @Test(arguments: Input.all, [false, true]) func geluMatchesItsDefinition(input: Input, keep: Bool) {
    let (u, bias, h) = (input.matrix(), input.vector(seed: 1), input.matrix(seed: 2))
    Float.gelu(u.float, bias: bias.float.base, into: h.float, keep: keep)
    Double.gelu(u.double, bias: bias.double.base, into: h.double, keep: keep)
    #expect(h.deviation() < 1e-6)
    #expect(u.deviation() < 2e-6, "slope")
    #expect(h.marginIsIntact && u.marginIsIntact && bias.marginIsIntact)
  }

  @Test(arguments: Input.all, [false, true]) func geluNormMatchesItsDefinition(input: Input, keep: Bool) {
    let (u, bias, h) = (input.matrix(), input.vector(seed: 1), input.matrix(seed: 2))
    let (scale, shift) = (input.vector(seed: 3), input.vector(seed: 4))
    // Activations of a constant row are constant only if the bias is.
    if input.kind == .constant { bias.clear() }
    let (normalised, inverse) = (input.matrix(seed: 5), Pair(1, input.rows))
    Float.geluNorm(
      u.float, bias: bias.float.base, norm: Norm(scale: scale.float.base, shift: shift.float.base),
      normalised: normalised.float, inverseDeviation: inverse.float.base, into: h.float, keep: keep)
    Double.geluNorm(
      u.double, bias: bias.double.base, norm: Norm(scale: scale.double.base, shift: shift.double.base),
      normalised: normalised.double, inverseDeviation: inverse.double.base, into: h.double, keep: keep)
    // Without variance, the deviation is 10⁻³, and dividing by it makes each rounding error of the mean a
    // thousand times larger.
    let tolerance = input.kind == .constant || input.width == 1 ? 2e-3 : 1e-5
    #expect(h.deviation() < tolerance)
    #expect(u.deviation() < 2e-6, "slope")
    if keep {
      #expect(normalised.deviation() < tolerance, "normalised")
      let inverseError = inverse.deviation(unit: 1e-6)
      #expect(inverseError < 1e-5, "inverse deviation")
    }
    #expect([u, h, bias, scale, shift, normalised, inverse].allSatisfy { $0.marginIsIntact })
  }

  @Test(arguments: Input.all, [false, true]) func geluBackwardMatchesItsDefinition(input: Input, sums: Bool) {
    let (gradient, slope, bias) = (input.matrix(seed: 1), input.matrix(), input.vector(seed: 2))
    Float.geluBackward(
      gradient.float, derivative: slope.float, biasGradient: sums ? bias.float.base : nil)
    Double.geluBackward(
      gradient.double, derivative: slope.double, biasGradient: sums ? bias.double.base : nil)
    #expect(gradient.deviation() < 1e-6)
    let biasError = bias.deviation(unit: input.kind == .large ? 1e4 : 100)
    #expect(biasError < 5e-6, "bias")
    #expect([gradient, slope, bias].allSatisfy { $0.marginIsIntact })
  }

  @Test(arguments: Input.all, [false, true])
  func geluNormBackwardMatchesItsDefinition(input: Input, sums: Bool) {
    let (gradient, slope, scale) = (input.matrix(seed: 1), input.matrix(seed: 2), input.vector(seed: 3))
    let normalised = Pair(input.rows, input.width) { max(-5, min(5, input.kind.value($0, $1))) }
    let inverse = Pair(1, input.rows) { _, r in 0.5 + Float(r % 3) }
    let (bias, scaleSum, shiftSum) = (
      input.vector(seed: 4), input.vector(seed: 5), input.vector(seed: 6)
    )
    Float.geluNormBackward(
      gradient.float, derivative: slope.float, normalised: normalised.float,
      inverseDeviation: inverse.float.base, scale: scale.float.base,
      parameterGradients: sums
        ? HiddenGradients(bias: bias.float.base, scale: scaleSum.float.base, shift: shiftSum.float.base)
        : nil)
    Double.geluNormBackward(
      gradient.double, derivative: slope.double, normalised: normalised.double,
      inverseDeviation: inverse.double.base, scale: scale.double.base,
      parameterGradients: sums
        ? HiddenGradients(bias: bias.double.base, scale: scaleSum.double.base, shift: shiftSum.double.base)
        : nil)
    // Differences of numbers up to a hundred.
    let gradientError = gradient.deviation(unit: 10)
    #expect(gradientError < 1e-5)
    for (name, sum) in [("bias", bias), ("scale", scaleSum), ("shift", shiftSum)] {
      let sumError = sum.deviation(unit: 100)
      #expect(sumError < 1e-5, "\(name)")
    }
    #expect([gradient, slope, normalised, scale, bias, scaleSum, shiftSum].allSatisfy { $0.marginIsIntact })
  }

  @Test(arguments: Input.all) func geluNormTangentMatchesItsDefinition(input: Input) {
    let (tangent, slope, scale) = (input.matrix(seed: 1), input.matrix(seed: 2), input.vector(seed: 3))
    let normalised = Pair(input.rows, input.width) { max(-5, min(5, input.kind.value($0, $1))) }
    let inverse = Pair(1, input.rows) { _, r in 0.5 + Float(r % 3) }
    Float.geluNormTangent(
      tangent.float, derivative: slope.float, normalised: normalised.float,
      inverseDeviation: inverse.float.base, scale: scale.float.base)
    Double.geluNormTangent(
      tangent.double, derivative: slope.double, normalised: normalised.double,
      inverseDeviation: inverse.double.base, scale: scale.double.base)
    // Differences of numbers up to a hundred.
    let error = tangent.deviation(unit: 10)
    #expect(error < 1e-5)
    #expect([tangent, slope, normalised, scale].allSatisfy { $0.marginIsIntact })
  }

  @Test(arguments: Input.all) func biasAndColumnSumsMatchTheirDefinition(input: Input) {
    let (y, bias, sums) = (input.matrix(), input.vector(seed: 1), input.vector(seed: 2))
    Float.addBias(bias.float.base, to: y.float)
    Double.addBias(bias.double.base, to: y.double)
    #expect(y.deviation() < 1e-6)
    Float.addColumnSums(of: y.float, to: sums.float.base)
    Double.addColumnSums(of: y.double, to: sums.double.base)
    let sumsError = sums.deviation(unit: 1e5)
    #expect(sumsError < 1e-6, "sums")
    #expect([y, bias, sums].allSatisfy { $0.marginIsIntact })
  }

  @Test(arguments: [1, 15, 16, 17, 20, 512, 5003]) func vectorKernelsMatchTheirDefinition(count: Int) {
    func vector(_ seed: Int) -> Pair { Pair(1, count) { _, c in Rows.ordinary.value(seed, c) } }
    let (a, b) = (vector(1), vector(2))
    Float.add(b.float.base, to: a.float.base, count: count)
    Double.add(b.double.base, to: a.double.base, count: count)
    #expect(a.deviation() < 1e-6 && a.marginIsIntact, "add")
    let c = vector(3)
    Float.addElementProducts(a.float.base, b.float.base, to: c.float.base, count: count)
    Double.addElementProducts(a.double.base, b.double.base, to: c.double.base, count: count)
    #expect(c.deviation() < 1e-6 && c.marginIsIntact, "added products")
    Float.multiplyElements(a.float.base, b.float.base, into: c.float.base, count: count)
    Double.multiplyElements(a.double.base, b.double.base, into: c.double.base, count: count)
    #expect(c.deviation() < 1e-6 && c.marginIsIntact, "products")
    Float.moveTarget(a.float.base, toward: b.float.base, tau: 0.125, count: count)
    Double.moveTarget(a.double.base, toward: b.double.base, tau: 0.125, count: count)
    #expect(a.deviation() < 1e-6 && a.marginIsIntact, "target")
    let (ours, exact) = (
      Float.sumOfSquares(a.float.base, count: count), Double.sumOfSquares(a.double.base, count: count)
    )
    #expect(abs(ours - exact) < 1e-5 * exact, "sum of squares")
    for fault in [Float.nan, .infinity, -.infinity] {
      a.float[0, count - 1] = fault
      #expect(!Float.sumOfSquares(a.float.base, count: count).isFinite, "\(fault)")
    }
  }

  @Test(arguments: Input.all) func positivePartsMatchTheirDefinition(input: Input) {
    let (x, y, gradient) = (input.matrix(), input.matrix(seed: 1), input.matrix(seed: 2))
    for r in 0..<input.rows {
      let count = input.width
      Float.positiveParts(of: x.float.row(r), into: y.float.row(r), count: count)
      Double.positiveParts(of: x.double.row(r), into: y.double.row(r), count: count)
      Float.positivePartsBackward(gradient.float.row(r), of: x.float.row(r), count: count)
      Double.positivePartsBackward(gradient.double.row(r), of: x.double.row(r), count: count)
    }
    #expect(y.deviation() == 0 && gradient.deviation() == 0)
    #expect([x, y, gradient].allSatisfy { $0.marginIsIntact })
  }

  /// Also where i · τ has more bits than a Float.
  @Test(arguments: [1, 16, 64, 77]) func cosinesMatchTheirDefinition(count: Int) {
    for tau: Float in [0, 1e-7, 0.1, 0.25, 0.333_333_34, 0.5, 0.9, 0.999_999_94] {
      let c = Pair(1, count)
      Float.cosines(tau, into: c.float.base, count: count)
      Double.cosines(Double(tau), into: c.double.base, count: count)
      #expect(c.deviation() < 1e-6 && c.marginIsIntact, "\(tau)")
    }
  }

  @Test func productsMatchTheirDefinition() {
    for (m, n, k) in [(1, 1, 1), (3, 17, 20), (32, 15, 512), (16, 512, 1)] {
      for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
        for accumulate in [false, true] {
          let operands = ProductOperands(rows: m, columns: n, depth: k, transposed: (ta, tb))
          let (a, b, c) = (operands.a, operands.b, operands.c)
          Float.multiply(
            a.float, transposed: ta, b.float, transposed: tb, into: c.float, accumulate: accumulate)
          Double.multiply(
            a.double, transposed: ta, b.double, transposed: tb, into: c.double, accumulate: accumulate)
          let place = "\(m) × \(n) × \(k), transposed \(ta) \(tb), accumulate \(accumulate)"
          #expect(operands.agree, "\(place)")
          // The product in double precision, which OpenBLAS computes, is checked against a sum.
          let exact = (0..<k).reduce(accumulate ? Double(Rows.fifty.value(m - 1, n - 1)) : 0) {
            $0 + (ta ? a.double[$1, m - 1] : a.double[m - 1, $1])
              * (tb ? b.double[n - 1, $1] : b.double[$1, n - 1])
          }
          #expect(abs(c.double[m - 1, n - 1] - exact) < 1e-9, "\(place)")
        }
      }
    }
  }

  /// The gradients of the two thousand steps differ by factors of up to a million.
  @Test(arguments: [1, 17, 512]) func adamMatchesItsDefinition(count: Int) {
    let parameters = Pair(1, count) { _, c in Rows.ordinary.value(7, c) }
    let (first, second) = (Pair(1, count), Pair(1, count))
    for number in 1...2000 {
      let gradient = Pair(1, count) { _, c in
        Rows.ordinary.value(number, c) * [1, 1e-3, 1e3][c % 3]
      }
      Float.adam(
        parameters.float.base, gradient: gradient.float.base, firstMoment: first.float.base,
        secondMoment: second.float.base, AdamStep(number: number, learningRate: 1e-3), count: count)
      Double.adam(
        parameters.double.base, gradient: gradient.double.base, firstMoment: first.double.base,
        secondMoment: second.double.base, AdamStep(number: number, learningRate: 1e-3), count: count)
    }
    #expect(parameters.deviation() < 2e-5 && parameters.marginIsIntact)
    #expect(first.marginIsIntact && second.marginIsIntact)
  }

  /// With a constant gradient, each step of Adam is the learning rate (Kingma and Ba, 2015, algorithm 1).
  @Test func adamsFirstStepsAreTheLearningRate() {
    var (parameter, gradient, first, second) = (1.0, 4.0, 0.0, 0.0)
    for number in 1...3 {
      Double.adam(
        &parameter, gradient: &gradient, firstMoment: &first, secondMoment: &second,
        AdamStep(number: number, learningRate: 0.1), count: 1)
      #expect(abs(parameter - (1 - 0.1 * Double(number))) < 1e-8)
    }
    #expect(abs(first - 4 * (1 - 0.9 * 0.9 * 0.9)) < 1e-12)
    #expect(abs(second - 16 * (1 - 0.999 * 0.999 * 0.999)) < 1e-12)
  }
}

extension Pair {
  fileprivate func clear() {
    for r in 0..<float.rows {
      for c in 0..<float.columns { (float[r, c], double[r, c]) = (0, 0) }
    }
  }
}
