import CConvolutions

/// The sizes of a 3 × 3 convolution with stride 1 and zero padding 1. Its output has the height and the width
/// of its input.
///
/// Images lie in memory one behind the other, each as (row, column, channel). Weights lie as (3, 3, input,
/// output). With x outside the image taken as 0,
///
///     y[r, c, o] = bias[o] + Σ x[r + i − 1, c + j − 1, k] · weights[i, j, k, o]  over i, j < 3 and all k.
///
/// A *pooled* convolution is followed by a 3 × 3 max pool with stride 2, which halves height and width,
/// rounded up. Place (r, c) of the pooled image is the largest of the up to nine places of its window, whose
/// first row is 2r − rowsBefore and whose first column is 2c − columnsBefore; places outside the image never
/// win. Place (i, j) of a window has the number 3i + j. The *winner* of a window is the number of its largest
/// place, the lowest of equal ones. NaN wins and passes every relu, so that it shows in what comes out.
public struct Convolution: Hashable, Sendable {
  /// The rows of an image.
  public let height: Int
  /// The columns of an image.
  public let width: Int
  /// The channels of the input.
  public let inputs: Int
  /// The channels of the output.
  public let outputs: Int

  /// Describes a convolution; all sizes are at least 1.
  public init(height: Int, width: Int, inputs: Int, outputs: Int) {
    precondition(min(height, width, inputs, outputs) > 0, "a convolution needs positive sizes")
    self.height = height
    self.width = width
    self.inputs = inputs
    self.outputs = outputs
  }

  /// The elements of an input image.
  public var inputSize: Int { height * width * inputs }
  /// The elements of an output image.
  public var outputSize: Int { height * width * outputs }
  /// The elements of the weights.
  public var weightCount: Int { 9 * inputs * outputs }
  /// The additions and multiplications of an image's forward pass, and of each of its two gradients.
  public var operations: Int { 2 * weightCount * height * width }

  /// The rows of a pooled image.
  public var pooledHeight: Int { (height + 1) / 2 }
  /// The columns of a pooled image.
  public var pooledWidth: Int { (width + 1) / 2 }
  /// The elements of a pooled image.
  public var pooledSize: Int { pooledHeight * pooledWidth * outputs }
  /// The rows of the first windows that lie above the image: 0 for an even height, 1 for an odd one.
  public var rowsBefore: Int { height % 2 }
  /// The columns of the first windows that lie left of the image.
  public var columnsBefore: Int { width % 2 }

  /// The elements of the scratch memory that each of the kernels needs, whatever the number of images.
  public var scratchSize: Int { max(outputSize, convolution_scratch(sizes)) }

  var sizes: convolution {
    convolution(height: height, width: width, inputs: inputs, outputs: outputs)
  }
}

/// What a convolution reads, in images of `Convolution.inputSize` elements.
public enum ConvolutionInput<T: Real> {
  /// Bytes, each divided by 255.
  case bytes(UnsafePointer<UInt8>)
  /// Numbers as they are.
  case numbers(UnsafePointer<T>)
  /// The positive parts of numbers: relu(x).
  case positiveParts(UnsafePointer<T>)
}

/// The gradient of a loss by what a convolution put out.
public enum ConvolutionGradient<T: Real> {
  /// By the output, in images of `Convolution.outputSize` elements.
  case whole(UnsafePointer<T>)
  /// By the pooled output, in images of `Convolution.pooledSize` elements, and the winner of each window.
  case pooled(UnsafePointer<T>, winners: UnsafePointer<UInt8>)
}
