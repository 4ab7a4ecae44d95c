import Kernels

extension NetworkShape {
  /// Where a tensor starts, counted from the network's first parameter.
  func offset(of tensor: String) -> Int {
    guard let slot = tensors.first(where: { $0.name == "\(name)/\(tensor)" }) else {
      preconditionFailure("\(name) has no tensor \(tensor)")
    }
    return slot.offset
  }
}

/// y = x · weight + bias: where its tensors lie, relative to the network's first parameter.
struct DenseLayer {
  let inputs: Int
  let outputs: Int
  private let weightOffset: Int
  private let biasOffset: Int

  /// The dense layer of a network that has this name, such as `dense0`.
  init(_ name: String, inputs: Int, outputs: Int, of shape: NetworkShape) {
    self.inputs = inputs
    self.outputs = outputs
    weightOffset = shape.offset(of: "\(name)/weight")
    biasOffset = shape.offset(of: "\(name)/bias")
  }

  /// Member `e`'s weight, inputs × outputs, in parameters or gradients.
  func weight<T: Real>(_ base: UnsafeMutablePointer<T>, _ e: Int) -> Matrix<T> {
    Matrix(base + weightOffset + e * inputs * outputs, rows: inputs, columns: outputs)
  }

  /// The same for parameters that are only read.
  func weight<T: Real>(_ base: UnsafePointer<T>, _ e: Int) -> Matrix<T> {
    weight(UnsafeMutablePointer(mutating: base), e)
  }

  /// Member `e`'s bias, one per output, in parameters or gradients.
  func bias<T: Real>(_ base: UnsafeMutablePointer<T>, _ e: Int) -> UnsafeMutablePointer<T> {
    base + biasOffset + e * outputs
  }

  /// The same for parameters that are only read.
  func bias<T: Real>(_ base: UnsafePointer<T>, _ e: Int) -> UnsafePointer<T> {
    base + biasOffset + e * outputs
  }
}

/// Dense → GELU → layer norm if the shape says so, with the activations that the backward pass needs.
struct HiddenLayer<T: Real> {
  let dense: DenseLayer
  let width: Int
  /// Per member: x · weight; after `activate` with `keep`, the slope of GELU there.
  let preactivation: [Matrix<T>]
  /// Per member: the layer's result.
  let activation: [Matrix<T>]
  private let norm: NormTensors<T>?

  /// - Parameter place: gives a matrix of rows × width; the same one each time when nothing is kept.
  init(
    _ index: Int, inputs: Int, width: Int, of shape: NetworkShape, rows: Int, place: () -> Matrix<T>,
    workspace: Workspace<T>
  ) {
    self.width = width
    dense = DenseLayer("dense\(index)", inputs: inputs, outputs: width, of: shape)
    preactivation = (0..<shape.members).map { _ in place() }
    activation = (0..<shape.members).map { _ in place() }
    norm =
      shape.layerNorm
      ? NormTensors(
        index, width: width, of: shape, rows: rows, place: place, workspace: workspace)
      : nil
  }

  /// From `preactivation` to `activation` for some rows; with `keep`, ready for `backward`.
  func activate(_ parameters: UnsafePointer<T>, _ e: Int, rows: Range<Int>, keep: Bool) {
    let u = preactivation[e].rows(rows)
    let h = activation[e].rows(rows)
    let bias = dense.bias(parameters, e)
    if let norm {
      T.geluNorm(
        u, bias: bias, norm: norm.parameters(parameters, e), normalised: norm.normalised[e].rows(rows),
        inverseDeviation: norm.inverseDeviation[e] + rows.lowerBound, into: h, keep: keep)
    } else {
      T.gelu(u, bias: bias, into: h, keep: keep)
    }
  }

  /// From the change of x · weight to that of the activation (forward mode), in place in `tangent`.
  func push(_ parameters: UnsafePointer<T>, _ e: Int, _ tangent: Matrix<T>, rows: Range<Int>) {
    let slope = preactivation[e].rows(rows)
    if let norm {
      T.geluNormTangent(
        tangent, derivative: slope, normalised: norm.normalised[e].rows(rows),
        inverseDeviation: norm.inverseDeviation[e] + rows.lowerBound,
        scale: norm.parameters(parameters, e).scale)
    } else {
      T.geluBackward(tangent, derivative: slope, biasGradient: nil)
    }
  }

