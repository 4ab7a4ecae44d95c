import Kernels

/// A run's numbers as they were after some update, to be evaluated and saved while it goes on.
final class Snapshot: @unchecked Sendable {
  // Filled when it is made and only read afterwards, so any thread may have it.

  /// What a checkpoint of it says.
  let state: CheckpointState
  /// What a checkpoint of it holds.
  let tensors: NamedTensors
  private let memory: Buffer<Float>

  /// The flat vector of parameters.
  var parameters: UnsafePointer<Float> { UnsafePointer(memory.base) }

  /// Memory that it takes.
  var byteCount: Int { memory.count * MemoryLayout<Float>.stride }

  /// Whether a policy can be made of them.
  var isFinite: Bool {
    tensors.tensors.allSatisfy { UnsafeBufferPointer(start: $0.base, count: $0.count).allSatisfy(\.isFinite) }
  }

  /// A copy of all that a run carries from update to update.
  init(_ state: CheckpointState, _ tensors: NamedTensors, of numbers: UnsafeMutableBufferPointer<Float>) {
    memory = Buffer(count: numbers.count)
    memory.base.update(from: numbers.baseAddress!, count: numbers.count)
    self.state = state
    self.tensors = tensors.moved(from: numbers.baseAddress!, to: memory.base)
  }

  /// What a checkpoint of the same run holds.
  init(
    _ checkpoint: Checkpoint, like tensors: NamedTensors, of numbers: UnsafeMutableBufferPointer<Float>
  ) throws {
    memory = Buffer(count: numbers.count)
    state = checkpoint.state
    self.tensors = tensors.moved(from: numbers.baseAddress!, to: memory.base)
    try checkpoint.read(into: self.tensors)
  }
}
