/// The kernels of convolutions in single precision.
extension Float {
  public static func convolve(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Float>, weights: UnsafePointer<Float>,
    bias: UnsafePointer<Float>, adding residual: UnsafePointer<Float>?, into y: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    ConvolutionKernels.chosen.convolve(
      shape, images: images, x, weights: weights, bias: bias, adding: residual, into: y, scratch: scratch)
  }

  public static func convolveAndPool(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Float>, weights: UnsafePointer<Float>,
    bias: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, winners: UnsafeMutablePointer<UInt8>?,
    scratch: UnsafeMutablePointer<Float>
  ) {
    ConvolutionKernels.chosen.convolveAndPool(
      shape, images: images, x, weights: weights, bias: bias, into: y, winners: winners, scratch: scratch)
  }

  public static func addConvolutionGradients(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Float>, gradient: ConvolutionGradient<Float>,
    weights: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    ConvolutionKernels.chosen.addGradients(
      shape, images: images, x, gradient: gradient, weights: weights, bias: bias, scratch: scratch)
  }

  public static func convolutionInputGradient(
    _ shape: Convolution, images: Int, gradient: ConvolutionGradient<Float>, weights: UnsafePointer<Float>,
    positivePartsOf x: UnsafePointer<Float>?, into dx: UnsafeMutablePointer<Float>, accumulate: Bool,
    scratch: UnsafeMutablePointer<Float>
  ) {
    ConvolutionKernels.chosen.inputGradient(
      shape, images: images, gradient: gradient, weights: weights, positivePartsOf: x, into: dx,
      accumulate: accumulate, scratch: scratch)
  }

  public static func positiveParts(
    of x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int
  ) {
    forEachLanes(count) { j, n in
      let value = load(x, j, n)
      store(value.replacing(with: 0, where: value .<= 0), y, j, n)
    }
  }

  public static func positivePartsBackward(
    _ gradient: UnsafeMutablePointer<Float>, of x: UnsafePointer<Float>, count: Int
  ) {
    forEachLanes(count) { j, n in
      store(load(gradient, j, n).replacing(with: 0, where: load(x, j, n) .<= 0), gradient, j, n)
    }
  }
}
