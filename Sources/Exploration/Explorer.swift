import Agents
import Basics
import Checkpoints
import Environments
import Evaluation
import Kernels
import MPI
import Randomness
import Settings

/// Acts in a run's environments to collect transitions, on its first rank. In a round every environment takes one step.
///
/// Episodes are numbered in the order in which they begin. Where an episode begins depends on the run's seed and its
/// number; what the policy draws depends on the seed, the round and the environment.
final class Explorer: @unchecked Sendable {
  // One thread uses it at a time: its own one steps while another computes, which waits for its end.

  /// An episode that is being played.
  private struct Running {
    let number: Int
    var played = PlayedEpisode()
  }

  /// Rounds done.
  private(set) var rounds = 0
  /// Episodes that have ended since the last row of `train.csv`.
  var ended = OnlineState.Ended()
  /// Whether an episode has ended since the last call of `abandon`.
  private(set) var hasEndedEpisode = true

  private let environment: any VectorEnvironment
  private let count: Int
  private let policy: any Policy<Float>
  private let success: SuccessRule
  private let seed: UInt32
  private let rewards: DataScales.Rewards
  private let randomRounds: Int
  private let randomActions: Draw
  private let thread: ExplorerThread

  private var episodes: [Running?]
  private var nextEpisode = 0
  private let workspace = Workspace<Float>()
  /// s, a and s′ of the present round, a row for each environment.
  private let (observations, actions, nextObservations): (Matrix<Float>, Matrix<Float>, Matrix<Float>)
  private var outcomes: [StepOutcome] = []

  /// An explorer that has not begun.
  ///
  /// - Parameters:
  ///   - rewards: what makes the environment's rewards like the data's.
  ///   - cores: where the environment's processes run.
  init(
    _ environment: any VectorEnvironment, _ configuration: Configuration, _ spec: DataSpec,
    rewards: DataScales.Rewards, cores: SpareCores
  ) throws(Failure) {
    let (hyperparameters, online) = (configuration.hyperparameters, configuration.online)
    self.environment = environment
    self.rewards = rewards
    thread = try ExplorerThread(on: cores)
    count = online.onlineEnvironments
    policy = hyperparameters.agent.policy(spec, hyperparameters, rows: count)
    success = configuration.success
    seed = Self.seed(of: configuration)
    randomRounds = online.onlineStartActions == .random ? online.startRounds : 0
    randomActions = Draw("action", .symmetric, width: spec.actionSize)
    episodes = Array(repeating: nil, count: count)
    observations = workspace.matrix(rows: count, columns: spec.observationSize)
    actions = workspace.matrix(rows: count, columns: spec.actionSize)
    nextObservations = workspace.matrix(rows: count, columns: spec.observationSize)
  }

  /// The seed of the episodes that a run collects: another one than that of its evaluations.
  static func seed(of configuration: Configuration) -> UInt32 { configuration.seed ^ 0x517C_C1B7 }

  // MARK: The environment

  /// Throws unless the environment can be used for data of these sizes. Its processes are ended again: training on the
  /// dataset may take long.
  func requireFit(_ spec: DataSpec, task: String, data: String?) throws {
    try thread.run { [self] in try environment.describe().requireFit(spec, task: task, data: data) }
    environment.stop()
  }

  /// Begins episodes wherever none is running, and processes if there are none.
  func open() throws { try thread.run { [self] in try begin() } }

  /// Ends all processes and episodes. What the episodes gave stays; they do not count as ended.
  func abandon() {
    environment.stop()
    episodes = Array(repeating: nil, count: count)
    hasEndedEpisode = false
  }

  private func begin() throws {
    let slots = episodes.indices.filter { episodes[$0] == nil }
    guard !slots.isEmpty else { return }
    let numbers = slots.indices.map { nextEpisode + $0 }
    let first = nextObservations.rows(0..<slots.count)
    try environment.start(numbers, in: slots) { .init(first.row($0)) }
    nextEpisode += slots.count
    for (row, slot) in slots.enumerated() {
      observations.rows(slot..<slot + 1).copy(first.rows(row..<row + 1))
      episodes[slot] = Running(number: numbers[row])
    }
  }

