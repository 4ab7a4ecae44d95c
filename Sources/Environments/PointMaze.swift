import Kernels
import Randomness

/// A disc that has to find its way to a goal in a maze. This type holds the rules of a task, which all its
/// episodes share.
///
/// It reproduces OGBench's point maze without a simulator; positions after one step agree to 0.001 on
/// average.
public struct PointMaze: Sendable {
  /// The state of one episode.
  public struct Episode: Sendable {
    /// The disc's centre (x, y).
    public internal(set) var position: SIMD2<Double>
    /// The number of actions so far.
    public internal(set) var steps = 0
  }

  /// The result of an action.
  public struct Outcome: Sendable, Equatable {
    /// 0 if the action was taken in a goal state, else −1.
    public let reward: Float
    /// Whether the action was taken in a goal state, which ends the task; the value of the next state does
    /// not count.
    public let terminated: Bool
    /// Whether the step limit has been reached.
    public let truncated: Bool
  }

  /// The walls.
  public let maze: Maze
  /// The cell in which episodes start.
  public let start: Maze.Cell
  /// The cell whose centre is the goal.
  public let goal: Maze.Cell
  /// The number of moves, each of at most 0.2 along each axis, in one action.
  public let movesPerAction: Int
  /// The number by which positions are divided to give observations.
  public let observationScale: Double
  /// The number of actions after which an episode is truncated.
  public let stepLimit: Int

  /// The centre of the goal's cell (x, y).
  public var goalPosition: SIMD2<Double> { maze.centre(of: goal) }

  /// A task in one of OGBench's mazes: an action moves the disc by at most 0.2 along each axis, and an
  /// episode is truncated after 1,000 actions.
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
  /// Starts episode number `episode` of an evaluation under `seed`, at a random position in the start cell.
  ///
  /// The position depends on these two numbers alone, so it does not matter who runs which episode.
  public func reset(seed: UInt32, episode: UInt64) -> Episode {
    var random = RandomSequence(seed: seed, stream: .reset, index: episode)
    return Episode(position: maze.randomPosition(in: start, using: &random))
  }

  /// Starts an episode with the disc's centre at `position` (x, y), which must lie in a free cell and at most
  /// 0.25 deep in the walls around it. Every position after a move does.
  public func reset(to position: SIMD2<Double>) -> Episode {
    precondition(
      !maze.isWall(maze.cell(at: position)) && maze.depth(at: position) <= 0.25, "\(position) lies in a wall")
    return Episode(position: position)
  }

  /// An episode that has come to `position` (x, y) with so many actions; nil if none can have.
  func episode(at position: SIMD2<Double>, steps: Double) -> Episode? {
    guard steps >= 0, steps < Double(stepLimit), maze.contains(position) else { return nil }
    let cell = maze.cell(at: position)
    guard !maze.isWall(cell), maze.depth(at: position) <= 0.25 else { return nil }
    return Episode(position: position, steps: Int(steps))
  }

  /// The observation of the episode's present state: 2 numbers.
  public func observation(of episode: Episode) -> SIMD2<Float> { observation(at: episode.position) }

  /// Applies `action`, 2 numbers, to the episode.
  ///
  /// Reward and termination are those of the state in which the action was taken, as in OGBench, so a solved
  /// episode ends with the action after the one that reached the goal. Components are clipped to [−1, 1]. A
  /// component that is NaN, which a diverged policy may give, counts as 0.
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
  /// The reward and mask of a dataset's transition that starts in the state with `observation`, 2 numbers.
  ///
  /// Reward = success − 1 and mask = 1 − success, both of the state in which the action is taken. OGBench 1.2
  /// writes the same into datasets that have no rewards.
  public func rewardAndMask(observation: SIMD2<Float>) -> (reward: Float, mask: Float) {
    isSolved(at: SIMD2<Double>(observation) * observationScale) ? (0, 0) : (-1, 1)
  }

  /// The reward and mask of a dataset's transition that starts with the disc's centre at `position` (x, y).
  public func rewardAndMask(position: SIMD2<Float>) -> (reward: Float, mask: Float) {
    isSolved(at: SIMD2<Double>(position)) ? (0, 0) : (-1, 1)
  }
}

extension Maze {
  /// A position drawn uniformly from the square of side 2 in the middle of `cell`.
  func randomPosition(in cell: Cell, using random: inout RandomSequence) -> SIMD2<Double> {
    let x = 2 * Double(random.uniform()) - 1
    let y = 2 * Double(random.uniform()) - 1
    return centre(of: cell) + SIMD2(x, y)
  }
}