  /// Where member `e`'s gradients of bias and norm lie.
  func vectors(_ gradients: UnsafeMutablePointer<T>, _ e: Int) -> VectorGradients<T> {
    let bias = dense.bias(gradients, e)
    return VectorGradients(width: width, bias: bias, norm: norm?.gradients(gradients, e, bias: bias))
  }

  /// From the gradient of the activation to that of x · weight, in place in some rows of `gradient`; adds the
  /// gradients of bias and norm unless `sums` is nil.
  func backward(
    _ parameters: UnsafePointer<T>, _ e: Int, _ gradient: Matrix<T>, rows: Range<Int>,
    into sums: VectorGradients<T>?
  ) {
    let slope = preactivation[e].rows(rows)
    if let norm {
      T.geluNormBackward(
        gradient.rows(rows), derivative: slope, normalised: norm.normalised[e].rows(rows),
        inverseDeviation: norm.inverseDeviation[e] + rows.lowerBound,
        scale: norm.parameters(parameters, e).scale,
        parameterGradients: sums?.norm)
    } else {
      T.geluBackward(
        gradient.rows(rows), derivative: slope, biasGradient: sums?.bias)
    }
  }
}

/// The layer norm of a hidden layer: where scale and shift lie, and what its backward pass needs.
struct NormTensors<T: Real> {
  private let width: Int
  private let scaleOffset: Int
  private let shiftOffset: Int
  /// Per member: the normalised features of each row.
  let normalised: [Matrix<T>]
  /// Per member: one over the deviation of each row.
  let inverseDeviation: [UnsafeMutablePointer<T>]

  init(
    _ index: Int, width: Int, of shape: NetworkShape, rows: Int, place: () -> Matrix<T>,
    workspace: Workspace<T>
  ) {
    self.width = width
    scaleOffset = shape.offset(of: "norm\(index)/scale")
    shiftOffset = shape.offset(of: "norm\(index)/bias")
    normalised = (0..<shape.members).map { _ in place() }
    inverseDeviation = (0..<shape.members).map { _ in workspace.vector(rows) }
  }

  func parameters(_ base: UnsafePointer<T>, _ e: Int) -> Norm<T> {
    Norm(scale: base + scaleOffset + e * width, shift: base + shiftOffset + e * width)
  }

  func gradients(
    _ base: UnsafeMutablePointer<T>, _ e: Int, bias: UnsafeMutablePointer<T>
  ) -> HiddenGradients<T> {
    HiddenGradients(
      bias: bias, scale: base + scaleOffset + e * width, shift: base + shiftOffset + e * width)
  }
}

/// The gradients of a layer's vectors: of its bias and, with a layer norm, of its scale and shift.
struct VectorGradients<T: Real> {
  let width: Int
  let bias: UnsafeMutablePointer<T>
  /// Those of the norm, with the same bias.
  let norm: HiddenGradients<T>?

  init(width: Int, bias: UnsafeMutablePointer<T>, norm: HiddenGradients<T>? = nil) {
    (self.width, self.bias, self.norm) = (width, bias, norm)
  }

  /// Zeroes them, before something is added to them.
  func clear() {
    bias.update(repeating: 0, count: width)
    guard let norm else { return }
    norm.scale.update(repeating: 0, count: width)
    norm.shift.update(repeating: 0, count: width)
  }

  /// The same vectors so many elements further in memory.
  func moved(by distance: Int) -> VectorGradients {
    let bias = bias + distance
    return VectorGradients(
      width: width, bias: bias,
      norm: norm.map { HiddenGradients(bias: bias, scale: $0.scale + distance, shift: $0.shift + distance) })
  }

  /// Adds others.
  func add(_ others: VectorGradients) {
    T.add(others.bias, to: bias, count: width)
    guard let norm, let others = others.norm else { return }
    T.add(others.scale, to: norm.scale, count: width)
    T.add(others.shift, to: norm.shift, count: width)
  }

  /// Takes over the numbers of others.
  func copy(_ others: VectorGradients) {
    bias.update(from: others.bias, count: width)
    guard let norm, let others = others.norm else { return }
    norm.scale.update(from: others.scale, count: width)
    norm.shift.update(from: others.shift, count: width)
  }
}
