import Kernels
import Randomness

/// A disc that has to find its way to a goal in a maze: the rules of a task, shared by all its episodes.
///
/// It follows OGBench's point maze without a simulator; one-step positions agree to 0.001 on average.
public struct PointMaze: Sendable {
  /// What tells one running episode from another.
  public struct Episode: Sendable {
    /// The disc's centre (x, y).
    public internal(set) var position: SIMD2<Double>
    /// Number of actions so far.
    public internal(set) var steps = 0
  }

  /// What an action leads to.
  public struct Outcome: Sendable, Equatable {
    /// 0 in a goal state, −1 elsewhere.
    public let reward: Float
    /// The task was solved; no value follows.
    public let terminated: Bool
    /// The step limit is reached.
    public let truncated: Bool
  }

  /// The walls.
  public let maze: Maze
  /// The cell in which episodes start.
  public let start: Maze.Cell
  /// The cell whose centre is the goal.
  public let goal: Maze.Cell
  /// Moves of at most 0.2 along each axis that make up one action.
  public let movesPerAction: Int
  /// Positions are divided by this to give observations.
  public let observationScale: Double
  /// Number of actions after which an episode is cut off.
  public let stepLimit: Int

  /// The centre of the goal's cell (x, y).
  public var goalPosition: SIMD2<Double> { maze.centre(of: goal) }

  /// A task on one of OGBench's mazes: actions move by 0.2, episodes end after 1,000 of them.
  init(_ maze: Maze, from start: Maze.Cell, to goal: Maze.Cell) {
    self.init(maze, from: start, to: goal, movesPerAction: 1, observationScale: 1, stepLimit: 1000)
  }

  init(
    _ maze: Maze, from start: Maze.Cell, to goal: Maze.Cell, movesPerAction: Int, observationScale: Double,
    stepLimit: Int
  ) {
    self.maze = maze
    self.start = start
    self.goal = goal
    self.movesPerAction = movesPerAction
    self.observationScale = observationScale
    self.stepLimit = stepLimit
  }
}

// MARK: - Episodes

extension PointMaze {
  /// Episode number `episode` of an evaluation under `seed`, at a random place near the start.
  ///
  /// The place depends on these two numbers alone, so it does not matter who runs which episode.
  public func reset(seed: UInt32, episode: UInt64) -> Episode {
    var random = RandomSequence(seed: seed, stream: .reset, index: episode)
    return Episode(position: maze.randomPosition(in: start, using: &random))
  }

  /// An episode that starts with the disc's centre at `position` (x, y), in a cell that is not a wall and at
  /// most 0.25 deep in its surroundings, as after any move.
  public func reset(to position: SIMD2<Double>) -> Episode {
    precondition(
      !maze.isWall(maze.cell(at: position)) && maze.depth(at: position) <= 0.25, "\(position) lies in a wall")
    return Episode(position: position)
  }

  /// What a policy sees of the episode, (2).
  public func observation(of episode: Episode) -> SIMD2<Float> { observation(at: episode.position) }

  /// Applies `action`, (2), to the episode and says what it was worth.
  ///
  /// The outcome judges the state in which the action was taken, as OGBench does, so a solved episode ends
  /// with the action after the one that reached the goal. Components are clipped to [−1, 1]; NaN, which a
  /// diverged policy may give, does not move.
  public func step(_ episode: inout Episode, action: SIMD2<Float>) -> Outcome {
    let solved = isSolved(at: episode.position)
    episode.position = position(after: action, from: episode.position)
    episode.steps += 1
    return Outcome(
      reward: solved ? 0 : -1, terminated: solved, truncated: episode.steps >= stepLimit)
  }

  /// The position that `action` leads to from `position`.
  func position(after action: SIMD2<Float>, from position: SIMD2<Double>) -> SIMD2<Double> {
    let finite = action.replacing(with: 0, where: action .!= action)
    let clipped = finite.clamped(lowerBound: SIMD2(repeating: -1), upperBound: SIMD2(repeating: 1))
    let displacement = SIMD2<Double>(clipped) * 0.2
    var position = position
    for _ in 0..<movesPerAction {
      position = maze.moved(from: position, by: displacement)
    }
    return position
  }

  func observation(at position: SIMD2<Double>) -> SIMD2<Float> {
    SIMD2<Float>(position / observationScale)
  }

  private func isSolved(at position: SIMD2<Double>) -> Bool { length(position - goalPosition) <= 1 }
}

// MARK: - Labels

extension PointMaze {
  /// The reward and mask of a dataset's transition out of `observation`, (2).
  ///
  /// Reward = success − 1 and mask = 1 − success, both of the state in which the action is taken: what
  /// OGBench 1.2 writes into datasets that hold no rewards.
  public func rewardAndMask(observation: SIMD2<Float>) -> (reward: Float, mask: Float) {
    isSolved(at: SIMD2<Double>(observation) * observationScale) ? (0, 0) : (-1, 1)
  }
}

extension Maze {
  /// Uniform on the middle square of side 2 of `cell`.
  func randomPosition(in cell: Cell, using random: inout RandomSequence) -> SIMD2<Double> {
    let x = 2 * Double(random.uniform()) - 1
    let y = 2 * Double(random.uniform()) - 1
    return centre(of: cell) + SIMD2(x, y)
  }
}
