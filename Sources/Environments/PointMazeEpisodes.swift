import Kernels

/// Plays episodes of an embedded point maze.
public final class PointMazeEpisodes: VectorEnvironment {
  public let capacity: Int
  private let maze: PointMaze
  private let seed: UInt32
  private var running: [PointMaze.Episode?]

  /// Makes an environment with `capacity` slots.
  public init(_ task: PointMazeTask, seed: UInt32, capacity: Int) {
    maze = task.environment
    self.seed = seed
    self.capacity = capacity
    running = Array(repeating: nil, count: capacity)
  }

  public func describe() -> EnvironmentDescription {
    EnvironmentDescription(
      observationSize: PointMazeTask.observationSize, actionSize: PointMazeTask.actionSize)
  }

  public func start(_ episodes: [Int], in slots: [Int], _ observations: Matrix<Float>) {
    for (row, (episode, slot)) in zip(episodes, slots).enumerated() {
      let start = maze.reset(seed: seed, episode: UInt64(episode))
      running[slot] = start
      show(start, observations, row)
    }
  }

  public func step(
    _ slots: [Int], _ actions: Matrix<Float>, _ observations: Matrix<Float>
  ) -> [StepOutcome] {
    slots.enumerated().map { row, slot in
      guard var episode = running[slot] else { preconditionFailure("no episode is running in slot \(slot)") }
      let outcome = maze.step(&episode, action: SIMD2(actions[row, 0], actions[row, 1]))
      running[slot] = episode
      show(episode, observations, row)
      return StepOutcome(
        reward: Double(outcome.reward), terminated: outcome.terminated, truncated: outcome.truncated,
        success: outcome.terminated)
    }
  }

  public func state(of slot: Int) -> [Double]? {
    running[slot].map { [$0.position.x, $0.position.y, Double($0.steps)] }
  }

  public func resume(_ state: [Double], in slot: Int, _ observation: UnsafeMutablePointer<Float>) -> Bool {
    guard state.count == 3, let episode = maze.episode(at: SIMD2(state[0], state[1]), steps: state[2]) else {
      return false
    }
    running[slot] = episode
    let shown = maze.observation(of: episode)
    (observation[0], observation[1]) = (shown.x, shown.y)
    return true
  }

  public func stop() {}

  private func show(_ episode: PointMaze.Episode, _ observations: Matrix<Float>, _ row: Int) {
    let observation = maze.observation(of: episode)
    observations[row, 0] = observation.x
    observations[row, 1] = observation.y
  }
}
