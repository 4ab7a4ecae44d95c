import COpenBLAS
import Glibc

/// Kernels in single precision, for training. They are vectorised, and keep each row in the first-level
/// cache.
extension Float: Real {
  public static func tanh(_ x: Float) -> Float { Glibc.tanhf(x) }
  public static func exp(_ x: Float) -> Float { Glibc.expf(x) }
  public static func log(_ x: Float) -> Float { Glibc.logf(x) }

  public static func multiply(
    _ a: Matrix<Float>, transposed transposeA: Bool, _ b: Matrix<Float>, transposed transposeB: Bool,
    into c: Matrix<Float>, accumulate: Bool
  ) {
    productShape(a, transposeA, b, transposeB, c)
    if !ProductKernels.reproduce,
      multiplyVector(a, transposeA, b, transposeB, into: c, accumulate: accumulate)
    {
      return
    }
    ProductKernels.chosen.multiply(
      a, transposed: transposeA, b, transposed: transposeB, into: c, accumulate: accumulate)
  }

  public static func multiplyAtOnce(
    _ a: Matrix<Float>, _ b: Matrix<Float>, into c: Matrix<Float>, by chunks: ChunkedRows
  ) -> Bool {
    ProductKernels.chosen.multiply(a, b, into: c, by: chunks)
  }

  public static func multiplyTransposed(
    _ a: Matrix<Float>, _ b: Matrix<Float>, into c: Matrix<Float>, accumulate: Bool
  ) -> Double {
    if c.columns > 1,
      let squares = ProductKernels.chosen.multiplyFewTerms(a, b, into: c, accumulate: accumulate)
    {
      return squares
    }
    multiply(a, transposed: true, b, transposed: false, into: c, accumulate: accumulate)
    return sumOfSquares(c.base, count: c.rows * c.columns)
  }

  /// Computes products in which one of the three sizes is 1, and returns true; returns false for other
  /// products. A general kernel would copy the whole matrix to use each element once.
  private static func multiplyVector(
    _ a: Matrix<Float>, _ transposeA: Bool, _ b: Matrix<Float>, _ transposeB: Bool, into c: Matrix<Float>,
    accumulate: Bool
  ) -> Bool {
    let kept: Float = accumulate ? 1 : 0
    if c.rows == 1 && !transposeA {
      // A row times a matrix, as for acting on a single observation.
      cblas_sgemv(
        CblasRowMajor, transposeB ? CblasNoTrans : CblasTrans, blasint(b.rows), blasint(b.columns), 1, b.base,
        blasint(b.stride), a.base, 1, kept, c.base, 1)
      return true
    }
    if c.columns == 1 && !transposeB {
      // A matrix times a column, as for the single output of a critic and for the gradient of its weights.
      cblas_sgemv(
        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, blasint(a.rows), blasint(a.columns), 1, a.base,
        blasint(a.stride), b.base, blasint(b.stride), kept, c.base, blasint(c.stride))
      return true
    }
    if a.columns == 1 && !transposeA && transposeB && b.stride == 1 && !accumulate {
      // A column times a row, as for the gradient of a critic's last hidden layer.
      for r in 0..<c.rows {
        let row = c.row(r)
        let factor = a[r, 0]
        forEachLanes(c.columns) { j, n in store(load(b.base, j, n) * factor, row, j, n) }
      }
      return true
    }
    return false
  }

  public static func gelu(
    _ u: Matrix<Float>, bias: UnsafePointer<Float>, into h: Matrix<Float>, keep: Bool
  ) {
    for r in 0..<u.rows { gelu(u.row(r), bias: bias, into: h.row(r), keep: keep, count: u.columns) }
  }

  /// `gelu` of one row. It is not inlined, because it runs slower among the variables of a larger function.
  @inline(never)
  private static func gelu(
    _ u: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>, into h: UnsafeMutablePointer<Float>,
    keep: Bool, count: Int
  ) {
    forEachLanes(count) { j, n in
      let (value, slope) = geluLanes(load(u, j, n) + load(bias, j, n))
      store(value, h, j, n)
      if keep { store(slope, u, j, n) }
    }
  }

