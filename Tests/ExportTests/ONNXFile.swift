import Foundation
import TestSupport

/// What an ONNX file says, read by the field numbers of onnx.proto:
/// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
struct ONNXFile {
  /// An input or output, with numbers or names for sizes.
  struct Port {
    let name: String
    let shape: [String]
    /// Whether its elements are unsigned bytes; otherwise they are floats.
    let isBytes: Bool
  }

  /// What the file has no right to say.
  struct Malformed: Error { let problem: String }

  let formatVersion: Int?
  let producer: String?
  /// The version of each operator set, by its domain.
  let operatorSets: [String: Int]
  let metadata: [String: String]
  let inputs: [Port]
  let outputs: [Port]
  let constants: [String: Tensor]
  let operators: [GraphOperator]

  init(path: String) throws {
    let model = try ProtobufFields(Data(contentsOf: URL(fileURLWithPath: path)))
    formatVersion = model.integers(1).first
    producer = model.texts(2).first
    operatorSets = Dictionary(
      uniqueKeysWithValues: try model.messages(8).map { ($0.texts(1).first ?? "", $0.integers(2).first ?? 0) }
    )
    metadata = Dictionary(
      uniqueKeysWithValues: try model.messages(14).map { ($0.texts(1).first ?? "", $0.texts(2).first ?? "") })
    let graphs = try model.messages(7)
    guard let graph = graphs.first, graphs.count == 1 else { throw Malformed(problem: "not one graph") }
    inputs = try graph.messages(11).map(Self.port)
    outputs = try graph.messages(12).map(Self.port)
    constants = Dictionary(uniqueKeysWithValues: try graph.messages(5).map(Self.tensor))
    operators = try graph.messages(1).map { node in
      guard let type = node.texts(4).first, let output = node.texts(2).first, node.texts(2).count == 1 else {
        throw Malformed(problem: "an operator without type or with other than one output")
      }
      return GraphOperator(
        type, node.texts(1), output,
        Dictionary(uniqueKeysWithValues: try node.messages(5).map(Self.attribute)))
    }
  }

  /// A `ValueInfoProto` of a tensor of floats (type 1) or of unsigned bytes (type 2).
  private static func port(_ message: ProtobufFields) throws -> Port {
    guard let name = message.texts(1).first, let type = try message.messages(2).first?.messages(1).first,
      [[1], [2]].contains(type.integers(1)), let shape = try type.messages(2).first
    else { throw Malformed(problem: "a port that is no tensor of floats or bytes") }
    return Port(
      name: name,
      shape: try shape.messages(1).map { size in
        size.integers(1).first.map(String.init) ?? size.texts(2).first ?? "?"
      }, isBytes: type.integers(1) == [2])
  }

  /// A `TensorProto` of floats (type 1) or of 64-bit integers (type 7).
  private static func tensor(_ message: ProtobufFields) throws -> (String, Tensor) {
    guard let name = message.texts(8).first, let data = message.bytes(9).first else {
      throw Malformed(problem: "a tensor without name or data")
    }
    let size = message.integers(2) == [1] ? 4 : message.integers(2) == [7] ? 8 : 0
    let shape = message.integers(1)
    guard size > 0, data.count == size * shape.reduce(1, *) else {
      throw Malformed(problem: "\(name): \(data.count) bytes of type \(message.integers(2)) for \(shape)")
    }
    let values = stride(from: 0, to: data.count, by: size).map { start in
      let bits = data[start..<start + size].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
      return size == 4 ? Double(Float(bitPattern: UInt32(bits))) : Double(Int64(bitPattern: bits))
    }
    return (name, Tensor(shape, values))
  }

  /// An `AttributeProto` of an integer (type 2) or of integers (type 7).
  private static func attribute(_ message: ProtobufFields) throws -> (String, [Int]) {
    guard let name = message.texts(1).first else { throw Malformed(problem: "an attribute without name") }
    switch message.integers(20) {
    case [2]: return (name, message.integers(3))
    case [7]: return (name, message.integers(8))
    default: throw Malformed(problem: "\(name): an attribute of type \(message.integers(20))")
    }
  }
}
