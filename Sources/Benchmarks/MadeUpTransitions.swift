import Agents
import Basics
import Datasets
import Randomness

/// Transitions of random numbers, to time updates with.
final class MadeUpTransitions {
  let memory: TransitionMemory
  /// What an agent needs to know about them.
  let spec: DataSpec
  private let base: UnsafeMutableRawPointer

  /// Rows of vectors. There are fewer of images, which take at most `mostImageBytes`.
  private static let vectorRows = 50_001
  private static let mostImageBytes = 64 << 20

  init(_ observation: ObservationSpace, actionSize: Int) {
    var rows = Self.vectorRows
    if case .image = observation { rows = min(rows, max(129, Self.mostImageBytes / observation.byteCount)) }
    let plan = DatasetPlan(rows: rows, episodes: 1, observation: observation, actionSize: actionSize)
    base = .allocate(byteCount: plan.byteCount, alignment: 64)
    var random = RandomSequence(seed: 0, stream: .behaviour)
    var numbers = 0..<plan.episodesOffset
    if case .image = observation {
      numbers = plan.actionsOffset..<plan.episodesOffset
      for i in 0..<plan.actionsOffset {
        (base + i).storeBytes(of: UInt8(255 * random.uniform()), as: UInt8.self)
      }
    }
    for offset in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 4) {
      (base + offset).storeBytes(of: 2 * random.uniform() - 1, as: Float.self)
    }
    // One episode, which starts with transition 0.
    (base + plan.episodesOffset).storeBytes(of: 0, as: Int64.self)
    memory = TransitionMemory(plan: plan, base: UnsafeRawPointer(base))
    spec = DataSpec(observation: observation, actionSize: actionSize, rewards: -1...1)
  }

  deinit { base.deallocate() }
}
