/// The arithmetic of networks, in one of two precisions.
///
/// `Double` conforms with plain loops that spell the formulas out: it is the definition, and what gradients
/// are checked in. `Float` conforms with vectorised kernels: it is what trains. Tests hold the second to the
/// first.
///
/// Letters: n rows (samples), w columns (features). GELU is the tanh approximation,
/// g(u) = u/2 · (1 + tanh(√(2/π)·(u + 0.044715·u³))).
public protocol Real: BinaryFloatingPoint, Sendable {
  /// The hyperbolic tangent.
  static func tanh(_ x: Self) -> Self
  /// The exponential function.
  static func exp(_ x: Self) -> Self
  /// The natural logarithm.
  static func log(_ x: Self) -> Self

  /// c ← op(a) · op(b), or c ← c + op(a) · op(b) when accumulating; op transposes where asked.
  static func multiply(
    _ a: Matrix<Self>, transposed: Bool, _ b: Matrix<Self>, transposed: Bool, into c: Matrix<Self>,
    accumulate: Bool)

  /// h ← g(u + bias), for n × w matrices. With `keep`, u becomes g′(u + bias), which the backward pass needs.
  static func gelu(_ u: Matrix<Self>, bias: UnsafePointer<Self>, into h: Matrix<Self>, keep: Bool)

  /// h ← LayerNorm(g(u + bias)) = x̂ · scale + shift, x̂ = (g − mean)·(variance + 10⁻⁶)^−½ over the features.
  ///
  /// With `keep`, u becomes g′(u + bias), and `normalised` (n × w) and `inverseDeviation` (n) what the names say;
  /// otherwise both are scratch.
  static func geluNorm(
    _ u: Matrix<Self>, bias: UnsafePointer<Self>, norm: Norm<Self>, normalised: Matrix<Self>,
    inverseDeviation: UnsafeMutablePointer<Self>, into h: Matrix<Self>, keep: Bool)

  /// From the gradient with respect to h to that with respect to u, in place in `gradient`; `derivative` is
  /// the u that `gelu` kept. Adds the column sums to `biasGradient` unless that is nil.
  static func geluBackward(
    _ gradient: Matrix<Self>, derivative: Matrix<Self>, biasGradient: UnsafeMutablePointer<Self>?)

  /// The same through `geluNorm`; `parameterGradients`, unless nil, receives the sums for bias, scale, shift.
  static func geluNormBackward(
    _ gradient: Matrix<Self>, derivative: Matrix<Self>, normalised: Matrix<Self>,
    inverseDeviation: UnsafePointer<Self>, scale: UnsafePointer<Self>,
    parameterGradients: HiddenGradients<Self>?)

  /// The other way, forward mode: from a change of u to that of h = `geluNorm`, in place in `tangent`, from what
  /// the forward pass kept. (Without a norm that is `geluBackward` without sums: a product with the slope.)
  static func geluNormTangent(
    _ tangent: Matrix<Self>, derivative: Matrix<Self>, normalised: Matrix<Self>,
    inverseDeviation: UnsafePointer<Self>, scale: UnsafePointer<Self>)

  /// Adds `bias` (w) to every row.
  static func addBias(_ bias: UnsafePointer<Self>, to y: Matrix<Self>)

  /// sums (w) ← sums + Σ over rows.
  static func addColumnSums(of y: Matrix<Self>, to sums: UnsafeMutablePointer<Self>)

  /// c ← a · b, element by element.
  static func multiplyElements(
    _ a: UnsafePointer<Self>, _ b: UnsafePointer<Self>, into c: UnsafeMutablePointer<Self>, count: Int)

  /// c ← c + a · b, element by element.
  static func addElementProducts(
    _ a: UnsafePointer<Self>, _ b: UnsafePointer<Self>, to c: UnsafeMutablePointer<Self>, count: Int)

  /// c_i ← cos(π · i · τ), i from 1 to `count`.
  static func cosines(_ tau: Self, into c: UnsafeMutablePointer<Self>, count: Int)

  /// a ← a + b over `count` elements.
  static func add(_ b: UnsafePointer<Self>, to a: UnsafeMutablePointer<Self>, count: Int)

  /// Σ x², accumulated in double precision; not finite exactly when some x is not (or overflows).
  static func sumOfSquares(_ x: UnsafePointer<Self>, count: Int) -> Double
}

/// The learned scale and shift of a layer norm, w each.
public struct Norm<T: Real> {
  /// Multiplies the normalised features.
  public let scale: UnsafePointer<T>
  /// Is added after that.
  public let shift: UnsafePointer<T>
  /// Scale and shift at these addresses.
  public init(scale: UnsafePointer<T>, shift: UnsafePointer<T>) {
    self.scale = scale
    self.shift = shift
  }
}

/// Where the gradients of a normalised hidden layer's vectors are accumulated, w each.
public struct HiddenGradients<T: Real> {
  /// The dense layer's bias.
  public let bias: UnsafeMutablePointer<T>
  /// The norm's scale.
  public let scale: UnsafeMutablePointer<T>
  /// The norm's shift.
  public let shift: UnsafeMutablePointer<T>
  /// Gradients at these addresses.
  public init(
    bias: UnsafeMutablePointer<T>, scale: UnsafeMutablePointer<T>, shift: UnsafeMutablePointer<T>
  ) {
    self.bias = bias
    self.scale = scale
    self.shift = shift
  }
}

/// √(2/π) of GELU's tanh approximation.
public let geluSlope = 0.797_884_560_802_865_4
/// The cubic coefficient of GELU's tanh approximation.
public let geluCubic = 0.044_715
/// What layer norm adds to the variance.
public let normEpsilon = 1e-6