  public static func geluNorm(
    _ u: Matrix<Float>, bias: UnsafePointer<Float>, norm: Norm<Float>, normalised: Matrix<Float>,
    inverseDeviation: UnsafeMutablePointer<Float>, into h: Matrix<Float>, keep: Bool
  ) {
    let w = u.columns
    let perFeature = 1 / Float(w)
    for r in 0..<u.rows {
      let (uRow, hRow, nRow) = (u.row(r), h.row(r), normalised.row(r))
      gelu(uRow, bias: bias, into: hRow, keep: keep, count: w)
      var sum = Lanes.zero
      forEachLanes(w) { j, n in sum += load(hRow, j, n) }
      let mean = Lanes(repeating: sum.sum() * perFeature)
      var squares = Lanes.zero
      forEachLanes(w) { j, n in
        let centred = load(hRow, j, n, else: mean) - mean
        squares.addProduct(centred, centred)
      }
      let inverse = 1 / (squares.sum() * perFeature + Float(normEpsilon)).squareRoot()
      if keep { inverseDeviation[r] = inverse }
      forEachLanes(w) { j, n in
        let x = (load(hRow, j, n) - mean) * inverse
        if keep { store(x, nRow, j, n) }
        store(load(norm.shift, j, n).addingProduct(x, load(norm.scale, j, n)), hRow, j, n)
      }
    }
  }

  public static func geluBackward(
    _ gradient: Matrix<Float>, derivative: Matrix<Float>, biasGradient: UnsafeMutablePointer<Float>?
  ) {
    let w = gradient.columns
    for r in 0..<gradient.rows {
      let (gRow, dRow) = (gradient.row(r), derivative.row(r))
      forEachLanes(w) { j, n in
        let g = load(gRow, j, n) * load(dRow, j, n)
        store(g, gRow, j, n)
        if let biasGradient { store(load(biasGradient, j, n) + g, biasGradient, j, n) }
      }
    }
  }

  public static func geluNormBackward(
    _ gradient: Matrix<Float>, derivative: Matrix<Float>, normalised: Matrix<Float>,
    inverseDeviation: UnsafePointer<Float>, scale: UnsafePointer<Float>,
    parameterGradients: HiddenGradients<Float>?
  ) {
    let w = gradient.columns
    let perFeature = 1 / Float(w)
    for r in 0..<gradient.rows {
      let (gRow, dRow, nRow) = (gradient.row(r), derivative.row(r), normalised.row(r))
      var sum = Lanes.zero
      var products = Lanes.zero
      forEachLanes(w) { j, n in
        let g = load(gRow, j, n)
        let x = load(nRow, j, n)
        let scaled = g * load(scale, j, n)
        sum += scaled
        products.addProduct(scaled, x)
        if let sums = parameterGradients {
          store(load(sums.scale, j, n).addingProduct(g, x), sums.scale, j, n)
          store(load(sums.shift, j, n) + g, sums.shift, j, n)
        }
      }
      let mean = sum.sum() * perFeature
      let projection = Lanes(repeating: products.sum() * perFeature)
      let inverse = inverseDeviation[r]
      forEachLanes(w) { j, n in
        let scaled = load(gRow, j, n) * load(scale, j, n) - mean
        let centred = scaled - load(nRow, j, n) * projection
        let g = centred * inverse * load(dRow, j, n)
        store(g, gRow, j, n)
        if let sums = parameterGradients { store(load(sums.bias, j, n) + g, sums.bias, j, n) }
      }
    }
  }

  public static func geluNormTangent(
    _ tangent: Matrix<Float>, derivative: Matrix<Float>, normalised: Matrix<Float>,
    inverseDeviation: UnsafePointer<Float>, scale: UnsafePointer<Float>
  ) {
    let w = tangent.columns
    let perFeature = 1 / Float(w)
    for r in 0..<tangent.rows {
      let (tRow, dRow, nRow) = (tangent.row(r), derivative.row(r), normalised.row(r))
      var sum = Lanes.zero
      var products = Lanes.zero
      forEachLanes(w) { j, n in
        let t = load(tRow, j, n) * load(dRow, j, n)
        store(t, tRow, j, n)
        sum += t
        products.addProduct(t, load(nRow, j, n))
      }
      let mean = sum.sum() * perFeature
      let projection = Lanes(repeating: products.sum() * perFeature)
      let inverse = inverseDeviation[r]
      forEachLanes(w) { j, n in
        let centred = load(tRow, j, n) - mean - load(nRow, j, n) * projection
        store(centred * inverse * load(scale, j, n), tRow, j, n)
      }
    }
  }

