import Agents
import ArrayFiles
import Checkpoints
import Networks
import Settings

/// A trained policy on its way to other programs.
public struct PolicyExport {
  /// The files it can be written as; raw values are the ends of their names.
  public enum Format: String, CaseIterable, Sendable {
    /// The tensors that acting needs, and in the metadata how to act with them.
    case safetensors
    /// What acting computes, for ONNX runtimes.
    case onnx
  }

  /// What acting needs, such as `observation (batch, 28), noise (batch, 5)`.
  public var inputs: String { Self.list(graph.inputs) }
  /// What acting gives, in the same way.
  public var outputs: String { Self.list(graph.outputs) }

  private let graph: OperatorGraph
  private let parameters: [String: (shape: [Int], values: [Float])]
  private let metadata: [String: String]

  /// The policy of a file.
  public init(_ saved: SavedPolicy) {
    let agent = saved.configuration.hyperparameters.agent
    let policy = saved.policy(rows: 1)
    graph = policy.graph
    parameters = saved.tensors(graph.parameters)
    var state = saved.state
    state.format = .policy
    metadata = state.metadata.merging([
      "agent": agent.rawValue, "env": saved.configuration.env, "acting": policy.rule,
      "networks": NetworkShape.rule, "inputs": Self.list(graph.inputs), "outputs": Self.list(graph.outputs),
    ]) { $1 }
  }

  /// Writes a file.
  public func write(_ format: Format, to path: String) throws {
    switch format {
    case .onnx: try ONNXModel(graph: graph, parameters: parameters, metadata: metadata).write(to: path)
    case .safetensors: try writeTensors(to: path)
    }
  }

  private func writeTensors(to path: String) throws {
    // One block of memory for all of them, which the writer's views point into.
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
      "\(port.value.name) (\(port.shape.map { $0.map(String.init) ?? "batch" }.joined(separator: ", ")))"
    }.joined(separator: ", ")
  }
}
