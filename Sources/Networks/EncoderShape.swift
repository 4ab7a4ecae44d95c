import Kernels

/// The sizes of a residual convolutional encoder of images (arXiv 1802.01561, figure 3).
///
/// It divides bytes by 255. Then come the stacks: convolution 3 × 3, max pool 3 × 3 with stride 2, and residual blocks
/// x ← conv(relu(conv(relu(x)))) + x. After the last stack: relu, a dense layer, GELU.
public struct EncoderShape: Sendable, Equatable {
  /// Rows of an image.
  public let height: Int
  /// Columns of an image.
  public let width: Int
  /// Channels of an image: 3 for each frame.
  public let channels: Int
  /// Channels of each stack.
  public let stacks: [Int]
  /// Residual blocks of a stack.
  public let blocks: Int
  /// What the encoder puts out for an image.
  public let features: Int

  /// An encoder of these sizes.
  public init(height: Int, width: Int, channels: Int, stacks: [Int], blocks: Int, features: Int) {
    self.height = height
    self.width = width
    self.channels = channels
    self.stacks = stacks
    self.blocks = blocks
    self.features = features
  }

  /// A convolution with its number in the stack, such as `stack0/conv2`.
  struct Layer {
    let name: String
    let convolution: Convolution
  }

  /// The convolutions of each stack: first the pooled one, then two for each block.
  var layers: [[Layer]] {
    var (height, width, inputs) = (height, width, channels)
    return stacks.enumerated().map { stack, outputs in
      let pooled = Convolution(height: height, width: width, inputs: inputs, outputs: outputs)
      (height, width, inputs) = (pooled.pooledHeight, pooled.pooledWidth, outputs)
      let inBlock = Convolution(height: height, width: width, inputs: outputs, outputs: outputs)
      let all = [pooled] + Array(repeating: inBlock, count: 2 * blocks)
      return all.enumerated().map { Layer(name: "stack\(stack)/conv\($0)", convolution: $1) }
    }
  }

  /// Inputs of the dense layer: places and channels of the last stack.
  var flatSize: Int { layers.last?.last?.convolution.outputSize ?? 0 }

  private var denseOperations: Int { 2 * flatSize * features }

  /// Multiplications and additions of the forward pass for one image, and of its gradient by the weights.
  public var operationsPerImage: Int {
    denseOperations + layers.joined().reduce(0) { $0 + $1.convolution.operations }
  }

  /// Those of the gradient by the inputs of all layers but the first, whose input is the image.
  var inputOperationsPerImage: Int {
    operationsPerImage - (layers.first?.first?.convolution.operations ?? 0)
  }

  /// The tensors in the order in which they lie in the flat vector: name, sizes and what they start as.
  var tensors: [(name: String, shape: [Int], initialiser: TensorSlot.Initialiser)] {
    var tensors: [(String, [Int], TensorSlot.Initialiser)] = []
    for layer in layers.joined() {
      let (inputs, outputs) = (layer.convolution.inputs, layer.convolution.outputs)
      tensors.append(
        ("\(layer.name)/weight", [3, 3, inputs, outputs], .glorotUniform(scale: 1, positions: 9)))
      tensors.append(("\(layer.name)/bias", [outputs], .zeros))
    }
    tensors.append(("dense0/weight", [flatSize, features], .glorotUniform(scale: 1)))
    tensors.append(("dense0/bias", [features], .zeros))
    return tensors
  }
}
