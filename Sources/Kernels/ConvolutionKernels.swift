import CConvolutions
import CProducts

/// The implementations of convolutions in single precision, all in `CConvolutions`. The first two give the
/// same bits.
public enum ConvolutionKernels: CaseIterable, Sendable {
  /// With AVX-512 registers of 16 floats.
  case avx512
  /// With AVX2 registers of 8 floats.
  case avx2
  /// With what the compiler makes of registers of 4 floats, on other processors.
  case portable

  /// The fastest kernels that this processor can run.
  public static let fastest: ConvolutionKernels =
    switch product_best() {
    case product_avx512: .avx512
    case product_avx2: .avx2
    default: .portable
    }

  /// The kernels that this processor can run, the fastest first.
  public static var usable: ArraySlice<ConvolutionKernels> {
    allCases.drop { $0 != fastest }
  }

  /// The kernels for the instruction set of the chosen products; the fastest ones if OpenBLAS computes those.
  static var chosen: ConvolutionKernels {
    switch ProductKernels.chosen {
    case .avx512: .avx512
    case .avx2: .avx2
    case .openBLAS: fastest
    }
  }

  private var instructions: product_instructions {
    switch self {
    case .avx512: product_avx512
    case .avx2: product_avx2
    case .portable: product_none
    }
  }

  /// `Float.convolve` with these kernels.
  public func convolve(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Float>, weights: UnsafePointer<Float>,
    bias: UnsafePointer<Float>, adding residual: UnsafePointer<Float>?, into y: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    CConvolutions.convolve(
      instructions, shape.sizes, images, x.inC, weights, bias, residual, y, scratch)
  }

  /// `Float.convolveAndPool` with these kernels.
  public func convolveAndPool(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Float>, weights: UnsafePointer<Float>,
    bias: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, winners: UnsafeMutablePointer<UInt8>?,
    scratch: UnsafeMutablePointer<Float>
  ) {
    convolve_and_pool(
      instructions, shape.sizes, images, x.inC, weights, bias, y, winners, scratch)
  }

  /// `Float.addConvolutionGradients` with these kernels.
  public func addGradients(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Float>, gradient: ConvolutionGradient<Float>,
    weights: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>
  ) {
    add_convolution_gradients(
      instructions, shape.sizes, images, x.inC, gradient.inC, weights, bias, scratch)
  }

  /// `Float.convolutionInputGradient` with these kernels.
  public func inputGradient(
    _ shape: Convolution, images: Int, gradient: ConvolutionGradient<Float>, weights: UnsafePointer<Float>,
    positivePartsOf x: UnsafePointer<Float>?, into dx: UnsafeMutablePointer<Float>, accumulate: Bool,
    scratch: UnsafeMutablePointer<Float>
  ) {
    convolution_input_gradient(
      instructions, shape.sizes, images, gradient.inC, weights, x, dx, accumulate, scratch)
  }
}

extension ConvolutionInput<Float> {
  fileprivate var inC: convolution_input {
    switch self {
    case .bytes(let x): convolution_input(elements: convolution_bytes, images: x)
    case .numbers(let x): convolution_input(elements: convolution_floats, images: x)
    case .positiveParts(let x): convolution_input(elements: convolution_positive_parts, images: x)
    }
  }
}

extension ConvolutionGradient<Float> {
  fileprivate var inC: convolution_gradient {
    switch self {
    case .whole(let dy): convolution_gradient(images: dy, winners: nil)
    case .pooled(let dy, let winners): convolution_gradient(images: dy, winners: winners)
    }
  }
}
