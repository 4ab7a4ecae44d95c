/// The arithmetic of networks, in single or double precision.
///
/// `Double` conforms with plain loops that spell the formulas out; they are the definition, and gradients are
/// checked with them. `Float` conforms with vectorised kernels, for training. Tests compare the kernels of
/// `Float` with those of `Double`.
///
/// In the shapes below, n is the number of rows (samples) and w the number of columns (features). GELU is the
/// tanh approximation g(u) = u/2 · (1 + tanh(√(2/π)·(u + 0.044715·u³))).
public protocol Real: BinaryFloatingPoint, Sendable {
  /// The hyperbolic tangent.
  static func tanh(_ x: Self) -> Self
  /// The exponential function.
  static func exp(_ x: Self) -> Self
  /// The natural logarithm.
  static func log(_ x: Self) -> Self

  /// c ← op(a) · op(b), or c ← c + op(a) · op(b) if `accumulate`; op transposes where asked.
  static func multiply(
    _ a: Matrix<Self>, transposed: Bool, _ b: Matrix<Self>, transposed: Bool, into c: Matrix<Self>,
    accumulate: Bool)

  /// c ← aᵀ · b, summed chunk by chunk, if there is a kernel that does it in one pass; false otherwise. Others call
  /// `multiply(_:_:into:by:scratch:)`.
  static func multiplyAtOnce(
    _ a: Matrix<Self>, _ b: Matrix<Self>, into c: Matrix<Self>, by chunks: ChunkedRows
  ) -> Bool

  /// c ← aᵀ · b, or c ← c + aᵀ · b if `accumulate`, as for the gradient of weights. Returns `sumOfSquares` of c, whose
  /// rows are contiguous.
  static func multiplyTransposed(
    _ a: Matrix<Self>, _ b: Matrix<Self>, into c: Matrix<Self>, accumulate: Bool
  ) -> Double

  /// h ← g(u + bias), for n × w matrices. With `keep`, u becomes g′(u + bias), which the backward pass needs.
  static func gelu(_ u: Matrix<Self>, bias: UnsafePointer<Self>, into h: Matrix<Self>, keep: Bool)

  /// h ← LayerNorm(g(u + bias)) = x̂ · scale + shift with x̂ = (g − mean)·(variance + 10⁻⁶)^−½, mean and
  /// variance over the features.
  ///
  /// With `keep`, u becomes g′(u + bias), `normalised` (n × w) becomes x̂, and `inverseDeviation` (n) becomes
  /// (variance + 10⁻⁶)^−½. Without `keep`, the contents of `normalised` and `inverseDeviation` are undefined
  /// afterwards.
  static func geluNorm(
    _ u: Matrix<Self>, bias: UnsafePointer<Self>, norm: Norm<Self>, normalised: Matrix<Self>,
    inverseDeviation: UnsafeMutablePointer<Self>, into h: Matrix<Self>, keep: Bool)

  /// Turns the gradient with respect to h into that with respect to u, in place; both are n × w. `derivative`
  /// is the u that `gelu` kept. Adds the column sums to `biasGradient` (w) unless it is nil.
  static func geluBackward(
    _ gradient: Matrix<Self>, derivative: Matrix<Self>, biasGradient: UnsafeMutablePointer<Self>?)

  /// Turns the gradient with respect to h into that with respect to u for `geluNorm`, in place, from what its
  /// forward pass kept. Adds the gradients of bias, scale and shift to `parameterGradients` unless it is nil.
  static func geluNormBackward(
    _ gradient: Matrix<Self>, derivative: Matrix<Self>, normalised: Matrix<Self>,
    inverseDeviation: UnsafePointer<Self>, scale: UnsafePointer<Self>,
    parameterGradients: HiddenGradients<Self>?)

  /// Forward mode: turns the derivative of u into that of h = `geluNorm`, in place, from what its forward
  /// pass kept. (Without a norm, `geluBackward` without `biasGradient` does the same: both are products with
  /// the slope.)
  static func geluNormTangent(
    _ tangent: Matrix<Self>, derivative: Matrix<Self>, normalised: Matrix<Self>,
    inverseDeviation: UnsafePointer<Self>, scale: UnsafePointer<Self>)

