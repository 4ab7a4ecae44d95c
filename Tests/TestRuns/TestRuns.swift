import Agents
import ArrayFiles
import Checkpoints
import Foundation
import Kernels
import Networks
import Settings

/// The settings of a run with small networks; `arguments` override them.
public func smallConfiguration(_ agent: AgentKind = .fan, _ arguments: [String] = []) throws -> Configuration
{
  let small = [
    "actor-hidden-dims": "8,8", "value-hidden-dims": "8", "batch-size": "8", "flow-steps": "2",
    "num-quantiles": "3", "num-cosines": "4", "embedding-dim": "8", "num-samples": "3",
  ]
  let read = small.filter { agent.reads($0.key) }.map { "--\($0.key)=\($0.value)" }.sorted()
  return try .layered(["--agent=\(agent)"] + read + arguments)
}

/// The sizes of the default task's data.
public let smallSpec = DataSpec(observationSize: 2, actionSize: 2, rewards: -1...0)

/// The parameters that a run starts from.
public func initialParameters(_ configuration: Configuration, _ spec: DataSpec = smallSpec) -> Buffer<Float> {
  let hyperparameters = configuration.hyperparameters
  let layout = hyperparameters.agent.layout(spec, hyperparameters)
  let parameters = Buffer<Float>(count: layout.count)
  layout.initialise(parameters.base, seed: configuration.seed)
  return parameters
}

/// Writes a checkpoint that holds the parameters that a run starts from. Directories are created.
public func writeCheckpoint(
  _ configuration: Configuration, step: Int, spec: DataSpec = smallSpec, to path: String
) throws {
  let hyperparameters = configuration.hyperparameters
  let layout = hyperparameters.agent.layout(spec, hyperparameters)
  let parameters = initialParameters(configuration, spec)
  let state = CheckpointState(
    step: step, optimiserSteps: step, configuration: configuration.yaml, datasetDigest: "0123456789abcdef",
    spec: spec)
  try FileManager.default.createDirectory(
    at: URL(fileURLWithPath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
  try SafetensorsWriter.write(
    path: path, metadata: state.metadata,
    tensors: layout.slots.map { slot in
      (slot.name, slot.shape, UnsafeBufferPointer(start: parameters.base + slot.offset, count: slot.count))
    })
}
