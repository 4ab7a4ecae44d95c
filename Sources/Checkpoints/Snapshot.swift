import Kernels
import Learning

/// A run's numbers as they were after some update, to be evaluated and saved while the run goes on.
public final class Snapshot: @unchecked Sendable {
  // Filled when it is made and only read afterwards, so any thread may have it.

  /// What a checkpoint of the snapshot says beside its tensors.
  public let state: CheckpointState
  /// The tensors of a checkpoint of the snapshot.
  public let tensors: NamedTensors
  private let memory: Buffer<Float>

  /// The flat vector of parameters.
  public var parameters: UnsafePointer<Float> { UnsafePointer(memory.base) }

  /// Bytes of memory that the snapshot takes.
  public var byteCount: Int { memory.count * MemoryLayout<Float>.stride }

  /// Whether all numbers are finite, so that a policy can be made of them.
  public var isFinite: Bool {
    tensors.tensors.allSatisfy { UnsafeBufferPointer(start: $0.base, count: $0.count).allSatisfy(\.isFinite) }
  }

  /// A copy of all that a learner carries from update to update.
  public init(_ state: CheckpointState, of learner: Learner) {
    let carried = learner.memory.carried
    memory = Buffer(count: carried.count)
    memory.base.update(from: carried.baseAddress!, count: carried.count)
    self.state = state
    tensors = NamedTensors(of: learner).moved(from: carried.baseAddress!, to: memory.base)
  }

  /// The snapshot that a checkpoint of the same run holds.
  public init(_ checkpoint: Checkpoint, like learner: Learner) throws {
    let carried = learner.memory.carried
    memory = Buffer(count: carried.count)
    state = checkpoint.state
    tensors = NamedTensors(of: learner).moved(from: carried.baseAddress!, to: memory.base)
    try checkpoint.read(into: tensors)
  }
}
