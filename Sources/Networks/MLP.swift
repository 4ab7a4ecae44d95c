import Kernels
import Profiling

/// A multi-layer perceptron, or an ensemble of them on the same input, with its activations.
///
/// Each hidden layer is dense → GELU → layer norm if the shape says so; the last layer is dense only. The
/// parameters live elsewhere, in a flat vector: calls take the vector's address, so the same network can compute
/// with other parameters of its layout. A stack too large for the memory goes through in tiles, whose gradients
/// are added up.
///
/// One forward pass takes a stack of rows that play different roles, in this order: rows without gradient;
/// samples whose loss reaches the weights; samples that only pass a gradient on to the input. All products with
/// the same weights are thereby one product.
public final class MLP<T: Real> {
  /// The network's sizes.
  public let shape: NetworkShape
  /// Row r is the input of sample r; the caller fills it.
  public let input: Matrix<T>
  /// The input columns that `backward` gives the gradient for.
  public let inputGradientColumns: Range<Int>
  /// Gradient of the loss with respect to `inputGradientColumns`, for the rows that `backward` was asked for.
  public let inputGradient: Matrix<T>
  /// Offset of the network's first parameter in its flat vector.
  public let start: Int

  private let parameterCount: Int
  /// The columns of the input that an encoder fills; nil for a network without one.
  private let encoded: EncodedColumns<T>?

  /// Where the time and the operations of its passes are noted.
  public var profile = Profile()
  /// How sums over rows are made by chunks; nil if they are made in the order of rows.
  private var chunked: ChunkedGradients<T>?

  /// Whether all gradients of the last backward pass are finite.
  public private(set) var gradientIsFinite = true

  /// The tensors that are not weights: biases and norms.
  private let vectors: [TensorSlot]
  private let hidden: [HiddenLayer<T>]
  private let last: DenseLayer
  private let outputs: [Matrix<T>]
  private let outputGradients: [Matrix<T>]
  private let outputTangents: [Matrix<T>]
  private let keepsActivations: Bool
  private let scratch: Scratch<T>
  private let workspace = Workspace<T>()

  /// A network with activations for up to `rows` rows.
  ///
  /// - Parameters:
  ///   - start: where its first parameter lies in the flat vector.
  ///   - inputGradientColumns: the input columns whose gradient somebody needs.
  ///   - keepsActivations: false for a network without backward passes, which needs no memory beside `scratch`.
  ///   - scratch: shared by networks that are never in a backward pass at the same time.
  ///   - encoder: that of the network, if its shape has one; shared by all with the same parameters.
  public init(
    _ shape: NetworkShape, start: Int = 0, rows: Int,
    inputGradientColumns: Range<Int> = 0..<0, keepsActivations: Bool = true, scratch: Scratch<T>,
    encoder: Encoder<T>? = nil
  ) {
    precondition((shape.encoder == nil) == (encoder == nil), "an encoder goes with a shape that has one")
    self.shape = shape
    self.scratch = scratch
    self.keepsActivations = keepsActivations
    self.inputGradientColumns = inputGradientColumns
    self.start = start
    parameterCount = shape.parameterCount
    var inputs = shape.inputs
    var hidden: [HiddenLayer<T>] = []
    for (index, width) in shape.hidden.enumerated() {
      let layer = HiddenLayer(
        index, inputs: inputs, width: width, of: shape, rows: rows,
        place: { [workspace] in
          keepsActivations
            ? workspace.matrix(rows: rows, columns: width) : scratch.matrix(index % 2, columns: width)
        }, workspace: workspace)
      hidden.append(layer)
      inputs = width
    }
    self.hidden = hidden
    last = DenseLayer("dense\(shape.hidden.count)", inputs: inputs, outputs: shape.outputs, of: shape)
    vectors = shape.tensors.dropFirst(shape.encoderTensors.count).filter { !$0.isWeight }
    encoded = encoder.map {
      EncodedColumns($0, column: shape.encoderColumn, rows: rows, trains: keepsActivations)
    }
    input = workspace.matrix(rows: rows, columns: shape.inputs)
    inputGradient = workspace.matrix(rows: rows, columns: inputGradientColumns.count)
    let workspace = workspace
    outputs = (0..<shape.members).map { _ in workspace.matrix(rows: rows, columns: shape.outputs) }
    outputGradients = (0..<shape.members).map { _ in workspace.matrix(rows: rows, columns: shape.outputs) }
    outputTangents = (0..<shape.members).map { _ in workspace.matrix(rows: rows, columns: shape.outputs) }
  }

  /// Makes backward passes sum over rows by chunks. The gradient of each span then lies `slabLength` elements behind that
  /// of the one before.
  public func sum(by chunks: RowChunks, slabLength: Int) {
    chunked = ChunkedGradients(
      chunks, slabLength: slabLength, count: parameterCount,
      width: (shape.hidden + [shape.outputs]).max() ?? 0)
  }

