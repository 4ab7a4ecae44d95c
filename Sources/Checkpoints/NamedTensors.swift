import Learning

/// The tensors of a run in memory: what a checkpoint holds.
public struct NamedTensors {
  /// One tensor and where it lies.
  typealias Tensor = (name: String, shape: [Int], base: UnsafeMutablePointer<Float>, count: Int)

  let tensors: [Tensor]

  /// Parameters and moments of every trained tensor, and the targets' parameters.
  public init(of learner: Learner) {
    let memory = learner.memory
    var all: [Tensor] = []
    for slot in learner.layout.slots {
      all.append((slot.name, slot.shape, memory.parameters + slot.offset, slot.count))
      all.append(("adam/first/\(slot.name)", slot.shape, memory.moments.first + slot.offset, slot.count))
      all.append(("adam/second/\(slot.name)", slot.shape, memory.moments.second + slot.offset, slot.count))
    }
    for slot in learner.layout.targetSlots {
      all.append((slot.name, slot.shape, memory.target + slot.offset, slot.count))
    }
    tensors = all
  }

  private init(_ tensors: [Tensor]) { self.tensors = tensors }

  /// The same tensors in a copy of the memory they lie in.
  func moved(from old: UnsafeMutablePointer<Float>, to new: UnsafeMutablePointer<Float>) -> NamedTensors {
    NamedTensors(tensors.map { ($0.name, $0.shape, new + ($0.base - old), $0.count) })
  }
}
