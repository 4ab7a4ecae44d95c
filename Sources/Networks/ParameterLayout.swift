import Kernels
import Randomness

/// One tensor of a network inside the flat parameter vector.
public struct TensorSlot: Sendable, Equatable {
  /// What a tensor starts as.
  public enum Initialiser: Sendable, Equatable {
    /// A weight: uniform with `scale` times Glorot's variance. The weights of a convolution meet as many inputs and
    /// outputs at each of so many positions.
    case glorotUniform(scale: Float, positions: Int = 1)
    case zeros, ones
  }
  /// `network/layer/tensor`, such as `critic/dense0/weight`.
  public let name: String
  /// Sizes, outermost first: weights are (in, out), those of convolutions (3, 3, in, out); ensembles have the member
  /// axis in front.
  public let shape: [Int]
  /// Offset of the first element in the flat vector.
  public let offset: Int
  /// What it starts as.
  public let initialiser: Initialiser
  /// Number of elements.
  public var count: Int { shape.reduce(1, *) }
  /// Whether it is the weight of a layer; otherwise it is a vector: a bias, or the scale of a norm.
  public var isWeight: Bool { if case .glorotUniform = initialiser { true } else { false } }
  /// Its elements in the flat vector.
  public var range: Range<Int> { offset..<offset + count }

  /// The same tensor at another offset, and under another name if one is given.
  func moved(by distance: Int, name: String? = nil) -> TensorSlot {
    TensorSlot(name: name ?? self.name, shape: shape, offset: offset + distance, initialiser: initialiser)
  }
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
  /// The ranges of the flat vector that targets follow. The targets' own vector holds one after the other.
  public private(set) var followed: [Range<Int>] = []

  private let starts: [String: Int]
  private let targetStarts: [String: Int]

  /// A layout of networks one after the other.
  public init(_ networks: [NetworkShape]) {
    var (starts, targetStarts) = ([String: Int](), [String: Int]())
    var targetCount = 0
    for network in networks {
      let start = count
      starts[network.name] = start
      slots += network.tensors.map { $0.moved(by: start) }
      count += network.parameterCount
      guard network.hasTarget else { continue }
      targetStarts[network.name] = targetCount
      targetCount += network.parameterCount
      followed.append(start..<count)
    }
    self.starts = starts
    self.targetStarts = targetStarts
  }

  /// Where a network starts in the flat vector.
  public func start(of network: String) -> Int {
    guard let start = starts[network] else { preconditionFailure("\(network) is not in this layout") }
    return start
  }

  /// Where a network's target starts in the targets' vector.
  public func targetStart(of network: String) -> Int {
    guard let start = targetStarts[network] else { preconditionFailure("\(network) has no target") }
    return start
  }

  /// The next boundary that a tensor may start at.
  static func aligned(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

  /// Length of the targets' vector.
  public var targetCount: Int { followed.reduce(0) { $0 + $1.count } }

  /// The targets' tensors, with their offsets in the targets' vector.
  public var targetSlots: [TensorSlot] {
    var start = 0
    return followed.flatMap { range in
      defer { start += range.count }
      return slots.filter { range.contains($0.offset) }.map {
        $0.moved(by: start - range.lowerBound, name: "target_\($0.name)")
      }
    }
  }

  /// Makes targets equal to the parameters that they follow.
  public func copyFollowed<T: Real>(of parameters: UnsafePointer<T>, to target: UnsafeMutablePointer<T>) {
    var start = target
    for range in followed {
      start.update(from: parameters + range.lowerBound, count: range.count)
      start += range.count
    }
  }

  /// Fills a flat vector with initial parameters; they depend on `seed` and the layout only.
  ///
  /// Weights are Glorot-uniform over the average of fan-in and fan-out, U(±√(6 · scale / (in + out))), for convolutions
  /// with 9 times in and out; biases 0; norm scales 1.
  public func initialise<T: Real>(_ parameters: UnsafeMutablePointer<T>, seed: UInt32) {
    parameters.update(repeating: 0, count: count)
    for (index, slot) in slots.enumerated() {
      switch slot.initialiser {
      case .zeros: break
      case .ones: (parameters + slot.offset).update(repeating: 1, count: slot.count)
      case .glorotUniform(let scale, let positions):
        var random = RandomSequence(seed: seed, stream: .initialisation, index: UInt64(index))
        let limit = (6 * scale / Float(positions * slot.shape.suffix(2).reduce(0, +))).squareRoot()
        for i in slot.range { parameters[i] = T((2 * random.uniform() - 1) * limit) }
      }
    }
  }
}
