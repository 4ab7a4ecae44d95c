import COpenBLAS
import Glibc

/// Kernels in double precision. These plain loops define what every kernel computes.
extension Double: Real {
  public static func tanh(_ x: Double) -> Double { Glibc.tanh(x) }
  public static func exp(_ x: Double) -> Double { Glibc.exp(x) }
  public static func log(_ x: Double) -> Double { Glibc.log(x) }

  public static func multiply(
    _ a: Matrix<Double>, transposed transposeA: Bool, _ b: Matrix<Double>, transposed transposeB: Bool,
    into c: Matrix<Double>, accumulate: Bool
  ) {
    let shape = productShape(a, transposeA, b, transposeB, c)
    cblas_dgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      shape.m, shape.n, shape.k, 1, a.base, blasint(a.stride), b.base, blasint(b.stride),
      accumulate ? 1 : 0, c.base, blasint(c.stride))
  }

  public static func multiplyAtOnce(
    _ a: Matrix<Double>, _ b: Matrix<Double>, into c: Matrix<Double>, by chunks: ChunkedRows
  ) -> Bool { false }

  public static func multiplyTransposed(
    _ a: Matrix<Double>, _ b: Matrix<Double>, into c: Matrix<Double>, accumulate: Bool
  ) -> Double {
    multiply(a, transposed: true, b, transposed: false, into: c, accumulate: accumulate)
    return sumOfSquares(c.base, count: c.rows * c.columns)
  }

  public static func gelu(
    _ u: Matrix<Double>, bias: UnsafePointer<Double>, into h: Matrix<Double>, keep: Bool
  ) {
    for r in 0..<u.rows {
      for c in 0..<u.columns {
        let (value, slope) = gelu(u[r, c] + bias[c])
        h[r, c] = value
        if keep { u[r, c] = slope }
      }
    }
  }

  public static func geluNorm(
    _ u: Matrix<Double>, bias: UnsafePointer<Double>, norm: Norm<Double>, normalised: Matrix<Double>,
    inverseDeviation: UnsafeMutablePointer<Double>, into h: Matrix<Double>, keep: Bool
  ) {
    gelu(u, bias: bias, into: h, keep: keep)
    let width = Double(u.columns)
    for r in 0..<u.rows {
      var mean = 0.0
      for c in 0..<u.columns { mean += h[r, c] / width }
      var variance = 0.0
      for c in 0..<u.columns { variance += (h[r, c] - mean) * (h[r, c] - mean) / width }
      inverseDeviation[r] = 1 / (variance + normEpsilon).squareRoot()
      for c in 0..<u.columns {
        normalised[r, c] = (h[r, c] - mean) * inverseDeviation[r]
        h[r, c] = normalised[r, c] * norm.scale[c] + norm.shift[c]
      }
    }
  }

  public static func geluBackward(
    _ gradient: Matrix<Double>, derivative: Matrix<Double>, biasGradient: UnsafeMutablePointer<Double>?
  ) {
    for r in 0..<gradient.rows {
      for c in 0..<gradient.columns {
        gradient[r, c] *= derivative[r, c]
        biasGradient?[c] += gradient[r, c]
      }
    }
  }

  public static func geluNormBackward(
    _ gradient: Matrix<Double>, derivative: Matrix<Double>, normalised: Matrix<Double>,
    inverseDeviation: UnsafePointer<Double>, scale: UnsafePointer<Double>,
    parameterGradients: HiddenGradients<Double>?
  ) {
    let width = Double(gradient.columns)
    for r in 0..<gradient.rows {
      // With x̂ the normalised features and ĝ = ∂L/∂x̂: ∂L/∂g = (ĝ − mean ĝ − x̂ · mean(ĝ·x̂)) / deviation.
      var mean = 0.0
      var projection = 0.0
      for c in 0..<gradient.columns {
        mean += gradient[r, c] * scale[c] / width
        projection += gradient[r, c] * scale[c] * normalised[r, c] / width
      }
      for c in 0..<gradient.columns {
        parameterGradients?.scale[c] += gradient[r, c] * normalised[r, c]
        parameterGradients?.shift[c] += gradient[r, c]
        let centred = gradient[r, c] * scale[c] - mean - normalised[r, c] * projection
        gradient[r, c] = centred * inverseDeviation[r] * derivative[r, c]
        parameterGradients?.bias[c] += gradient[r, c]
      }
    }
  }

  public static func geluNormTangent(
    _ tangent: Matrix<Double>, derivative: Matrix<Double>, normalised: Matrix<Double>,
    inverseDeviation: UnsafePointer<Double>, scale: UnsafePointer<Double>
  ) {
    let width = Double(tangent.columns)
    for r in 0..<tangent.rows {
      // With g the activations and x̂ the normalised ones: ∂x̂ = (∂g − mean ∂g − x̂ · mean(∂g·x̂)) /
      // deviation.
      var mean = 0.0
      var projection = 0.0
      for c in 0..<tangent.columns {
        tangent[r, c] *= derivative[r, c]
        mean += tangent[r, c] / width
        projection += tangent[r, c] * normalised[r, c] / width
      }
      for c in 0..<tangent.columns {
        let centred = tangent[r, c] - mean - normalised[r, c] * projection
        tangent[r, c] = centred * inverseDeviation[r] * scale[c]
      }
    }
  }

  public static func addBias(_ bias: UnsafePointer<Double>, to y: Matrix<Double>) {
    for r in 0..<y.rows {
      for c in 0..<y.columns { y[r, c] += bias[c] }
    }
  }

  public static func addColumnSums(of y: Matrix<Double>, to sums: UnsafeMutablePointer<Double>) {
    for r in 0..<y.rows {
      for c in 0..<y.columns { sums[c] += y[r, c] }
    }
  }

  public static func multiplyElements(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, into c: UnsafeMutablePointer<Double>, count: Int
  ) {
    for i in 0..<count { c[i] = a[i] * b[i] }
  }

  public static func addElementProducts(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, to c: UnsafeMutablePointer<Double>, count: Int
  ) {
    for i in 0..<count { c[i] += a[i] * b[i] }
  }

  public static func cosines(_ tau: Double, into c: UnsafeMutablePointer<Double>, count: Int) {
    for i in 0..<count { c[i] = cos(.pi * Double(i + 1) * tau) }
  }

  public static func add(_ b: UnsafePointer<Double>, to a: UnsafeMutablePointer<Double>, count: Int) {
    for i in 0..<count { a[i] += b[i] }
  }

  public static func sumOfSquares(_ x: UnsafePointer<Double>, count: Int) -> Double {
    var sum = 0.0
    for i in 0..<count { sum += x[i] * x[i] }
    return sum
  }

  private static func gelu(_ u: Double) -> (value: Double, slope: Double) {
    let t = tanh(geluSlope * (u + geluCubic * u * u * u))
    let inner = geluSlope * (1 + 3 * geluCubic * u * u)
    return (0.5 * u * (1 + t), 0.5 * (1 + t) + 0.5 * u * (1 - t * t) * inner)
  }
}

/// The sizes m, n, k of op(a) · op(b) → c, checked against all three matrices.
@discardableResult func productShape<T>(
  _ a: Matrix<T>, _ transposeA: Bool, _ b: Matrix<T>, _ transposeB: Bool, _ c: Matrix<T>
) -> (m: blasint, n: blasint, k: blasint) {
  let m = transposeA ? a.columns : a.rows
  let k = transposeA ? a.rows : a.columns
  let n = transposeB ? b.rows : b.columns
  precondition(
    (transposeB ? b.columns : b.rows) == k && c.rows == m && c.columns == n, "matrix sizes do not fit")
  return (blasint(m), blasint(n), blasint(k))
}