  /// Features in a row of the input ← those of an image, which the network's encoder encodes once.
  ///
  /// - Parameters:
  ///   - images: the images of the moment, one behind the other.
  ///   - moment: 0 for images at which the network is trained.
  ///   - image: the number of one of them.
  public func placeFeatures(_ images: UnsafePointer<UInt8>, moment: Int, image: Int, inputRow: Int) {
    guard let encoded else { preconditionFailure("\(shape.name) has no encoder for images") }
    encoded.place(images, moment: moment, image: image, into: input.row(inputRow), number: inputRow)
  }

  /// What member `e` computed for each row of the last forward pass.
  public func output(_ e: Int = 0) -> Matrix<T> { outputs[e] }

  /// Where the caller writes the gradient of the loss with respect to `output(e)` before `backward`.
  public func outputGradient(_ e: Int = 0) -> Matrix<T> { outputGradients[e] }

  /// How `output(e)` changes along the direction of the last `pushForward`.
  public func outputTangent(_ e: Int = 0) -> Matrix<T> { outputTangents[e] }

  /// Computes the output for some rows of the input.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector.
  ///   - rows: the rows to compute.
  ///   - gradientRows: the last of these rows, for which a backward pass or a derivative will follow.
  public func forward(_ parameters: UnsafePointer<T>, rows: Range<Int>, gradientRows: Range<Int> = 0..<0) {
    let kept = gradientRows.isEmpty ? rows.upperBound..<rows.upperBound : gradientRows
    precondition(kept.upperBound == rows.upperBound, "rows with gradient are the last ones")
    precondition(keepsActivations || kept.isEmpty, "this network keeps no activations")
    if profile.isOn { profile.work.add(forward: rows.count, through: self) }
    let parameters = parameters + start
    for e in 0..<shape.members {
      var x = input
      for layer in hidden {
        let u = layer.preactivation[e].rows(rows)
        profile.product(x.rows(rows), layer.dense.weight(parameters, e), into: u)
        profile.time(.elementwise) {
          layer.activate(parameters, e, rows: rows.lowerBound..<kept.lowerBound, keep: false)
          layer.activate(parameters, e, rows: kept, keep: true)
        }
        x = layer.activation[e]
      }
      let y = outputs[e].rows(rows)
      profile.product(x.rows(rows), last.weight(parameters, e), into: y)
      profile.time(.elementwise) { T.addBias(last.bias(parameters, e), to: y) }
    }
  }

