/// The sizes of one multi-layer perceptron, or of an ensemble of them on the same input. An encoder of images may stand
/// before it: one for all members, whose features are part of the input.
public struct NetworkShape: Sendable, Equatable {
  /// First part of the names of its tensors, such as `critic`.
  public var name: String
  /// Number of input features, an encoder's included.
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
  /// Whether a target network follows this one.
  public var hasTarget: Bool
  /// The encoder before it; nil for none.
  public var encoder: EncoderShape?
  /// Where the encoder's features begin in the input.
  public var encoderColumn = 0

  /// A network of these sizes.
  public init(
    name: String, inputs: Int, hidden: [Int], outputs: Int, layerNorm: Bool, ensemble: Int? = nil,
    lastScale: Float = 1, hasTarget: Bool = false, encoder: EncoderShape? = nil
  ) {
    self.name = name
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
    self.layerNorm = layerNorm
    self.ensemble = ensemble
    self.lastScale = lastScale
    self.hasTarget = hasTarget
    self.encoder = encoder
  }

  /// Multiplications and additions of one forward pass for one row, all members: 2 · inputs · outputs a layer. The
  /// encoder is not counted.
  public var operationsPerRow: Int {
    let widths = [inputs] + hidden + [outputs]
    return members * zip(widths, widths.dropFirst()).reduce(0) { $0 + 2 * $1.0 * $1.1 }
  }

  /// Those of the first layer for one input, all members.
  var operationsPerInput: Int { 2 * members * (hidden.first ?? outputs) }

  /// Number of members, 1 for a single network.
  public var members: Int { ensemble ?? 1 }

  /// The tensors in the order in which they lie in the flat vector; offsets count from the network's first
  /// parameter.
  public var tensors: [TensorSlot] {
    var tensors: [TensorSlot] = []
    let leading = ensemble.map { [$0] } ?? []
    func append(_ tensor: String, _ shape: [Int], _ initialiser: TensorSlot.Initialiser) {
      let offset = tensors.last.map { ParameterLayout.aligned($0.range.upperBound) } ?? 0
      tensors.append(
        TensorSlot(
          name: "\(name)/\(tensor)", shape: shape, offset: offset, initialiser: initialiser))
    }
    for tensor in encoder?.tensors ?? [] {
      append("encoder/\(tensor.name)", tensor.shape, tensor.initialiser)
    }
    var inputs = inputs
    for (index, width) in (hidden + [outputs]).enumerated() {
      let isLast = index == hidden.count
      append(
        "dense\(index)/weight", leading + [inputs, width], .glorotUniform(scale: isLast ? lastScale : 1))
      append("dense\(index)/bias", leading + [width], .zeros)
      if layerNorm && !isLast {
        append("norm\(index)/scale", leading + [width], .ones)
        append("norm\(index)/bias", leading + [width], .zeros)
      }
      inputs = width
    }
    return tensors
  }

  /// The encoder's tensors, which are the first ones.
  var encoderTensors: ArraySlice<TensorSlot> { tensors.prefix(encoder?.tensors.count ?? 0) }

  /// Elements of the flat vector from the network's first parameter to where the next network starts.
  public var parameterCount: Int { tensors.last.map { ParameterLayout.aligned($0.range.upperBound) } ?? 0 }
}