  // MARK: A round

  /// Chooses the actions of the next round.
  func act(_ parameters: UnsafePointer<Float>) throws {
    try begin()
    guard rounds >= randomRounds else {
      return randomActions.fill(
        actions, rows: count, key: SIMD2(seed, RandomStream.exploring.rawValue), step: rounds
      ) {
        UInt32($0)
      }
    }
    policy.observations.vectors.rows(0..<count).copy(observations)
    policy.drawNoise(rows: count, seed: seed, step: rounds)
    policy.act(parameters, rows: count)
    actions.copy(policy.actions.rows(0..<count))
  }

  /// Takes the step in all environments.
  func step() throws {
    outcomes = try environment.step(Array(0..<count), actions) { [nextObservations] in
      .init(nextObservations.row($0))
    }
    for outcome in outcomes where !reward(outcome).isFinite {
      throw Failure(.unavailable, "gave a reward of \(outcome.reward), which is too large to learn from")
    }
  }

  /// The reward as in the data, in single precision.
  private func reward(_ outcome: StepOutcome) -> Float { Float(rewards.apply(to: outcome.reward)) }

  /// Begins to take the step, beside this thread; `endStep` waits for it.
  func beginStep() { thread.begin { [self] in try step() } }

  /// Waits for the step that `beginStep` has begun.
  func endStep() throws { try thread.wait() }

  /// Writes down the round's transitions, one for each environment, as rows of a replay buffer.
  func conclude(into rows: UnsafeMutablePointer<Float>) {
    let (O, A) = (observations.columns, actions.columns)
    for (slot, outcome) in outcomes.enumerated() {
      guard var episode = episodes[slot] else { preconditionFailure("no episode in environment \(slot)") }
      let row = rows + slot * (2 * O + A + 3)
      row.update(from: observations.row(slot), count: O)
      (row + O).update(from: actions.row(slot), count: A)
      (row + O + A).update(from: nextObservations.row(slot), count: O)
      row[2 * O + A] = reward(outcome)
      row[2 * O + A + 1] = outcome.terminated ? 0 : 1
      row[2 * O + A + 2] = episode.played.length == 0 ? 1 : 0
      episode.played.add(outcome, success)
      if outcome.isLast { ended.add(episode.played) }
      hasEndedEpisode = hasEndedEpisode || outcome.isLast
      episodes[slot] = outcome.isLast ? nil : episode
    }
    observations.copy(nextObservations)
    rounds += 1
  }

  // MARK: Saving

  /// The state after the last round, with `collected` transitions so far.
  func state(collected: Int) -> OnlineState {
    let saved = episodes.enumerated().map { slot, running in
      running.map { episode in
        OnlineState.Episode(
          number: episode.number, length: episode.played.length, total: episode.played.total,
          success: episode.played.success, state: environment.state(of: slot))
      }
    }
    return OnlineState(
      rounds: rounds, collected: collected, nextEpisode: nextEpisode, episodes: saved, ended: ended)
  }

  /// Goes on from a saved state. Returns how many episodes cannot go on, because their environments have no states to go
  /// on from.
  func restore(_ state: OnlineState) -> Int {
    (rounds, nextEpisode, ended) = (state.rounds, state.nextEpisode, state.ended)
    var lost = 0
    for (slot, saved) in state.episodes.enumerated() {
      guard let saved else { continue }
      guard let numbers = saved.state, environment.resume(numbers, in: slot, .init(observations.row(slot)))
      else {
        lost += 1
        continue
      }
      let played = PlayedEpisode(success: saved.success, total: saved.total, length: saved.length)
      episodes[slot] = Running(number: saved.number, played: played)
    }
    return lost
  }
}

extension OnlineState.Ended {
  /// Adds an episode that has ended.
  mutating func add(_ episode: PlayedEpisode) {
    episodes += 1
    total += episode.total
    length += episode.length
    if episode.tellsSuccess || episode.success != nil { told += 1 }
    if episode.success == true { successes += 1 }
  }
}
