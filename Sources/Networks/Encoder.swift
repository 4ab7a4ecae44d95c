import Kernels
import Profiling

/// A network's encoder of images, with what it has encoded.
///
/// The images of a batch are of one or several moments, such as s and s′. Each moment is encoded once after `begin`, when
/// its features are first asked for. Moment 0 is the one whose gradient reaches the encoder: its activations are kept
/// for `backward`. Those of other moments are not. Images go through in groups of a few, so that what belongs to them stays
/// in the cache.
public final class Encoder<T: Real> {
  /// The encoder's sizes.
  public let shape: EncoderShape
  /// The gradient of the loss by the features of moment 0, rows × features. `backward` takes it, and `encode` clears it.
  let gradient: Matrix<T>
  /// Where the time and the operations of its passes are noted.
  public var profile = Profile()
  /// Whether all gradients of the last backward pass are finite.
  public private(set) var gradientIsFinite = true
  /// Whether somebody has added to `gradient` since `begin`.
  var hasGradient = false

  /// How sums over images are made by chunks; nil if they are made in the order of images.
  private var chunked: ChunkedGradients<T>?
  private let name: String
  private let trains: Bool
  private let stacks: [[EncoderLayer<T>]]
  private let dense: DenseLayer
  /// Operations of a forward pass of all convolutions for an image.
  private let convolutionOperations: Int
  private let start: Int
  private let tensors: [TensorSlot]
  /// The tensors whose gradients are added up, image by image or row by row.
  private let summed: [TensorSlot]
  /// The features of each moment, rows × features, and whether they are there.
  private let features: [Matrix<T>]
  private var isEncoded: [Bool]
  private var parameters: UnsafePointer<T>?
  private var images: UnsafePointer<UInt8>?
  private var rows = 0
  /// Of each image of moment 0, if the encoder trains: its activations, the relu of the last stack's output, and the
  /// slope of GELU.
  private let kept: EncoderActivations<T>
  private let flat: Matrix<T>
  private let slope: Matrix<T>
  private let scratch: EncoderScratch<T>
  private let workspace = Workspace<T>()

  /// - Parameters:
  ///   - network: a shape with an encoder.
  ///   - start: where the network's first parameter lies in the flat vector.
  ///   - rows: the most images of a moment.
  ///   - moments: how many moments there are.
  ///   - trains: whether backward passes follow.
  ///   - scratch: shared by encoders of the same sizes.
  public init(
    _ network: NetworkShape, start: Int, rows: Int, moments: Int, trains: Bool, scratch: EncoderScratch<T>
  ) {
    guard let shape = network.encoder else { preconditionFailure("\(network.name) has no encoder") }
    self.shape = shape
    self.start = start
    self.trains = trains
    self.scratch = scratch
    name = "\(network.name)/encoder"
    stacks = shape.layers.map { $0.map { EncoderLayer($0, of: network) } }
    convolutionOperations = shape.layers.joined().reduce(0) { $0 + $1.convolution.operations }
    dense = DenseLayer("encoder/dense0", inputs: shape.flatSize, outputs: shape.features, of: network)
    tensors = Array(network.encoderTensors)
    summed = tensors.filter { !$0.name.hasSuffix("encoder/dense0/weight") }
    let (workspace, keptRows) = (workspace, trains ? rows : 0)
    features = (0..<moments).map { _ in workspace.matrix(rows: rows, columns: shape.features) }
    isEncoded = Array(repeating: false, count: moments)
    gradient = workspace.matrix(rows: keptRows, columns: shape.features)
    slope = workspace.matrix(rows: keptRows, columns: shape.features)
    flat = workspace.matrix(rows: keptRows, columns: shape.flatSize)
    kept = EncoderActivations(shape, images: keptRows)
  }

  /// Makes backward passes sum over images by chunks. The gradient of each span then lies `slabLength` elements behind
  /// that of the one before.
  public func sum(by chunks: RowChunks, slabLength: Int) {
    guard trains else { return }
    let end = tensors.last.map { ParameterLayout.aligned($0.range.upperBound) } ?? 0
    chunked = ChunkedGradients(chunks, slabLength: slabLength, count: end, width: 0)
  }

