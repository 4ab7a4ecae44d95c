import Agents
import Kernels
import Networks
import Settings

/// A trained policy, from a checkpoint or from an exported file.
public final class SavedPolicy {
  /// What the file says beside its tensors.
  public let state: CheckpointState
  /// The settings that the policy was trained with.
  public let configuration: Configuration
  /// The flat vector of the agent's parameters. From an exported policy, those that the policy does not need are zero.
  public let parameters: Buffer<Float>
  private let layout: ParameterLayout

  /// Opens a file and reads its tensors.
  ///
  /// - Parameter acceptsPolicy: whether a file that holds the policy alone will do.
  public init(path: String, acceptsPolicy: Bool = false) throws {
    let checkpoint = try Checkpoint(path: path, acceptsPolicy: acceptsPolicy)
    state = checkpoint.state
    configuration = try checkpoint.configuration()
    let hyperparameters = configuration.hyperparameters
    try hyperparameters.requireFit(state.spec.observation, of: path)
    // Without memory for rows, which may be much: a damaged file may claim any sizes, and is believed only when all
    // tensors are there.
    layout = hyperparameters.agent.layout(state.spec, hyperparameters)
    let policy = hyperparameters.agent.policy(state.spec, hyperparameters, rows: 0)
    let needed = Set(policy.graph.parameters)
    let isWhole = state.format == .checkpoint
    let slots = layout.slots.filter { isWhole || needed.contains($0.name) }
    for slot in slots { try checkpoint.require(slot.name, shape: slot.shape) }
    parameters = Buffer(count: layout.count)
    for slot in slots {
      try checkpoint.read(slot.name, shape: slot.shape, into: parameters.base + slot.offset)
    }
  }

  /// The agent's way to act, for up to `rows` observations at once, with scaled observations and actions in [−1, 1].
  public func policy(rows: Int) -> any Policy<Float> {
    configuration.hyperparameters.agent.policy(state.spec, configuration.hyperparameters, rows: rows)
  }

  /// The same with observations and actions in the data's own units.
  public func rawPolicy(rows: Int) -> any Policy<Float> {
    let policy = policy(rows: rows)
    guard let scales = state.spec.scales, scales.observations != nil || scales.actions != nil else {
      return policy
    }
    return RawPolicy(policy, scales, rows: rows)
  }

  /// Some of the tensors, by name.
  public func tensors(_ names: [String]) -> [String: (shape: [Int], values: [Float])] {
    let wanted = layout.slots.filter { names.contains($0.name) }
    return Dictionary(
      uniqueKeysWithValues: wanted.map { slot in
        let values = UnsafeBufferPointer(start: parameters.base + slot.offset, count: slot.count)
        return (slot.name, (slot.shape, Array(values)))
      })
  }
}