  /// Adds `bias` (w) to every row.
  static func addBias(_ bias: UnsafePointer<Self>, to y: Matrix<Self>)

  /// sums (w) ← sums + the sums of the columns of y (n × w).
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

  /// y ← the convolution of x, plus `residual` unless it is nil. `y` and `residual` have images of
  /// `shape.outputSize` elements. `y` overlaps no other memory.
  ///
  /// An image gets the same bits alone and among others; that holds for all kernels of convolutions.
  /// `scratch` is memory of `shape.scratchSize` elements with any contents, here and below.
  static func convolve(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Self>, weights: UnsafePointer<Self>,
    bias: UnsafePointer<Self>, adding residual: UnsafePointer<Self>?, into y: UnsafeMutablePointer<Self>,
    scratch: UnsafeMutablePointer<Self>)

  /// y ← the pooled convolution of x. `y` and `winners` have images of `shape.pooledSize` elements. Writes the
  /// winner of each window unless `winners` is nil.
  static func convolveAndPool(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Self>, weights: UnsafePointer<Self>,
    bias: UnsafePointer<Self>, into y: UnsafeMutablePointer<Self>, winners: UnsafeMutablePointer<UInt8>?,
    scratch: UnsafeMutablePointer<Self>)

  /// Adds the gradients of the convolution of x by its weights and bias, summed over the images, to `weights`
  /// and `bias`. The bits are those of one call for each image, in order.
  static func addConvolutionGradients(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Self>, gradient: ConvolutionGradient<Self>,
    weights: UnsafeMutablePointer<Self>, bias: UnsafeMutablePointer<Self>,
    scratch: UnsafeMutablePointer<Self>)

  /// dx ← the gradient by the input, or dx ← dx + that gradient if `accumulate`. With `x`, whose positive
  /// parts were convolved, the gradient is that by x: it is 0 where x ≤ 0. `x` and `dx` have images of
  /// `shape.inputSize` elements; `dx` overlaps no other memory.
  static func convolutionInputGradient(
    _ shape: Convolution, images: Int, gradient: ConvolutionGradient<Self>, weights: UnsafePointer<Self>,
    positivePartsOf x: UnsafePointer<Self>?, into dx: UnsafeMutablePointer<Self>, accumulate: Bool,
    scratch: UnsafeMutablePointer<Self>)

  /// y ← relu(x) over `count` elements.
  static func positiveParts(
    of x: UnsafePointer<Self>, into y: UnsafeMutablePointer<Self>, count: Int)

  /// Turns the gradient by relu(x) into that by x, in place: it becomes 0 where x ≤ 0.
  static func positivePartsBackward(
    _ gradient: UnsafeMutablePointer<Self>, of x: UnsafePointer<Self>, count: Int)

  /// Σ x² in double precision. It is not finite exactly if an x is not finite or its square overflows.
  static func sumOfSquares(_ x: UnsafePointer<Self>, count: Int) -> Double
}

/// The learned scale and shift of a layer norm, w elements each.
public struct Norm<T: Real> {
  /// The factors of the normalised features.
  public let scale: UnsafePointer<T>
  /// The terms that are added to the scaled features.
  public let shift: UnsafePointer<T>
  /// Makes a view of scale and shift.
  public init(scale: UnsafePointer<T>, shift: UnsafePointer<T>) {
    self.scale = scale
    self.shift = shift
  }
}

/// The memory in which the gradients of a normalised hidden layer's vectors are accumulated, w elements each.
public struct HiddenGradients<T: Real> {
  /// The gradient of the dense layer's bias.
  public let bias: UnsafeMutablePointer<T>
  /// The gradient of the norm's scale.
  public let scale: UnsafeMutablePointer<T>
  /// The gradient of the norm's shift.
  public let shift: UnsafeMutablePointer<T>
  /// Makes a view of the three gradients.
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
/// The number that layer norm adds to the variance.
public let normEpsilon = 1e-6
