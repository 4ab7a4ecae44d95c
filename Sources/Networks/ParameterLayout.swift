import Kernels
import Randomness

/// The sizes of one multi-layer perceptron or of an ensemble of them on the same input.
public struct NetworkShape: Sendable, Equatable {
  /// First part of the names of its tensors, such as `critic`.
  public var name: String
  /// Number of input features.
  public var inputs: Int
  /// Width of each hidden layer.
  public var hidden: [Int]
  /// Number of outputs.
  public var outputs: Int
  /// Initial variance of the last layer's weights, relative to that of the others.
  public var lastScale: Float
  /// Whether each hidden layer ends in a layer norm.
  public var layerNorm: Bool
  /// Number of ensemble members with weights of their own; nil for a single network, whose tensors have no
  /// leading ensemble axis.
  public var ensemble: Int?

  /// A network of these sizes.
  public init(
    name: String, inputs: Int, hidden: [Int], outputs: Int, layerNorm: Bool, ensemble: Int? = nil,
    lastScale: Float = 1
  ) {
    self.name = name
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
    self.layerNorm = layerNorm
    self.ensemble = ensemble
    self.lastScale = lastScale
  }

  /// Multiplications and additions of one forward pass for one row, all members: 2 · inputs · outputs a layer.
  public var operationsPerRow: Int {
    let widths = [inputs] + hidden + [outputs]
    return members * zip(widths, widths.dropFirst()).reduce(0) { $0 + 2 * $1.0 * $1.1 }
  }

  /// Number of members, 1 for a single network.
  public var members: Int { ensemble ?? 1 }
}

/// One tensor of a network inside the flat parameter vector.
public struct TensorSlot: Sendable, Equatable {
  /// What a tensor starts as.
  public enum Initialiser: Sendable, Equatable {
    /// A weight: uniform with `scale` times Glorot's variance.
    case glorotUniform(scale: Float)
    case zeros, ones
  }
  /// `network/layer/tensor`, such as `critic/dense0/weight`.
  public let name: String
  /// Sizes, outermost first: weights are (in, out), ensembles have the member axis in front.
  public let shape: [Int]
  /// Offset of the first element in the flat vector.
  public let offset: Int
  /// What it starts as.
  public let initialiser: Initialiser
  /// Number of elements.
  public var count: Int { shape.reduce(1, *) }
  /// Whether it is the weight of a dense layer; otherwise it is a vector: a bias, or the scale of a norm.
  public var isWeight: Bool { if case .glorotUniform = initialiser { true } else { false } }
  /// Its elements in the flat vector.
  public var range: Range<Int> { offset..<offset + count }
}

/// Where every tensor of some networks lies in one flat vector, so that one exchange, one optimiser step and
/// one checkpoint serve all of them.
///
/// Tensors start at multiples of 16 elements; the gaps stay zero.
public struct ParameterLayout: Sendable, Equatable {
  /// Elements between the boundaries that tensors start at.
  public static let alignment = 16
  /// The tensors in the order of their offsets.
  public private(set) var slots: [TensorSlot] = []
  /// Length of the flat vector.
  public private(set) var count = 0
  /// The parts of the flat vector that targets follow. The targets' own vector holds one after the other.
  public private(set) var followed: [Range<Int>] = []

  /// No tensors yet.
  public init() {}

  /// Appends a tensor and returns its offset.
  mutating func append(_ name: String, _ shape: [Int], _ initialiser: TensorSlot.Initialiser) -> Int {
    let slot = TensorSlot(name: name, shape: shape, offset: count, initialiser: initialiser)
    slots.append(slot)
    count = (count + slot.count + Self.alignment - 1) / Self.alignment * Self.alignment
    return slot.offset
  }

  /// Gives a network a target, and returns where it starts in the targets' vector.
  public mutating func follow<T>(_ network: MLP<T>) -> Int {
    defer { followed.append(network.range) }
    return targetCount
  }

  /// Length of the targets' vector.
  public var targetCount: Int { followed.reduce(0) { $0 + $1.count } }

  /// The targets' tensors, with their offsets in the targets' vector.
  public var targetSlots: [TensorSlot] {
    var start = 0
    return followed.flatMap { range in
      defer { start += range.count }
      return slots.filter { range.contains($0.offset) }.map {
        TensorSlot(
          name: "target_\($0.name)", shape: $0.shape, offset: start + $0.offset - range.lowerBound,
          initialiser: $0.initialiser)
      }
    }
  }

  /// Makes targets equal to what they follow.
  public func copyFollowed<T: Real>(of parameters: UnsafePointer<T>, to target: UnsafeMutablePointer<T>) {
    var start = target
    for range in followed {
      start.update(from: parameters + range.lowerBound, count: range.count)
      start += range.count
    }
  }

  /// Fills a flat vector with initial parameters; they depend on `seed` and the layout only.
  ///
  /// Weights are Glorot-uniform over the average of fan-in and fan-out, U(±√(6 · scale / (in + out))); biases 0;
  /// norm scales 1.
  public func initialise<T: Real>(_ parameters: UnsafeMutablePointer<T>, seed: UInt32) {
    parameters.update(repeating: 0, count: count)
    for (index, slot) in slots.enumerated() {
      switch slot.initialiser {
      case .zeros: break
      case .ones: (parameters + slot.offset).update(repeating: 1, count: slot.count)
      case .glorotUniform(let scale):
        var random = RandomSequence(seed: seed, stream: .initialisation, index: UInt64(index))
        let limit = (6 * scale / Float(slot.shape.suffix(2).reduce(0, +))).squareRoot()
        for i in slot.range { parameters[i] = T((2 * random.uniform() - 1) * limit) }
      }
    }
  }
}