  // MARK: Forward

  /// Forgets what was encoded.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the following passes; nil if there are none.
  ///   - rows: images of each moment.
  public func begin(_ parameters: UnsafePointer<T>?, rows: Int) {
    self.parameters = parameters.map { $0 + start }
    self.rows = rows
    for moment in isEncoded.indices { isEncoded[moment] = false }
    hasGradient = false
  }

  /// The features of a moment's images, which are encoded unless they have been since `begin`.
  ///
  /// - Parameter images: the images of the moment, one behind the other.
  @specialized(where T == Float)
  func encode(_ images: UnsafePointer<UInt8>, moment: Int) -> Matrix<T> {
    if !isEncoded[moment] {
      isEncoded[moment] = true
      if profile.isOn { profile.work.add(encoded: rows, shape) }
      if moment == 0 && trains {
        self.images = images
        gradient.base.update(repeating: 0, count: rows * shape.features)
        encodeAndKeep(images)
      } else {
        encodeInTiles(images, into: features[moment])
      }
    }
    return features[moment]
  }

  private func encodeAndKeep(_ images: UnsafePointer<UInt8>) {
    forEachGroup(of: 0..<rows) {
      convolve(images, $0, kept, at: $0.lowerBound, keep: true, into: flat.rows($0))
    }
    applyDense(flat.rows(0..<rows), slope.rows(0..<rows), into: features[0].rows(0..<rows), keep: true)
  }

  private func encodeInTiles(_ images: UnsafePointer<UInt8>, into features: Matrix<T>) {
    for first in stride(from: 0, to: rows, by: max(1, scratch.tile)) {
      let tile = first..<min(first + scratch.tile, rows)
      forEachGroup(of: tile) { group in
        convolve(
          images, group, scratch.activations, at: 0, keep: false,
          into: scratch.flat.rows(group.lowerBound - first..<group.upperBound - first))
      }
      let used = 0..<tile.count
      applyDense(
        scratch.flat.rows(used), scratch.preactivation.rows(used), into: features.rows(tile), keep: false)
    }
  }

  /// Calls `body` for the groups of some images, in order.
  @inline(__always)
  private func forEachGroup(of images: Range<Int>, _ body: (Range<Int>) -> Void) {
    for first in stride(from: images.lowerBound, to: images.upperBound, by: max(1, scratch.group)) {
      body(first..<min(first + scratch.group, images.upperBound))
    }
  }

  /// flat ← relu of the last stack's output for a group of images, whose activations are written from `place` on.
  private func convolve(
    _ images: UnsafePointer<UInt8>, _ group: Range<Int>, _ activations: EncoderActivations<T>, at place: Int,
    keep: Bool, into flat: Matrix<T>
  ) {
    guard let parameters else { preconditionFailure("\(name) has not begun") }
    var input = ConvolutionInput<T>.bytes(images + group.lowerBound * stacks[0][0].shape.inputSize)
    let count = group.count
    profile.time(.convolutions) {
      for (layers, results) in zip(stacks, activations.stacks) {
        layers[0].pool(
          count, input, parameters, into: results.output(0, place),
          winners: keep ? results.winners(place) : nil,
          scratch.kernels)
        var x = results.output(0, place)
        for layer in stride(from: 1, to: layers.count, by: 2) {
          let (h, y) = (results.output(layer, place), results.output(layer + 1, place))
          layers[layer].convolve(count, .positiveParts(x), parameters, adding: nil, into: h, scratch.kernels)
          layers[layer + 1].convolve(
            count, .positiveParts(h), parameters, adding: x, into: y, scratch.kernels)
          x = y
        }
        input = .numbers(x)
      }
      if case .numbers(let y) = input {
        T.positiveParts(of: y, into: flat.base, count: count * flat.columns)
      }
    }
    profile.countOperations(count * convolutionOperations)
  }

