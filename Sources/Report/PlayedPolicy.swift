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
  /// What a frame is.
  let frame: ObservationSpace
  /// The number of updates after which the policy was saved.
  let step: Int
  /// The first episodes of the run's evaluation.
  let episodes: [Episode]
  /// The return that the critics expect from the start of the first episode, given its first action.
  let expected: ReturnEstimate
  /// What the policy saw in the first episode, if that were images: the newest frame of each step.
  let images: [[UInt8]]

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
      saved.state.spec.observation == task.observation.stacked(saved.configuration.frameStack),
      saved.state.spec.actionSize == PointMazeTask.actionSize
    else { throw Failure(.data, "\(run.directory.best): was not trained for \(task.name)") }
    environment = task.environment
    frame = task.observation
    step = saved.state.step
    let workspace = Workspace<Float>()
    let first = Choice(saved.state.spec, workspace)
    (episodes, images) = try Self.play(saved, task, first)
    expected = Self.returns(saved, first)
    withExtendedLifetime(workspace) {}
  }

  /// The observation at the start of the first episode, and the action taken there.
  private struct Choice {
    let observation: Observations<Float>
    let action: Matrix<Float>

    init(_ spec: DataSpec, _ workspace: Workspace<Float>) {
      observation = Observations(spec.observation, rows: 1, in: workspace)
      action = workspace.matrix(rows: 1, columns: spec.actionSize)
    }
  }

  /// Plays all episodes with the starts and the noise of the run's evaluation. Returns them, and the images that the
  /// policy saw in episode 0.
  ///
  /// - Parameter first: receives the first observation and action of episode 0.
  private static func play(
    _ saved: SavedPolicy, _ task: PointMazeTask, _ first: Choice
  ) throws -> ([Episode], [[UInt8]]) {
    let start = ContinuousClock.now
    let (seed, discount) = (saved.configuration.seed, saved.configuration.hyperparameters.discount)
    let policy = saved.policy(rows: episodeCount)
    let maze = PointMazeEpisodes(task, seed: seed, capacity: episodeCount)
    let stacked = StackedFrames(maze, frames: saved.configuration.frameStack)
    let scales = saved.state.spec.scales
    let environment: any VectorEnvironment = scales.map { ScaledEnvironment(stacked, $0) } ?? stacked
    let all = Array(0..<episodeCount)
    try environment.start(all, in: all, policy.observations.row)
    var episodes = all.map { Episode(positions: [maze.position(in: $0)]) }
    var running = all
    var images: [[UInt8]] = []
    first.observation.copy(policy.observations, row: 0, to: 0)
    for step in 0..<task.environment.stepLimit where !running.isEmpty {
      guard .now - start < timeLimit else {
        throw Failure(.data, "\(episodeCount) episodes take longer than \(timeLimit.components.seconds) s")
      }
      if running.first == 0 { images += newestFrame(policy.observations, task.observation) }
      policy.drawNoise(rows: episodeCount, seed: seed, step: step)
      policy.act(saved.parameters.base, rows: episodeCount)
      if step == 0 { first.action.copy(policy.actions.rows(0..<1)) }
      running = try running.filter { e in
        let outcome = try environment.step([e], policy.actions.rows(e..<e + 1)) { _ in
          policy.observations.row(e)
        }[0]
        episodes[e].positions.append(maze.position(in: e))
        episodes[e].discountedReturn += pow(discount, Double(step)) * outcome.reward
        episodes[e].isSolved = outcome.terminated
        return !outcome.isLast
      }
    }
    return (episodes, images)
  }

  /// The newest frame of the first observation, if it is an image.
  private static func newestFrame(_ observations: Observations<Float>, _ frame: ObservationSpace) -> [[UInt8]]
  {
    guard case .image(_, _, let channels) = frame, case .image(_, _, let all) = observations.space else {
      return []
    }
    let bytes = UnsafeRawBufferPointer(start: observations.row(0), count: observations.space.count)
    return [bytes.enumerated().filter { $0.offset % all >= all - channels }.map(\.element)]
  }

  private static func returns(_ saved: SavedPolicy, _ choice: Choice) -> ReturnEstimate {
    let (spec, hyperparameters) = (saved.state.spec, saved.configuration.hyperparameters)
    let agent = hyperparameters.agent.make(spec, hyperparameters, rows: sampleCount, Float.self)
    let workspace = Workspace<Float>()
    let noise = workspace.matrix(rows: sampleCount, columns: spec.actionSize)
    var random = RandomSequence(seed: saved.configuration.seed, stream: .report, index: 1)
    noise.replaceEach { _ in random.normal() }
    return agent.expectedReturns(
      saved.parameters.base, observation: choice.observation, action: choice.action, noise: noise)
  }
}
