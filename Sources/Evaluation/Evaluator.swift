import Agents
import Basics
import Environments
import Kernels
import Randomness
import Settings

/// Plays episodes of a task, several at once, so that the policy acts in batches.
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

  /// An episode that is being played.
  private struct Running {
    let episode: Int
    let slot: Int
    var played = PlayedEpisode()
  }

  /// An episode that is longer is taken for one without end.
  private static let longest = 100_000

  private let environment: any VectorEnvironment
  private let policies: [Actor: any Policy<Float>]
  private let episodes: Int
  private let seed: UInt32
  private let success: SuccessRule
  private let referenceReturns: [Double]?

  /// An evaluator of the policies of some hyperparameters' agent.
  ///
  /// - Parameters:
  ///   - success: when an episode has solved its task.
  ///   - referenceReturns: the two returns that score 0 and 100; nil for the environment's.
  public init(
    _ environment: any VectorEnvironment, _ spec: DataSpec, _ hyperparameters: Hyperparameters,
    episodes: Int, seed: UInt32, success: SuccessRule, referenceReturns: [Double]? = nil
  ) {
    self.success = success
    self.referenceReturns = referenceReturns
    self.environment = environment
    self.episodes = episodes
    self.seed = seed
    let agent = hyperparameters.agent
    var policies = [Actor.policy: agent.policy(spec, hyperparameters, rows: environment.capacity)]
    policies[.behaviour] = agent.behaviour(spec, hyperparameters, rows: environment.capacity)
    self.policies = policies
  }

  /// Whether the agent has such an actor.
  public func plays(_ actor: Actor) -> Bool { policies[actor] != nil }

  /// Plays all episodes with the given parameters; nil when the agent has no such actor.
  ///
  /// - Parameter progress: is told the number of episodes that have ended, after each step; what it throws ends the
  ///   evaluation.
  public func run(
    _ parameters: UnsafePointer<Float>, actor: Actor = .policy, progress: (Int) throws -> Void = { _ in }
  ) throws -> EvaluationResult? {
    guard let policy = policies[actor] else { return nil }
    let description = try environment.describe().scored(by: referenceReturns)
    var finished = [PlayedEpisode?](repeating: nil, count: episodes)
    // Row i of the policy's matrices is running[i].
    var running: [Running] = []
    var free = Array(0..<environment.capacity)
    var next = 0
    while true {
      let fresh = free.prefix(episodes - next).enumerated().map { Running(episode: next + $0, slot: $1) }
      if !fresh.isEmpty {
        let rows = running.count..<running.count + fresh.count
        try environment.start(
          fresh.map(\.episode), in: fresh.map(\.slot), policy.observations.rows(rows).row)
        running += fresh
        free.removeFirst(fresh.count)
        next += fresh.count
      }
      guard !running.isEmpty else { break }
      act(policy, parameters, running)
      for ended in try step(&running, policy) {
        finished[ended.episode] = ended.played
        free.append(ended.slot)
      }
      try progress(next - running.count)
    }
    return EvaluationResult(finished.map { $0! }, in: description)
  }

  /// The policy's actions for its first rows.
  private func act(_ policy: any Policy<Float>, _ parameters: UnsafePointer<Float>, _ running: [Running]) {
    // Episodes that began together are next to each other and have come equally far.
    let alike = running.indices.chunked { running[$0].played.length == running[$1].played.length }
    guard policy.draws.contains(where: { $0.sharedRows != nil }) && alike.count > 1 else {
      for rows in alike { draw(policy, running[rows], at: rows.lowerBound) }
      return policy.act(parameters, rows: running.count)
    }
    // What is shared belongs to a step: episodes at different ones act apart, each group in the first rows.
    let workspace = Workspace<Float>()
    let observations = Observations(
      policy.observations.space, rows: policy.observations.rows, in: workspace)
    observations.copy(policy.observations)
    let actions = workspace.matrix(rows: policy.actions.rows, columns: policy.actions.columns)
    actions.copy(policy.actions)
    for rows in alike {
      policy.observations.rows(0..<rows.count).copy(observations.rows(rows))
      draw(policy, running[rows], at: 0)
      policy.act(parameters, rows: rows.count)
      actions.rows(rows).copy(policy.actions.rows(0..<rows.count))
    }
    policy.observations.copy(observations)
    policy.actions.copy(actions)
    withExtendedLifetime(workspace) {}
  }

  /// The random inputs of a step of some episodes that have come equally far, from row `first` on.
  private func draw(_ policy: any Policy<Float>, _ alike: ArraySlice<Running>, at first: Int) {
    let (step, start) = (alike.first!.played.length, alike.startIndex)
    for (index, (draw, noise)) in zip(policy.draws, policy.noise).enumerated() {
      let rows = draw.sharedRows == nil ? noise.rows(first..<first + alike.count) : noise
      let key = SIMD2(seed, RandomStream.acting(index).rawValue)
      draw.fill(rows, rows: alike.count, key: key, step: step) { UInt32(alike[start + $0].episode) }
    }
  }

  /// One step of all; takes those that end with it out and returns them.
  private func step(_ running: inout [Running], _ policy: any Policy<Float>) throws -> [Running] {
    let rows = running.indices
    let observations = policy.observations
    let outcomes = try environment.step(
      running.map(\.slot), policy.actions.rows(rows), observations.row)
    var (ended, kept): ([Running], [Running]) = ([], [])
    for (row, outcome) in outcomes.enumerated() {
      var episode = running[row]
      episode.played.add(outcome, success)
      if outcome.isLast {
        ended.append(episode)
        continue
      }
      guard episode.played.length < Self.longest else {
        throw Failure(
          .unavailable, "episode \(episode.episode) has not ended after \(Self.longest) steps")
      }
      if kept.count < row { observations.copy(observations, row: row, to: kept.count) }
      kept.append(episode)
    }
    running = kept
    return ended
  }
}

extension Range<Int> {
  /// The longest ranges within this one in which `belong` holds for neighbours.
  fileprivate func chunked(by belong: (Int, Int) -> Bool) -> [Range<Int>] {
    var chunks: [Range<Int>] = []
    for i in self {
      if let last = chunks.last, belong(i - 1, i) {
        chunks[chunks.count - 1] = last.lowerBound..<i + 1
      } else {
        chunks.append(i..<i + 1)
      }
    }
    return chunks
  }
}
