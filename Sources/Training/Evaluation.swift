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
    /// The behaviour flow alone: behaviour cloning, for comparison. Not every agent has one.
    case behaviour
  }

  private let environment: PointMaze
  private let policies: [Actor: any Policy<Float>]
  private let episodes: Int
  private let seed: UInt32

  /// Evaluates with the agent of some hyperparameters.
  public init(
    task: PointMazeTask, _ problem: Problem, _ hyperparameters: Hyperparameters, episodes: Int, seed: UInt32
  ) {
    environment = task.environment
    self.episodes = episodes
    self.seed = seed
    let agent = hyperparameters.agent
    var policies = [Actor.policy: agent.policy(problem, hyperparameters, rows: episodes)]
    policies[.behaviour] = agent.behaviour(problem, hyperparameters, rows: episodes)
    self.policies = policies
  }

  /// Whether the agent has such an actor.
  public func plays(_ actor: Actor) -> Bool { policies[actor] != nil }

  /// Plays all episodes with the given parameters; nil when the agent has no such actor.
  public func run(_ parameters: UnsafePointer<Float>, actor: Actor = .policy) -> EvaluationResult? {
    guard let policy = policies[actor] else { return nil }
    var states = (0..<episodes).map { environment.reset(seed: seed, episode: UInt64($0)) }
    var results = [(success: Bool, total: Double, length: Int)](repeating: (false, 0, 0), count: episodes)
    // The episodes still running; row i of the policy's matrices is episode running[i].
    var running = Array(0..<episodes)
    var step = 0
    while !running.isEmpty {
      act(parameters, policy, states, running, step)
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
    _ parameters: UnsafePointer<Float>, _ policy: any Policy<Float>, _ states: [PointMaze.Episode],
    _ running: [Int], _ step: Int
  ) {
    for (row, e) in running.enumerated() {
      let observation = environment.observation(of: states[e])
      policy.observations[row, 0] = observation.x
      policy.observations[row, 1] = observation.y
    }
    for (index, (draw, noise)) in zip(policy.draws, policy.noise).enumerated() {
      let key = SIMD2(seed, RandomStream.acting(index).rawValue)
      draw.fill(noise, rows: running.count, key: key, step: step) { UInt32(running[$0]) }
    }
    policy.act(parameters, rows: running.count)
  }
}
