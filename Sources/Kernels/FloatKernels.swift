import COpenBLAS

/// The kernels that train: single precision, vectorised, each row kept in the first-level cache.
extension Float: Real {
  public static func multiply(
    _ a: Matrix<Float>, transposed transposeA: Bool, _ b: Matrix<Float>, transposed transposeB: Bool,
    into c: Matrix<Float>, accumulate: Bool
  ) {
    let shape = productShape(a, transposeA, b, transposeB, c)
    cblas_sgemm(
      CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
      shape.m, shape.n, shape.k, 1, a.base, blasint(a.stride), b.base, blasint(b.stride),
      accumulate ? 1 : 0, c.base, blasint(c.stride))
  }

  public static func gelu(
    _ u: Matrix<Float>, bias: UnsafePointer<Float>, into h: Matrix<Float>, keep: Bool
  ) {
    let w = u.columns
    for r in 0..<u.rows {
      let (uRow, hRow) = (u.row(r), h.row(r))
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        let (value, slope) = geluLanes(load(uRow, j, w) + load(bias, j, w))
        store(value, hRow, j, w)
        if keep { store(slope, uRow, j, w) }
      }
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
      var sum = Lanes.zero
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        let (value, slope) = geluLanes(load(uRow, j, w) + load(bias, j, w))
        store(value, hRow, j, w)
        if keep { store(slope, uRow, j, w) }
        sum += value  // g(0) = 0: lanes beyond the row add nothing
      }
      let mean = Lanes(repeating: sum.sum() * perFeature)
      var squares = Lanes.zero
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        let centred = load(hRow, j, w, else: mean) - mean
        squares.addProduct(centred, centred)
      }
      let inverse = 1 / (squares.sum() * perFeature + Float(normEpsilon)).squareRoot()
      if keep { inverseDeviation[r] = inverse }
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        let x = (load(hRow, j, w) - mean) * inverse
        if keep { store(x, nRow, j, w) }
        store(load(norm.shift, j, w).addingProduct(x, load(norm.scale, j, w)), hRow, j, w)
      }
    }
  }

  public static func geluBackward(
    _ gradient: Matrix<Float>, derivative: Matrix<Float>, biasGradient: UnsafeMutablePointer<Float>?
  ) {
    let w = gradient.columns
    for r in 0..<gradient.rows {
      let (gRow, dRow) = (gradient.row(r), derivative.row(r))
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        let g = load(gRow, j, w) * load(dRow, j, w)
        store(g, gRow, j, w)
        if let biasGradient { store(load(biasGradient, j, w) + g, biasGradient, j, w) }
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
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        let g = load(gRow, j, w)
        let x = load(nRow, j, w)
        let scaled = g * load(scale, j, w)
        sum += scaled
        products.addProduct(scaled, x)
        if let sums = parameterGradients {
          store(load(sums.scale, j, w).addingProduct(g, x), sums.scale, j, w)
          store(load(sums.shift, j, w) + g, sums.shift, j, w)
        }
      }
      let mean = sum.sum() * perFeature
      let projection = Lanes(repeating: products.sum() * perFeature)
      let inverse = inverseDeviation[r]
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        let scaled = load(gRow, j, w) * load(scale, j, w) - mean
        let centred = scaled - load(nRow, j, w) * projection
        let g = centred * inverse * load(dRow, j, w)
        store(g, gRow, j, w)
        if let sums = parameterGradients { store(load(sums.bias, j, w) + g, sums.bias, j, w) }
      }
    }
  }

  public static func addBias(_ bias: UnsafePointer<Float>, to y: Matrix<Float>) {
    let w = y.columns
    for r in 0..<y.rows {
      let row = y.row(r)
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        store(load(row, j, w) + load(bias, j, w), row, j, w)
      }
    }
  }

  public static func addColumnSums(of y: Matrix<Float>, to sums: UnsafeMutablePointer<Float>) {
    let w = y.columns
    for r in 0..<y.rows {
      let row = y.row(r)
      for j in stride(from: 0, to: w, by: Lanes.scalarCount) {
        store(load(sums, j, w) + load(row, j, w), sums, j, w)
      }
    }
  }

  public static func add(_ b: UnsafePointer<Float>, to a: UnsafeMutablePointer<Float>, count: Int) {
    for j in stride(from: 0, to: count, by: Lanes.scalarCount) {
      store(load(a, j, count) + load(b, j, count), a, j, count)
    }
  }

  public static func sumOfSquares(_ x: UnsafePointer<Float>, count: Int) -> Double {
    // Blocks short enough for single precision, their sums in double.
    let block = 1024
    var total = 0.0
    for start in stride(from: 0, to: count, by: block) {
      let end = Swift.min(start + block, count)
      var sum = Lanes.zero
      for j in stride(from: start, to: end, by: Lanes.scalarCount) {
        let value = load(x, j, end)
        sum.addProduct(value, value)
      }
      total += Double(sum.sum())
    }
    return total
  }

  public static func moveTarget(
    _ target: UnsafeMutablePointer<Float>, toward online: UnsafePointer<Float>, tau: Float, count: Int
  ) {
    for j in stride(from: 0, to: count, by: Lanes.scalarCount) {
      let kept = load(target, j, count) * (1 - tau)
      store(kept.addingProduct(load(online, j, count), Lanes(repeating: tau)), target, j, count)
    }
  }

  public static func adam(
    _ parameters: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
    firstMoment: UnsafeMutablePointer<Float>, secondMoment: UnsafeMutablePointer<Float>,
    _ step: AdamStep<Float>, count: Int
  ) {
    let complement1 = Lanes(repeating: 1 - step.beta1)
    let complement2 = Lanes(repeating: 1 - step.beta2)
    for j in stride(from: 0, to: count, by: Lanes.scalarCount) {
      let g = load(gradient, j, count)
      let m = (load(firstMoment, j, count) * step.beta1).addingProduct(complement1, g)
      let v = (load(secondMoment, j, count) * step.beta2).addingProduct(complement2, g * g)
      let root = (v * step.secondCorrection).squareRoot() + step.epsilon
      store(m, firstMoment, j, count)
      store(v, secondMoment, j, count)
      store(load(parameters, j, count) - step.rate * m / root, parameters, j, count)
    }
  }
}