  private func applyDense(_ x: Matrix<T>, _ u: Matrix<T>, into h: Matrix<T>, keep: Bool) {
    guard let parameters else { preconditionFailure("\(name) has not begun") }
    profile.product(x, dense.weight(parameters, 0), into: u)
    profile.time(.elementwise) { T.gelu(u, bias: dense.bias(parameters, 0), into: h, keep: keep) }
  }

  // MARK: Backward

  /// From `gradient` to the gradients of the encoder's parameters, which are overwritten; nothing if `gradient` has not
  /// been added to since `begin`.
  ///
  /// - Parameter gradients: the flat gradient.
  @specialized(where T == Float)
  public func backward(into gradients: UnsafeMutablePointer<T>) {
    guard hasGradient, let parameters, let images else {
      gradientIsFinite = true
      return
    }
    if profile.isOn { profile.work.add(backwardThroughEncoder: rows, shape) }
    let gradients = gradients + start
    gradientIsFinite = true
    guard let chunked else { return backward(parameters, images, 0..<rows, into: gradients) }
    for chunk in 0..<chunked.rows.count {
      let rows = chunked.rows.rows(of: chunk)
      backward(parameters, images, rows, into: chunked.ofChunk)
      profile.time(.elementwise) { chunked.end(rows, into: gradients) }
    }
  }

  /// The sums over some images.
  private func backward(
    _ parameters: UnsafePointer<T>, _ images: UnsafePointer<UInt8>, _ rows: Range<Int>,
    into gradients: UnsafeMutablePointer<T>
  ) {
    for tensor in summed {
      (gradients + tensor.offset).update(repeating: 0, count: tensor.count)
    }
    let du = gradient.rows(rows)
    profile.time(.elementwise) {
      T.geluBackward(du, derivative: slope.rows(rows), biasGradient: dense.bias(gradients, 0))
    }
    profile.product(flat.rows(rows), du, transposingA: true, into: dense.weight(gradients, 0))
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: max(1, scratch.tile)) {
      let tile = first..<min(first + scratch.tile, rows.upperBound)
      profile.product(
        gradient.rows(tile), dense.weight(parameters, 0), transposingB: true,
        into: scratch.flat.rows(0..<tile.count))
      forEachGroup(of: tile) { group in
        let dy = scratch.flat.row(group.lowerBound - first)
        backward(parameters, into: gradients, images, group, dy)
      }
    }
    profile.time(.elementwise) {
      gradientIsFinite =
        gradientIsFinite
        && tensors.allSatisfy { T.sumOfSquares(gradients + $0.offset, count: $0.count).isFinite }
    }
  }

  /// From the gradient by `flat`, which is overwritten, to those of the convolutions, for a group of images.
  private func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, _ images: UnsafePointer<UInt8>,
    _ group: Range<Int>, _ gradient: UnsafeMutablePointer<T>
  ) {
    let (row, count) = (group.lowerBound, group.count)
    profile.time(.convolutions) {
      T.positivePartsBackward(gradient, of: flat.row(row), count: count * flat.columns)
      /// The gradient by the output of a stack, then by what goes into its blocks.
      var dy = gradient
      for stack in stride(from: stacks.count - 1, through: 0, by: -1) {
        let (layers, results) = (stacks[stack], kept.stacks[stack])
        for layer in stride(from: layers.count - 2, to: 0, by: -2) {
          let (x, h) = (results.output(layer - 1, row), results.output(layer, row))
          let (first, second, dh) = (layers[layer], layers[layer + 1], scratch.hiddenGradient)
          second.addGradients(count, .positiveParts(h), .whole(dy), into: gradients, scratch.kernels)
          second.inputGradient(
            count, .whole(dy), parameters, positivePartsOf: h, into: dh, scratch.kernels)
          first.addGradients(count, .positiveParts(x), .whole(dh), into: gradients, scratch.kernels)
          // Added: the block's input also goes around it.
          first.inputGradient(
            count, .whole(dh), parameters, positivePartsOf: x, into: dy, accumulate: true, scratch.kernels)
        }
        let pooled = ConvolutionGradient.pooled(dy, winners: results.winners(row))
        guard stack > 0 else {
          let image = images + row * layers[0].shape.inputSize
          layers[0].addGradients(count, .bytes(image), pooled, into: gradients, scratch.kernels)
          break
        }
        let (input, next) = (
          kept.stacks[stack - 1].lastOutput(row), scratch.stackGradients[stack % 2]
        )
        layers[0].addGradients(count, .numbers(input), pooled, into: gradients, scratch.kernels)
        layers[0].inputGradient(
          count, pooled, parameters, positivePartsOf: nil, into: next, scratch.kernels)
        dy = next
      }
    }
    profile.countOperations(count * (2 * convolutionOperations - stacks[0][0].shape.operations))
  }

  // MARK: Numbers that are not finite

  /// The first value of the kept activations that is not finite, in the order of computation, as `network/layer`; nil
  /// when all are.
  public var firstNonFinite: String? {
    guard trains, isEncoded[0] else { return nil }
    for (layers, results) in zip(stacks, kept.stacks) {
      for (index, layer) in layers.enumerated() {
        let values = UnsafeBufferPointer(
          start: results.output(index, 0), count: rows * results.size)
        if !values.allSatisfy(\.isFinite) { return "\(name)/\(layer.name)" }
      }
    }
    let values = UnsafeBufferPointer(start: features[0].base, count: rows * shape.features)
    return values.allSatisfy(\.isFinite) ? nil : "\(name)/dense0"
  }
}

