import Agents
import ArrayFiles
import Checkpoints
import Networks
import Settings

/// A trained policy, to be written as a file for other programs.
public struct PolicyExport {
  /// The formats of files; the raw values are file name extensions.
  public enum Format: String, CaseIterable, Sendable {
    /// The policy's tensors; the metadata describe how to compute actions from them.
    case safetensors
    /// The policy's computation, for ONNX runtimes.
    case onnx
  }

  /// The policy's inputs with their shapes, such as `observation (batch, 28), noise (batch, 5)`; behind that of images
  /// stands `of uint8`.
  public var inputs: String { Self.list(graph.inputs) }
  /// The policy's outputs with their shapes, in the same form.
  public var outputs: String { Self.list(graph.outputs) }

  private let graph: OperatorGraph
  private let parameters: [String: (shape: [Int], values: [Float])]
  private let metadata: [String: String]

  /// Prepares the policy of a saved file.
  public init(_ saved: SavedPolicy) {
    let agent = saved.configuration.hyperparameters.agent
    let policy = saved.rawPolicy(rows: 1)
    graph = policy.graph
    parameters = saved.tensors(graph.parameters)
    var state = saved.state
    state.format = .policy
    metadata = state.metadata.merging([
      "agent": agent.rawValue, "env": saved.configuration.env, "acting": policy.rule,
      "networks": saved.configuration.hyperparameters.encoder == nil
        ? NetworkShape.rule : "\(NetworkShape.rule); \(NetworkShape.encoderRule)",
      "inputs": Self.list(graph.inputs), "outputs": Self.list(graph.outputs),
    ]) { $1 }
  }

  /// Writes the policy to the file `path`. Throws `FileError` of kind `.unwritable`.
  public func write(_ format: Format, to path: String) throws {
    switch format {
    case .onnx: try ONNXModel(graph: graph, parameters: parameters, metadata: metadata).write(to: path)
    case .safetensors: try writeTensors(to: path)
    }
  }

  private func writeTensors(to path: String) throws {
    // The values of all tensors are copied into one array, because the writer takes views of memory.
    let all = parameters.sorted { $0.key < $1.key }
    let values = all.flatMap(\.value.values)
    try values.withUnsafeBufferPointer { values in
      var start = 0
      let tensors = all.map { name, tensor in
        defer { start += tensor.values.count }
        return (
          name, tensor.shape, UnsafeBufferPointer(rebasing: values[start..<start + tensor.values.count])
        )
      }
      try SafetensorsWriter.write(path: path, metadata: metadata, tensors: tensors)
    }
  }

  private static func list(_ ports: [OperatorGraph.Port]) -> String {
    ports.map { port in
      let sizes = port.shape.map { $0.map(String.init) ?? "batch" }.joined(separator: ", ")
      return "\(port.value.name) (\(sizes))\(port.element == .byte ? " of uint8" : "")"
    }.joined(separator: ", ")
  }
}