/// GELU and its slope. With y = 2√(2/π)·(u + 0.044715·u³): ½(1 + tanh(y/2)) = 1 / (1 + e^−y) = s, so
/// g = u·s and g′ = s + g·(1 − s)·y′.
@inline(__always)
private func geluLanes(_ u: Lanes) -> (value: Lanes, slope: Lanes) {
  let slope = Float(2 * geluSlope)
  let cubic = Float(2 * geluSlope * geluCubic)
  let square = u * u
  let y = u * square.timesPlus(Lanes(repeating: cubic), slope)
  let s = 1 / (1 + exponential(-y))
  let value = u * s
  let inner = square.timesPlus(Lanes(repeating: 3 * cubic), slope)
  return (value, s.addingProduct(value * (1 - s), inner))
}

/// Elements j … j + 15 of an array of `count`, with `padding` beyond its end.
@inline(__always)
private func load(
  _ base: UnsafePointer<Float>, _ j: Int, _ count: Int, else padding: Lanes = .zero
) -> Lanes {
  if j + Lanes.scalarCount <= count {
    return UnsafeRawPointer(base + j).loadUnaligned(as: Lanes.self)
  }
  var lanes = padding
  for i in 0..<(count - j) { lanes[i] = base[j + i] }
  return lanes
}

/// Stores to elements j … j + 15 of an array of `count`, nothing beyond its end.
@inline(__always)
private func store(_ lanes: Lanes, _ base: UnsafeMutablePointer<Float>, _ j: Int, _ count: Int) {
  if j + Lanes.scalarCount <= count {
    UnsafeMutableRawPointer(base + j).storeBytes(of: lanes, as: Lanes.self)
  } else {
    for i in 0..<(count - j) { base[j + i] = lanes[i] }
  }
}