/// A convolution of an encoder, with the places of its tensors.
private struct EncoderLayer<T: Real> {
  let name: String
  let shape: Convolution
  private let weight: Int
  private let bias: Int

  init(_ layer: EncoderShape.Layer, of network: NetworkShape) {
    name = layer.name
    shape = layer.convolution
    weight = network.offset(of: "encoder/\(layer.name)/weight")
    bias = network.offset(of: "encoder/\(layer.name)/bias")
  }

  func pool(
    _ images: Int, _ x: ConvolutionInput<T>, _ parameters: UnsafePointer<T>, into y: UnsafeMutablePointer<T>,
    winners: UnsafeMutablePointer<UInt8>?, _ scratch: UnsafeMutablePointer<T>
  ) {
    T.convolveAndPool(
      shape, images: images, x, weights: parameters + weight, bias: parameters + bias, into: y,
      winners: winners,
      scratch: scratch)
  }

  func convolve(
    _ images: Int, _ x: ConvolutionInput<T>, _ parameters: UnsafePointer<T>,
    adding residual: UnsafePointer<T>?,
    into y: UnsafeMutablePointer<T>, _ scratch: UnsafeMutablePointer<T>
  ) {
    T.convolve(
      shape, images: images, x, weights: parameters + weight, bias: parameters + bias, adding: residual,
      into: y,
      scratch: scratch)
  }

  func addGradients(
    _ images: Int, _ x: ConvolutionInput<T>, _ gradient: ConvolutionGradient<T>,
    into gradients: UnsafeMutablePointer<T>, _ scratch: UnsafeMutablePointer<T>
  ) {
    T.addConvolutionGradients(
      shape, images: images, x, gradient: gradient, weights: gradients + weight, bias: gradients + bias,
      scratch: scratch)
  }

  func inputGradient(
    _ images: Int, _ gradient: ConvolutionGradient<T>, _ parameters: UnsafePointer<T>,
    positivePartsOf x: UnsafePointer<T>?, into dx: UnsafeMutablePointer<T>, accumulate: Bool = false,
    _ scratch: UnsafeMutablePointer<T>
  ) {
    T.convolutionInputGradient(
      shape, images: images, gradient: gradient, weights: parameters + weight, positivePartsOf: x, into: dx,
      accumulate: accumulate, scratch: scratch)
  }
}
