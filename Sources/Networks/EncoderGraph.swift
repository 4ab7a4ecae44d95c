import Kernels

extension NetworkShape {
  /// What every encoder computes, in one line for people.
  public static let encoderRule = """
    encoder: x = observation / 255, (row, column, channel); for each stack: x = conv0(x), x = the largest of each 3 x 3 \
    window, stride 2, output ceil(n / 2), the window reaching one place out of the image before an odd n and one after \
    any n, places outside never win; then for each block, that is conv1 and conv2, conv3 and conv4, ...: x = x + \
    conv2(relu(conv1(relu(x)))); convolutions are 3 x 3, stride 1, zero padding 1, weights (3, 3, in, out); at the end \
    state = gelu(relu(x).flatten() @ dense0/weight + dense0/bias), which is what networks take for the observation
    """

  /// Adds to a graph what the network takes for the state: vectors, rows × size, as they are; of images, rows × height ×
  /// width × channels, the features that the network's own encoder gives, rows × features.
  public func describeState(
    _ observations: OperatorGraph.Value, in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    guard let encoder else { return observations }
    let numbers = graph.apply("Cast", observations, attributes: ["to": 1])
    let shares = graph.apply("Div", numbers, graph.number(255))
    // ONNX has channels before rows and columns.
    var x = graph.apply("Transpose", shares, attributes: ["perm": [0, 3, 1, 2]])
    for layers in encoder.layers {
      x = maxPool(convolve(layers[0], x, &graph), after: layers[0].convolution, &graph)
      for layer in stride(from: 1, to: layers.count, by: 2) {
        let h = convolve(layers[layer], graph.apply("Relu", x), &graph)
        x = graph.apply("Add", convolve(layers[layer + 1], graph.apply("Relu", h), &graph), x)
      }
    }
    let places = graph.apply("Transpose", graph.apply("Relu", x), attributes: ["perm": [0, 2, 3, 1]])
    let flat = graph.apply("Reshape", places, graph.integers(-1, encoder.flatSize))
    let product = graph.apply("MatMul", flat, graph.parameter("\(name)/encoder/dense0/weight"))
    return graph.gelu(graph.apply("Add", product, graph.parameter("\(name)/encoder/dense0/bias")))
  }

  private func convolve(
    _ layer: EncoderShape.Layer, _ x: OperatorGraph.Value, _ graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let weight = graph.parameter("\(name)/encoder/\(layer.name)/weight")
    // From (3, 3, in, out) to (out, in, 3, 3).
    let kernel = graph.apply("Transpose", weight, attributes: ["perm": [3, 2, 0, 1]])
    return graph.apply(
      "Conv", x, kernel, graph.parameter("\(name)/encoder/\(layer.name)/bias"),
      attributes: ["kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]])
  }

  private func maxPool(
    _ x: OperatorGraph.Value, after layer: Convolution, _ graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    graph.apply(
      "MaxPool", x,
      attributes: [
        "kernel_shape": [3, 3], "pads": .integers([layer.rowsBefore, layer.columnsBefore, 1, 1]),
        "strides": [2, 2],
      ])
  }
}
