import Kernels
import Networks
import Randomness

/// A network in double precision whose input is the features of images and one number, with a loss L = Σ c · y for random
/// c.
final class EncodedNetwork {
  let shape: NetworkShape
  let layout: ParameterLayout
  let encoder: Encoder<Double>
  let mlp: MLP<Double>
  let parameters: Buffer<Double>
  let gradients: Buffer<Double>
  /// Images, one behind the other.
  private(set) var images: [UInt8] = []
  let count = 4
  private var random = RandomSequence(seed: 17, stream: .acting)
  private var coefficients: [Double] = []

  /// - Parameter trains: whether the encoder keeps activations.
  init(height: Int, width: Int, ensemble: Int? = nil, trains: Bool = true) {
    let sizes = EncoderShape(
      height: height, width: width, channels: 3, stacks: [3, 2], blocks: 2, features: 6)
    shape = NetworkShape(
      name: "net", inputs: 7, hidden: [5], outputs: 2, layerNorm: true, ensemble: ensemble, encoder: sizes)
    layout = ParameterLayout([shape])
    encoder = Encoder(
      shape, start: 0, rows: count, moments: 2, trains: trains,
      scratch: EncoderScratch(sizes, rows: count))
    mlp = MLP(shape, rows: 2 * count, scratch: Scratch(rows: 2 * count, width: 5), encoder: encoder)
    parameters = Buffer(count: layout.count)
    gradients = Buffer(count: layout.count)
    layout.initialise(parameters.base, seed: 5)
    // Biases and norms move away from their first values, which are special.
    for slot in layout.slots where !slot.isWeight {
      for i in slot.range { parameters.base[i] += 0.3 * Double(random.normal()) }
    }
    images = (0..<count * height * width * 3).map { _ in UInt8(255 * random.uniform()) }
    coefficients = (0..<2 * count * 2 * shape.members).map { _ in Double(random.normal()) }
    for r in 0..<2 * count { mlp.input[r, 6] = Double(random.normal()) }
  }

  /// The features that the first half of the rows has.
  var features: [Double] { (0..<count).flatMap { r in (0..<6).map { mlp.input[r, $0] } } }

  /// Two rows for each image.
  func forward(moment: Int = 0) {
    encoder.begin(parameters.base, rows: count)
    images.withUnsafeBufferPointer { images in
      for row in 0..<2 * count {
        mlp.placeFeatures(images.baseAddress!, moment: moment, image: row % count, inputRow: row)
      }
      mlp.forward(parameters.base, rows: 0..<2 * count, gradientRows: 0..<2 * count)
    }
  }

  /// The loss, whose gradient the outputs get.
  func loss() -> Double {
    forward()
    var (sum, next) = (0.0, 0)
    for e in 0..<shape.members {
      for r in 0..<2 * count {
        for c in 0..<2 {
          sum += coefficients[next] * mlp.output(e)[r, c]
          mlp.outputGradient(e)[r, c] = coefficients[next]
          next += 1
        }
      }
    }
    return sum
  }

  /// The forward and the backward pass.
  func differentiate() {
    encoder.begin(parameters.base, rows: count)
    images.withUnsafeBufferPointer { images in
      for row in 0..<2 * count {
        mlp.placeFeatures(images.baseAddress!, moment: 0, image: row % count, inputRow: row)
      }
      mlp.forward(parameters.base, rows: 0..<2 * count, gradientRows: 0..<2 * count)
      mlp.backward(parameters.base, into: gradients.base, weightRows: 0..<2 * count)
      encoder.backward(into: gradients.base)
    }
  }
}
