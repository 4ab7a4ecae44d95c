import Kernels

/// What the layers of an encoder put out for some images, image by image.
final class EncoderActivations<T: Real> {
  let stacks: [StackActivations<T>]
  private let workspace = Workspace<T>()

  /// Memory for `images` images.
  init(_ shape: EncoderShape, images: Int) {
    let layers = shape.layers
    let sizes = layers.map { $0[0].convolution.pooledSize }
    stacks = zip(layers, sizes).map { [workspace] layers, size in
      let elements = (images * size + MemoryLayout<T>.stride - 1) / MemoryLayout<T>.stride
      let bytes = UnsafeMutableRawPointer(workspace.vector(elements))
      return StackActivations(
        size: size, outputs: layers.map { _ in workspace.vector(images * size) },
        winners: bytes.assumingMemoryBound(to: UInt8.self))
    }
  }
}

/// What the layers of a stack put out.
struct StackActivations<T: Real> {
  /// Elements of an image's output: the same for all layers, as the first is pooled.
  let size: Int
  fileprivate let outputs: [UnsafeMutablePointer<T>]
  fileprivate let winners: UnsafeMutablePointer<UInt8>

  /// The output of a layer for an image.
  func output(_ layer: Int, _ image: Int) -> UnsafeMutablePointer<T> { outputs[layer] + image * size }
  /// The output of the stack for an image.
  func lastOutput(_ image: Int) -> UnsafeMutablePointer<T> { output(outputs.count - 1, image) }
  /// Which places the pool of the first layer took, for an image.
  func winners(_ image: Int) -> UnsafeMutablePointer<UInt8> { winners + image * size }
}

/// Memory that encoders of the same sizes share, as only one of them is at work at a time.
public final class EncoderScratch<T: Real> {
  /// Images whose dense layer is computed at once where activations are not kept.
  let tile: Int
  /// Images that go through the convolutions at once: few, whose activations stay in the cache.
  let group: Int
  /// What the kernels need.
  let kernels: UnsafeMutablePointer<T>
  /// Of a group of images, whose activations are not kept.
  let activations: EncoderActivations<T>
  /// The input of the dense layer for a tile, or its gradient.
  let flat: Matrix<T>
  /// The dense layer's products for a tile.
  let preactivation: Matrix<T>
  /// The gradient inside a block of a group of images.
  let hiddenGradient: UnsafeMutablePointer<T>
  /// The gradients by the outputs of two successive stacks for a group of images.
  let stackGradients: [UnsafeMutablePointer<T>]
  private let workspace = Workspace<T>()
  private static var imagesAtOnce: Int { 4 }

  /// - Parameter rows: the most images of a moment; for none, no memory is taken.
  public init(_ shape: EncoderShape, rows: Int) {
    let layers = shape.layers.joined().map(\.convolution)
    let largest = shape.layers.map { $0[0].convolution.pooledSize }.max() ?? 0
    tile = min(64, rows)
    group = min(Self.imagesAtOnce, rows)
    kernels = workspace.vector(rows > 0 ? layers.map(\.scratchSize).max() ?? 0 : 0)
    activations = EncoderActivations(shape, images: group)
    flat = workspace.matrix(rows: tile, columns: shape.flatSize)
    preactivation = workspace.matrix(rows: tile, columns: shape.features)
    hiddenGradient = workspace.vector(group * largest)
    stackGradients = [workspace.vector(group * largest), workspace.vector(group * largest)]
  }
}
