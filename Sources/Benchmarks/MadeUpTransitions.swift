import Agents
import Datasets
import Randomness

/// Transitions of random numbers, to time updates with.
final class MadeUpTransitions {
  let memory: TransitionMemory
  /// What an agent needs to know about them.
  let spec: DataSpec
  private let base: UnsafeMutableRawPointer

  init(observationSize: Int, actionSize: Int) {
    let plan = DatasetPlan(
      rows: 50_001, episodes: 1, observationSize: observationSize, actionSize: actionSize)
    base = .allocate(byteCount: plan.byteCount, alignment: 64)
    var random = RandomSequence(seed: 0, stream: .behaviour)
    let floats = base.assumingMemoryBound(to: Float.self)
    for i in 0..<plan.episodesOffset / 4 { floats[i] = 2 * random.uniform() - 1 }
    // One episode, which starts with transition 0.
    (base + plan.episodesOffset).storeBytes(of: 0, as: Int64.self)
    memory = TransitionMemory(plan: plan, base: UnsafeRawPointer(base))
    spec = DataSpec(observationSize: observationSize, actionSize: actionSize, rewards: -1...1)
  }

  deinit { base.deallocate() }
}