  public static func addBias(_ bias: UnsafePointer<Float>, to y: Matrix<Float>) {
    let w = y.columns
    for r in 0..<y.rows { sumRow(y.row(r), bias, into: y.row(r), count: w) }
  }

  /// c ← a + b. The outputs of networks have few columns, which are added one by one faster than they fill a
  /// vector.
  @inline(__always)
  private static func sumRow(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>, count: Int
  ) {
    if count < Lanes.scalarCount {
      for j in 0..<count { c[j] = a[j] + b[j] }
    } else {
      forEachLanes(count) { j, n in store(load(a, j, n) + load(b, j, n), c, j, n) }
    }
  }

  public static func addColumnSums(of y: Matrix<Float>, to sums: UnsafeMutablePointer<Float>) {
    let w = y.columns
    for r in 0..<y.rows { sumRow(sums, y.row(r), into: sums, count: w) }
  }

  public static func multiplyElements(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>, count: Int
  ) {
    forEachLanes(count) { j, n in store(load(a, j, n) * load(b, j, n), c, j, n) }
  }

  public static func addElementProducts(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, to c: UnsafeMutablePointer<Float>, count: Int
  ) {
    forEachLanes(count) { j, n in store(load(c, j, n).addingProduct(load(a, j, n), load(b, j, n)), c, j, n) }
  }

  public static func cosines(_ tau: Float, into c: UnsafeMutablePointer<Float>, count: Int) {
    let half = Lanes(repeating: tau / 2)
    forEachLanes(count) { j, n in
      // The angle in turns is i · τ/2. The fused product takes off whole turns before it rounds, because i ·
      // τ may have more bits than a Float.
      let i = Lanes(SIMD16<Int32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)) + Float(j + 1)
      let turns = i * half
      let whole = (turns + 12_582_912) - 12_582_912
      store(cosineSine(turns: (-whole).addingProduct(i, half)).cosine, c, j, n)
    }
  }

  public static func add(_ b: UnsafePointer<Float>, to a: UnsafeMutablePointer<Float>, count: Int) {
    @inline(__always) func body(_ j: Int, _ n: Int) {
      store(load(a, j, n) + load(b, j, n), a, j, n)
    }
    forEachLanes(count, body)
  }

  public static func sumOfSquares(_ x: UnsafePointer<Float>, count: Int) -> Double {
    // Sums over blocks, short enough for single precision, are added in double precision.
    let block = 1024
    var total = 0.0
    for start in stride(from: 0, to: count, by: block) {
      let end = Swift.min(start + block, count)
      var sum = Lanes.zero
      forEachLanes(end - start) { j, n in
        let value = load(x + start, j, n)
        sum.addProduct(value, value)
      }
      total += Double(sum.sum())
    }
    return total
  }
}

/// GELU and its derivative. With y = 2√(2/π)·(u + 0.044715·u³) and s = ½(1 + tanh(y/2)) = 1 / (1 + e^−y): g =
/// u·s and g′ = s + g·(1 − s)·y′.
@inlinable @inline(__always)
func geluLanes(_ u: Lanes) -> (value: Lanes, slope: Lanes) {
  let slope = Float(2 * geluSlope)
  let cubic = Float(2 * geluSlope * geluCubic)
  let perTurn = -Float(1.442_695_040_888_963_4)
  // Beyond ±10, s is 0 or 1 to single precision, and the cube stays finite.
  let x = u.limited(from: -10, to: 10)
  let square = x * x
  // −y / ln 2, so that e^−y is a power of two.
  let exponent = x * square.timesPlus(Lanes(repeating: cubic * perTurn), slope * perTurn)
  let s = 1 / (1 + powerOfTwo(exponent))
  let value = u * s
  let inner = square.timesPlus(Lanes(repeating: 3 * cubic), slope)
  return (value, s.addingProduct(value * (1 - s), inner))
}
