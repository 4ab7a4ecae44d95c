import Agents
import Basics
import Checkpoints
import Environments
import Foundation
import Kernels
import Randomness

/// Plays the best policy of a run in its embedded maze, and computes the returns that its critics expect
/// there.
struct PlayedPolicy {
  /// An episode.
  struct Episode {
    /// The disc's positions (x, y), from the start to the end.
    fileprivate(set) var positions: [SIMD2<Double>]
    /// Whether the disc reached the goal.
    fileprivate(set) var isSolved = false
    /// The discounted return Σ γᵗ · r.
    fileprivate(set) var discountedReturn = 0.0
  }

  /// The maze, the start, the goal and the rules.
  let environment: PointMaze
  /// The number of updates after which the policy was saved.
  let step: Int
  /// The first episodes of the run's evaluation.
  let episodes: [Episode]
  /// The return that the critics expect from the start of the first episode, given its first action.
  let expected: ReturnEstimate

  private static let episodeCount = 16
  /// The number of samples of the distribution of returns.
  private static let sampleCount = 256
  /// The longest time that playing may take. The settings come from a file and may be arbitrarily costly.
  private static let timeLimit = Duration.seconds(30)

  /// Reads the run's best checkpoint and plays its policy.
  ///
  /// - Throws: an error that says what is wrong with the checkpoint.
  init(_ run: RecordedRun, _ task: PointMazeTask) throws {
    let saved = try SavedPolicy(path: run.directory.best)
    guard saved.configuration.env == task.name,
      saved.state.spec.observationSize == PointMazeTask.observationSize,
      saved.state.spec.actionSize == PointMazeTask.actionSize
    else { throw Failure(.data, "\(run.directory.best): was not trained for \(task.name)") }
    environment = task.environment
    step = saved.state.step
    let (episodes, first) = try Self.play(saved, environment)
    self.episodes = episodes
    expected = Self.returns(saved, first)
  }

  /// An observation and the action taken there.
  private typealias Choice = (observation: SIMD2<Float>, action: SIMD2<Float>)

  /// Plays all episodes with the starts and the noise of the run's evaluation. Returns the episodes, and the
  /// first observation and action of episode 0.
  private static func play(_ saved: SavedPolicy, _ environment: PointMaze) throws -> ([Episode], Choice) {
    let start = ContinuousClock.now
    let (seed, discount) = (saved.configuration.seed, saved.configuration.hyperparameters.discount)
    let policy = saved.policy(rows: episodeCount)
    var states = (0..<episodeCount).map { environment.reset(seed: seed, episode: UInt64($0)) }
    var episodes = states.map { Episode(positions: [$0.position]) }
    var running = Set(states.indices)
    var first: Choice?
    for step in 0..<environment.stepLimit where !running.isEmpty {
      guard .now - start < timeLimit else {
        throw Failure(.data, "\(episodeCount) episodes take longer than \(timeLimit.components.seconds) s")
      }
      for (row, state) in states.enumerated() {
        write(environment.observation(of: state), to: policy.observations.vectors, row)
      }
      for (index, (draw, noise)) in zip(policy.draws, policy.noise).enumerated() {
        let key = SIMD2(seed, RandomStream.acting(index).rawValue)
        draw.fill(noise, rows: episodeCount, key: key, step: step) { UInt32($0) }
      }
      policy.act(saved.parameters.base, rows: episodeCount)
      for e in running {
        let action = SIMD2(policy.actions[e, 0], policy.actions[e, 1])
        if e == 0 && step == 0 { first = (environment.observation(of: states[0]), action) }
        let outcome = environment.step(&states[e], action: action)
        episodes[e].positions.append(states[e].position)
        episodes[e].discountedReturn += pow(discount, Double(step)) * Double(outcome.reward)
        episodes[e].isSolved = outcome.terminated
        if outcome.terminated || outcome.truncated { running.remove(e) }
      }
    }
    return (episodes, first!)
  }

  private static func returns(_ saved: SavedPolicy, _ choice: Choice) -> ReturnEstimate {
    let (spec, hyperparameters) = (saved.state.spec, saved.configuration.hyperparameters)
    let agent = hyperparameters.agent.make(spec, hyperparameters, rows: sampleCount, Float.self)
    let workspace = Workspace<Float>()
    let observation = Observations(spec.observation, rows: 1, in: workspace)
    let action = workspace.matrix(rows: 1, columns: spec.actionSize)
    write(choice.observation, to: observation.vectors, 0)
    write(choice.action, to: action, 0)
    let noise = workspace.matrix(rows: sampleCount, columns: spec.actionSize)
    var random = RandomSequence(seed: saved.configuration.seed, stream: .report, index: 1)
    noise.replaceEach { _ in random.normal() }
    return agent.expectedReturns(saved.parameters.base, observation: observation, action: action, noise: noise)
  }

  private static func write(_ values: SIMD2<Float>, to matrix: Matrix<Float>, _ row: Int) {
    (matrix[row, 0], matrix[row, 1]) = (values.x, values.y)
  }
}
