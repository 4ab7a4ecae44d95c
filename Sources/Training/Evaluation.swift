import Agents
import Environments
import Kernels

/// What some episodes came to.
public struct EvaluationResult: Sendable, Equatable {
  /// Number of episodes.
  public let episodes: Int
  /// Share of episodes that reached the goal.
  public let success: Double
  /// Mean undiscounted return.
  public let meanReturn: Double
  /// Standard error of the mean return.
  public let returnError: Double
  /// Mean number of steps.
  public let meanLength: Double

  init(_ episodes: [(success: Bool, total: Double, length: Int)]) {
    let count = Double(episodes.count)
    self.episodes = episodes.count
    success = Double(episodes.count { $0.success }) / count
    let mean = episodes.reduce(0) { $0 + $1.total } / count
    let variance = episodes.reduce(0) { $0 + ($1.total - mean) * ($1.total - mean) } / max(count - 1, 1)
    meanReturn = mean
    returnError = (variance / count).squareRoot()
    meanLength = Double(episodes.reduce(0) { $0 + $1.length }) / count
  }
}

/// Plays episodes of an embedded task, all at once, so that the policy acts in batches.
///
/// The same seed gives the same episodes: episode e starts and draws its noise from counters (e, step).
public final class Evaluator {
  /// Whose actions are played.
  public enum Actor: String, Sendable {
    /// The policy.
    case policy
    /// The behaviour flow alone: behaviour cloning, for comparison.
    case behaviour
  }

  private let environment: PointMaze
  private let policy: FANPolicy<Float>
  private let episodes: Int
  private let seed: UInt32

  /// Evaluates with the networks of a configuration.
  public init(task: PointMazeTask, hyperparameters: Hyperparameters, episodes: Int, seed: UInt32) {
    environment = task.environment
    self.episodes = episodes
    self.seed = seed
    policy = FANPolicy(
      observationSize: PointMazeTask.observationSize, actionSize: PointMazeTask.actionSize,
      hyperparameters: hyperparameters, rows: episodes)
  }

  /// Plays all episodes with the given parameters.
  public func run(_ parameters: UnsafePointer<Float>, actor: Actor = .policy) -> EvaluationResult {
    var states = (0..<episodes).map { environment.reset(seed: seed, episode: UInt64($0)) }
    var results = [(success: Bool, total: Double, length: Int)](repeating: (false, 0, 0), count: episodes)
    // The episodes still running; row i of the policy's matrices is episode running[i].
    var running = Array(0..<episodes)
    var step = 0
    while !running.isEmpty {
      act(parameters, actor, states, running, step)
      for (row, e) in running.enumerated() {
        let action = SIMD2(policy.actions[row, 0], policy.actions[row, 1])
        let outcome = environment.step(&states[e], action: action)
        results[e].total += Double(outcome.reward)
        results[e].length += 1
        if outcome.terminated { results[e].success = true }
        if outcome.terminated || outcome.truncated { results[e].length = -results[e].length }
      }
      running.removeAll { results[$0].length < 0 }
      step += 1
    }
    return EvaluationResult(results.map { ($0.success, $0.total, abs($0.length)) })
  }

  private func act(
    _ parameters: UnsafePointer<Float>, _ actor: Actor, _ states: [PointMaze.Episode], _ running: [Int],
    _ step: Int
  ) {
    for (row, e) in running.enumerated() {
      let observation = environment.observation(of: states[e])
      policy.observations[row, 0] = observation.x
      policy.observations[row, 1] = observation.y
    }
    let key = SIMD2(seed, RandomStream.acting.rawValue)
    CounterNoise.normal(policy.noise, rows: running.count, key: key) { row in
      SIMD4(0, UInt32(running[row]), UInt32(step), 0)
    }
    switch actor {
    case .policy: policy.act(parameters, rows: running.count)
    case .behaviour: policy.imitate(parameters, rows: running.count)
    }
  }
}
