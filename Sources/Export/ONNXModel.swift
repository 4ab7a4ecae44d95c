import ArrayFiles
import Networks
import ProtobufFiles

/// An operator graph and its parameters, to be written as an ONNX file. Field numbers are those of
/// onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
struct ONNXModel {
  /// The computation.
  let graph: OperatorGraph
  /// The parameters of the graph by name, with row-major values.
  let parameters: [String: (shape: [Int], values: [Float])]
  /// The metadata of the file.
  let metadata: [String: String]

  /// The largest size of all parameters in bytes. Protocol buffers are limited to 2 GiB, which leaves room
  /// for the rest of the file.
  private static let largest = 2_000_000_000

  /// Writes the model to the file `path`.
  ///
  /// - Throws: `FileError` of kind `.unwritable`.
  func write(to path: String) throws(FileError) {
    let size = parameters.values.reduce(0) { $0 + 4 * $1.values.count }
    guard size < Self.largest else {
      throw FileError(
        .unwritable, file: path, reason: "an ONNX file holds less than 2 GB; export .safetensors")
    }
    let file = try AtomicFile(path: path)
    try file.write(model.bytes, at: 0)
    try file.synchronize()
    try file.commit()
  }

  private var model: ProtobufMessage {
    var operators = ProtobufMessage()
    operators.add(1, "")
    operators.add(2, 13)
    var model = ProtobufMessage()
    // Version 7 of the format, the one released with operator set 13.
    model.add(1, 7)
    model.add(2, "fan-dist")
    model.add(8, operators)
    model.add(7, content)
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      var entry = ProtobufMessage()
      entry.add(1, key)
      entry.add(2, value)
      model.add(14, entry)
    }
    return model
  }

  private var content: ProtobufMessage {
    var content = ProtobufMessage()
    for node in graph.nodes { content.add(1, message(node)) }
    content.add(2, "policy")
    for (constant, value) in graph.constants.sorted(by: { $0.value.name < $1.value.name }) {
      content.add(5, message(constant, value.name))
    }
    for input in graph.inputs { content.add(11, message(input)) }
    for output in graph.outputs { content.add(12, message(output)) }
    return content
  }

  private func message(_ node: OperatorGraph.Node) -> ProtobufMessage {
    var message = ProtobufMessage()
    for input in node.inputs { message.add(1, input.name) }
    message.add(2, node.output.name)
    message.add(3, node.output.name)
    message.add(4, node.type)
    for (name, value) in node.attributes.sorted(by: { $0.key < $1.key }) {
      message.add(5, self.message(name, value))
    }
    return message
  }

  private func message(_ name: String, _ attribute: OperatorGraph.Attribute) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.add(1, name)
    switch attribute {
    case .integer(let value):
      message.add(3, value)
      message.add(20, 2)
    case .integers(let values):
      for value in values { message.add(8, value) }
      message.add(20, 7)
    }
    return message
  }

  private func message(_ constant: OperatorGraph.Constant, _ name: String) -> ProtobufMessage {
    var message = ProtobufMessage()
    func add(_ shape: [Int], type: Int, _ values: [UInt8]) {
      for size in shape { message.add(1, size) }
      message.add(2, type)
      message.add(8, name)
      message.add(9, values)
    }
    switch constant {
    case .number(let value): add([], type: 1, littleEndian([value.bitPattern]))
    case .numbers(let values): add([values.count], type: 1, littleEndian(values.map(\.bitPattern)))
    case .integers(let values): add([values.count], type: 7, littleEndian(values))
    case .parameter(let name):
      guard let tensor = parameters[name] else { preconditionFailure("\(name) is not given") }
      add(tensor.shape, type: 1, littleEndian(tensor.values.map(\.bitPattern)))
    }
    return message
  }

  /// The description of an input or output, whose unknown dimension is called "batch".
  private func message(_ port: OperatorGraph.Port) -> ProtobufMessage {
    var sizes = ProtobufMessage()
    for size in port.shape {
      var dimension = ProtobufMessage()
      if let size { dimension.add(1, size) } else { dimension.add(2, "batch") }
      sizes.add(1, dimension)
    }
    var tensor = ProtobufMessage()
    tensor.add(1, port.element == .float ? 1 : 2)
    tensor.add(2, sizes)
    var type = ProtobufMessage()
    type.add(1, tensor)
    var message = ProtobufMessage()
    message.add(1, port.value.name)
    message.add(2, type)
    return message
  }
}

private func littleEndian<T: FixedWidthInteger>(_ values: [T]) -> [UInt8] {
  values.map(\.littleEndian).withUnsafeBytes { Array($0) }
}
