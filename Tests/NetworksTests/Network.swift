import Kernels
import Networks
import Randomness

/// A network in double precision with parameters, input and a loss L = Σ c · y for random c, so that the gradient of
/// the loss with respect to the outputs is c.
final class Network {
  let shape: NetworkShape
  let layout: ParameterLayout
  let mlp: MLP<Double>
  let parameters: Buffer<Double>
  let gradients: Buffer<Double>
  private var random = RandomSequence(seed: 11, stream: .acting)
  private let workspace = Workspace<Double>()
  private var coefficients: [Matrix<Double>] = []

  /// Shapes with everything that a network can have or not.
  static let shapes = [
    NetworkShape(name: "linear", inputs: 4, hidden: [], outputs: 3, layerNorm: true),
    NetworkShape(name: "plain", inputs: 4, hidden: [5], outputs: 3, layerNorm: false),
    NetworkShape(name: "deep", inputs: 3, hidden: [6, 5, 7], outputs: 2, layerNorm: false),
    NetworkShape(name: "norm", inputs: 4, hidden: [6, 5], outputs: 2, layerNorm: true),
    NetworkShape(name: "ensemble", inputs: 4, hidden: [5, 6], outputs: 2, layerNorm: true, ensemble: 3),
  ]

  /// - Parameters:
  ///   - before: a network that lies before this one in the flat vector.
  init(
    _ shape: NetworkShape, rows: Int, inputGradientColumns: Range<Int> = 0..<0, before: NetworkShape? = nil,
    keepsActivations: Bool = true
  ) {
    self.shape = shape
    layout = ParameterLayout([before, shape].compactMap(\.self))
    mlp = MLP(
      shape, start: layout.start(of: shape.name), rows: rows, inputGradientColumns: inputGradientColumns,
      keepsActivations: keepsActivations, scratch: Scratch(rows: rows, width: shape.hidden.max() ?? 0))
    parameters = Buffer(count: layout.count)
    gradients = Buffer(count: layout.count)
    layout.initialise(parameters.base, seed: 5)
    // Biases and norms move away from their first values, which are special.
    for slot in layout.slots where !slot.isWeight {
      for i in slot.range { parameters.base[i] += 0.3 * normal() }
    }
    for e in 0..<shape.members {
      let matrix = workspace.matrix(rows: rows, columns: shape.outputs)
      matrix.replaceEach { _ in normal() }
      coefficients.append(matrix)
      mlp.outputGradient(e).copy(matrix)
    }
    mlp.input.replaceEach { _ in normal() }
  }

  private func normal() -> Double { Double(random.normal()) }

  /// The loss of some rows.
  func loss(_ rows: Range<Int>) -> Double {
    mlp.forward(parameters.base, rows: rows)
    var sum = 0.0
    for e in 0..<shape.members {
      for r in rows {
        for c in 0..<shape.outputs { sum += coefficients[e][r, c] * mlp.output(e)[r, c] }
      }
    }
    return sum
  }

  /// The forward and the backward pass.
  func differentiate(
    _ rows: Range<Int>, gradientRows: Range<Int>? = nil, weightRows: Range<Int>? = nil,
    inputRows: Range<Int>? = nil, samples: Range<Int>? = nil
  ) {
    mlp.forward(parameters.base, rows: rows, gradientRows: gradientRows ?? rows)
    mlp.backward(
      parameters.base, into: gradients.base, weightRows: weightRows ?? gradientRows ?? rows,
      inputRows: inputRows,
      samples: samples)
  }

  /// The derivative of the loss with respect to a number, by central differences.
  func measured(_ number: UnsafeMutablePointer<Double>, _ rows: Range<Int>) -> Double {
    let (centre, step) = (number.pointee, 1e-5)
    defer { number.pointee = centre }
    number.pointee = centre + step
    let above = loss(rows)
    number.pointee = centre - step
    return (above - loss(rows)) / (2 * step)
  }

  /// The network's tensors.
  var slots: [TensorSlot] { layout.slots.filter { $0.name.hasPrefix(shape.name + "/") } }

  /// All gradients.
  var allGradients: [Double] { (0..<layout.count).map { gradients.base[$0] } }

  /// The numbers of some rows of a matrix.
  static func numbers(_ matrix: Matrix<Double>, _ rows: Range<Int>) -> [Double] {
    rows.flatMap { r in (0..<matrix.columns).map { matrix[r, $0] } }
  }
}