  /// Propagates `outputGradient` back through the last forward pass.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector, as in the forward pass.
  ///   - gradients: the flat gradient; every tensor of the network is overwritten with the sum over `weightRows`.
  ///   - weightRows: rows whose loss reaches the weights. In sums by chunks, those of the rank, once or several times.
  ///   - inputRows: rows whose gradient goes to `inputGradient`: some of `weightRows`, or rows right after them.
  ///   - samples: the samples whose rows these are, if they come in tiles: the gradients of later tiles are added. In sums
  ///     by chunks, a tile is of one chunk.
  public func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, weightRows: Range<Int>,
    inputRows: Range<Int>? = nil, samples: Range<Int>? = nil
  ) {
    let inputRows = inputRows ?? weightRows.upperBound..<weightRows.upperBound
    precondition(
      inputRows.lowerBound >= weightRows.lowerBound && inputRows.lowerBound <= weightRows.upperBound,
      "rows of a backward pass are contiguous")
    if profile.isOn {
      let rows = max(weightRows.upperBound, inputRows.upperBound) - weightRows.lowerBound
      profile.work.add(
        backward: rows, weights: weightRows.count, inputs: inputRows.count,
        features: encoded == nil ? 0 : weightRows.count, through: self)
    }
    let (parameters, gradients) = (parameters + start, gradients + start)
    let continues = (samples?.lowerBound ?? 0) > 0
    if !continues || chunked == nil { gradientIsFinite = true }
    if let chunked, let samples {
      let accumulate = !chunked.isFirst(samples)
      backward(parameters, into: chunked.ofChunk, weightRows, inputRows, accumulate, by: nil)
      profile.time(.elementwise) { chunked.end(samples, into: gradients) }
    } else {
      backward(parameters, into: gradients, weightRows, inputRows, continues, by: chunked)
    }
    if let encoded { profile.time(.elementwise) { encoded.passOn(weightRows) } }
  }

  /// The pass of all members.
  private func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, _ weightRows: Range<Int>,
    _ inputRows: Range<Int>, _ accumulate: Bool, by chunked: ChunkedGradients<T>?
  ) {
    for e in 0..<shape.members {
      backward(parameters, into: gradients, member: e, weightRows, inputRows, accumulate, by: chunked)
    }
    profile.time(.elementwise) {
      forEachSlab(gradients, chunked) { slab in
        for slot in vectors { note(T.sumOfSquares(slab + slot.offset, count: slot.count)) }
      }
    }
  }

  /// Sets the network's gradient to zero, for an update that does not train it.
  public func clearGradient(in gradients: UnsafeMutablePointer<T>) {
    forEachSlab(gradients + start, chunked) { $0.update(repeating: 0, count: parameterCount) }
    gradientIsFinite = true
  }

  /// Calls `body` with the gradient of each span of chunks, or with the one that there is without chunks.
  @inline(__always)
  private func forEachSlab(
    _ gradients: UnsafeMutablePointer<T>, _ chunked: ChunkedGradients<T>?,
    _ body: (UnsafeMutablePointer<T>) -> Void
  ) {
    guard let chunked else { return body(gradients) }
    for span in chunked.rows.spans.indices { body(gradients + span * chunked.slabLength) }
  }

  /// The gradient of a layer's weight ← xᵀ · gradient, summed over rows.
  private func weightGradient(
    _ x: Matrix<T>, _ gradient: Matrix<T>, _ dense: DenseLayer, into gradients: UnsafeMutablePointer<T>,
    _ e: Int, _ accumulate: Bool, by chunked: ChunkedGradients<T>?
  ) {
    guard let chunked else {
      return note(
        profile.weightGradient(x, gradient, into: dense.weight(gradients, e), accumulate: accumulate))
    }
    for (span, chunks) in chunked.rows.spans.enumerated() {
      let weight = dense.weight(gradients + span * chunked.slabLength, e)
      let rows = chunked.rows.chunked(chunks, sections: x.rows / max(1, chunked.rows.rows))
      profile.product(x, gradient, into: weight, by: rows, chunked.scratch)
      // Looked at while it is in the cache.
      profile.time(.elementwise) { note(T.sumOfSquares(weight.base, count: weight.rows * weight.columns)) }
    }
  }

  /// The gradients of vectors ← sums over rows.
  ///
  /// - Parameter add: adds sums over some rows to vectors.
  @inline(__always)
  private func vectorGradients(
    _ rows: Range<Int>, into gradients: VectorGradients<T>, _ accumulate: Bool,
    by chunked: ChunkedGradients<T>?,
    _ add: (Range<Int>, VectorGradients<T>) -> Void
  ) {
    if let chunked { return chunked.sum(rows, into: gradients, add) }
    if !accumulate { gradients.clear() }
    add(rows, gradients)
  }

  private func note(_ squares: Double) { gradientIsFinite = gradientIsFinite && squares.isFinite }

  /// The first value of the last forward passes that is not finite, in the order of computation, as
  /// `network/layer`; nil when all are.
  public var firstNonFinite: String? {
    func isFinite(_ matrix: Matrix<T>) -> Bool {
      (0..<matrix.rows).allSatisfy { r in (0..<matrix.columns).allSatisfy { matrix[r, $0].isFinite } }
    }
    if !isFinite(input) { return "\(shape.name)/input" }
    for (index, layer) in hidden.enumerated() where keepsActivations {
      if !layer.activation.allSatisfy(isFinite) { return "\(shape.name)/dense\(index)" }
    }
    return outputs.allSatisfy(isFinite) ? nil : "\(shape.name)/dense\(hidden.count)"
  }

  /// How the output changes along a direction of the input (forward mode): `outputTangent`, in rows that the last
  /// forward pass kept.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector, as in the forward pass.
  ///   - direction: the change of the input `columns`, one row for each of `rows`; the other columns stay.
  public func pushForward(
    _ parameters: UnsafePointer<T>, rows: Range<Int>, along direction: Matrix<T>, columns: Range<Int>
  ) {
    if profile.isOn {
      profile.work.add(forward: rows.count, through: self, unchangedInputs: shape.inputs - columns.count)
    }
    let parameters = parameters + start
    for e in 0..<shape.members {
      var tangent = direction
      var used = columns
      for (index, layer) in hidden.enumerated() {
        let next = scratch.matrix(index % 2, columns: layer.width).rows(0..<rows.count)
        profile.product(tangent, layer.dense.weight(parameters, e).rows(used), into: next)
        profile.time(.elementwise) { layer.push(parameters, e, next, rows: rows) }
        tangent = next
        used = 0..<layer.width
      }
      profile.product(tangent, last.weight(parameters, e).rows(used), into: outputTangents[e].rows(rows))
    }
  }

  private func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, member e: Int,
    _ weightRows: Range<Int>, _ inputRows: Range<Int>, _ accumulate: Bool, by chunked: ChunkedGradients<T>?
  ) {
    let rows = weightRows.lowerBound..<max(weightRows.upperBound, inputRows.upperBound)
    var dense = last
    var gradient = outputGradients[e]
    let lastBias = VectorGradients(width: shape.outputs, bias: last.bias(gradients, e))
    vectorGradients(weightRows, into: lastBias, accumulate, by: chunked) {
      T.addColumnSums(of: gradient.rows($0), to: $1.bias)
    }
    for index in stride(from: hidden.count, through: 0, by: -1) {
      // `gradient` is that of the dense layer's result; `x` is what the layer was applied to.
      let x = index > 0 ? hidden[index - 1].activation[e] : input
      weightGradient(
        x.rows(weightRows), gradient.rows(weightRows), dense, into: gradients, e, accumulate, by: chunked)
      guard index > 0 else { break }
      let layer = hidden[index - 1]
      let next = scratch.matrix(index % 2, columns: layer.width)
      profile.product(
        gradient.rows(rows), dense.weight(parameters, e), transposingB: true, into: next.rows(rows))
      profile.time(.elementwise) {
        vectorGradients(weightRows, into: layer.vectors(gradients, e), accumulate, by: chunked) {
          layer.backward(parameters, e, next, rows: $0, into: $1)
        }
        layer.backward(parameters, e, next, rows: weightRows.upperBound..<rows.upperBound, into: nil)
      }
      gradient = next
      dense = layer.dense
    }
    if let encoded {
      let ofFeatures = dense.weight(parameters, e).rows(encoded.columns)
      profile.product(
        gradient.rows(weightRows), ofFeatures, transposingB: true, into: encoded.gradient.rows(weightRows),
        accumulate: e > 0)
    }
    guard !inputRows.isEmpty else { return }
    let needed = dense.weight(parameters, e).rows(inputGradientColumns)
    profile.product(
      gradient.rows(inputRows), needed, transposingB: true, into: inputGradient.rows(inputRows),
      accumulate: e > 0)
  }
}

