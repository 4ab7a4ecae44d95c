import Kernels

/// Plays episodes of an embedded point maze.
public final class PointMazeEpisodes: VectorEnvironment {
  public let capacity: Int
  private let task: PointMazeTask
  private let seed: UInt32
  private var running: [PointMaze.Episode?]

  /// Makes an environment with `capacity` slots.
  public init(_ task: PointMazeTask, seed: UInt32, capacity: Int) {
    self.task = task
    self.seed = seed
    self.capacity = capacity
    running = Array(repeating: nil, count: capacity)
  }

  public func describe() -> EnvironmentDescription {
    EnvironmentDescription(observation: task.observation, actionSize: PointMazeTask.actionSize)
  }

  public func start(_ episodes: [Int], in slots: [Int], _ place: ObservationPlace) {
    for (row, (episode, slot)) in zip(episodes, slots).enumerated() {
      let start = task.environment.reset(seed: seed, episode: UInt64(episode))
      running[slot] = start
      task.observe(start, to: place(row))
    }
  }

  public func step(
    _ slots: [Int], _ actions: Matrix<Float>, _ place: ObservationPlace
  ) -> [StepOutcome] {
    slots.enumerated().map { row, slot in
      guard var episode = running[slot] else { preconditionFailure("no episode is running in slot \(slot)") }
      let outcome = task.environment.step(&episode, action: SIMD2(actions[row, 0], actions[row, 1]))
      running[slot] = episode
      task.observe(episode, to: place(row))
      return StepOutcome(
        reward: Double(outcome.reward), terminated: outcome.terminated, truncated: outcome.truncated,
        success: outcome.terminated)
    }
  }

  public func state(of slot: Int) -> [Double]? {
    running[slot].map { [$0.position.x, $0.position.y, Double($0.steps)] }
  }

  public func resume(_ state: [Double], in slot: Int, _ observation: UnsafeMutableRawPointer) -> Bool {
    guard state.count == 3,
      let episode = task.environment.episode(at: SIMD2(state[0], state[1]), steps: state[2])
    else { return false }
    running[slot] = episode
    task.observe(episode, to: observation)
    return true
  }

  public func stop() {}

  /// The disc's centre in the episode that runs in a slot.
  public func position(in slot: Int) -> SIMD2<Double> {
    guard let episode = running[slot] else { preconditionFailure("no episode is running in slot \(slot)") }
    return episode.position
  }
}