/// Two matrices for the gradients between layers of a backward pass.
public final class Scratch<T: Real> {
  private let rows: Int
  private let width: Int
  private let buffers: [Buffer<T>]

  /// Room for gradients of `rows` rows of up to `width` features.
  public init(rows: Int, width: Int) {
    self.rows = rows
    self.width = width
    buffers = [Buffer(count: rows * width), Buffer(count: rows * width)]
  }

  func matrix(_ which: Int, columns: Int) -> Matrix<T> {
    precondition(columns <= width, "layer wider than the scratch memory")
    return Matrix(buffers[which].base, rows: rows, columns: columns)
  }
}

extension Work {
  /// Notes a forward pass, or a derivative in forward mode.
  ///
  /// - Parameter unchangedInputs: input columns whose products the kernels leave out.
  mutating func add<T>(forward rows: Int, through network: MLP<T>, unchangedInputs: Int = 0) {
    let shape = network.shape
    forward += rows * shape.operationsPerRow
    computed += rows * (shape.operationsPerRow - unchangedInputs * shape.operationsPerInput)
    self.rows += rows * shape.members
  }

  /// Notes a backward pass of some rows: gradients by weights for some of them, by the network's inputs for some.
  ///
  /// - Parameter features: rows whose gradient by an encoder's features is computed.
  mutating func add<T>(
    backward rows: Int, weights: Int, inputs: Int, features: Int, through network: MLP<T>
  ) {
    let shape = network.shape
    // A network without hidden layers has nothing to pass a gradient back to but its inputs and an encoder.
    let passedBack = shape.hidden.isEmpty && features == 0 ? inputs : rows
    self.weights += weights * shape.operationsPerRow
    self.inputs += passedBack * shape.operationsPerRow
    computed += weights * shape.operationsPerRow
    computed += passedBack * (shape.operationsPerRow - shape.inputs * shape.operationsPerInput)
    computed += inputs * network.inputGradientColumns.count * shape.operationsPerInput
    computed += features * (shape.encoder?.features ?? 0) * shape.operationsPerInput
    self.rows += (weights + passedBack) * shape.members
  }

  /// Notes the encoding of some images.
  mutating func add(encoded images: Int, _ shape: EncoderShape) {
    forward += images * shape.operationsPerImage
    computed += images * shape.operationsPerImage
    encodings += images
  }

  /// Notes a backward pass through an encoder.
  mutating func add(backwardThroughEncoder images: Int, _ shape: EncoderShape) {
    weights += images * shape.operationsPerImage
    inputs += images * shape.inputOperationsPerImage
    computed += images * (shape.operationsPerImage + shape.inputOperationsPerImage)
  }
}
