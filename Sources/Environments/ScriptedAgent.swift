import Kernels
import Randomness

/// The agent whose behaviour is recorded: a unit vector along its way, plus N(0, 0.5²) noise.
struct ScriptedAgent {
  /// The disc's centre.
  private(set) var position: SIMD2<Double>

  private let environment: PointMaze
  private let behaviour: Behaviour
  private let paths: ShortestPaths
  private var random: RandomSequence
  private var steps = 0
  /// Where `navigate` and `stitch` go: a cell by number and a point in it.
  private var goal = 0
  private var goalPosition = SIMD2<Double>.zero
  /// Where `explore` goes.
  private var direction = SIMD2<Double>.zero

  /// An agent in a random free cell.
  init(
    environment: PointMaze, behaviour: Behaviour, recipe: BehaviourRecipe, paths: ShortestPaths,
    random: RandomSequence
  ) {
    self.environment = environment
    self.behaviour = behaviour
    self.paths = paths
    self.random = random
    let start = self.random.below(paths.count)
    position = environment.maze.randomPosition(in: environment.maze.freeCells[start], using: &self.random)
    switch behaviour {
    case .navigate: chooseGoal(among: paths.landmarks)
    case .stitch: chooseGoal(among: paths.cells(from: start, at: recipe.goalDistance))
    case .explore: break
    }
  }

  /// Takes a step and gives the action that it consisted of.
  mutating func act() -> SIMD2<Float> {
    if behaviour == .explore {
      if steps % 10 == 0 { direction = randomDirection() }
    } else {
      direction = directionToGoal()
    }
    let noise = SIMD2(random.normal(), random.normal()) * 0.5
    let action = (SIMD2<Float>(direction) + noise).clamped(
      lowerBound: SIMD2(repeating: -1), upperBound: SIMD2(repeating: 1))
    let reached = length(position - goalPosition) <= 0.5
    position = environment.position(after: action, from: position)
    steps += 1
    if behaviour == .navigate && reached { chooseGoal(among: paths.landmarks) }
    return action
  }

  private mutating func chooseGoal(among cells: [Int]) {
    let maze = environment.maze
    goal = cells[random.below(cells.count)]
    goalPosition = maze.randomPosition(in: maze.freeCells[goal], using: &random)
  }

  /// Towards the centre of the next cell on the shortest path, or towards the goal once in its cell.
  private func directionToGoal() -> SIMD2<Double> {
    let maze = environment.maze
    let cell = paths.number(of: maze.cell(at: position))
    let target =
      cell == goal ? goalPosition : maze.centre(of: maze.freeCells[paths.next(from: cell, to: goal)])
    return unit(target - position)
  }

  /// Two independent normals point in every direction equally often.
  private mutating func randomDirection() -> SIMD2<Double> {
    unit(SIMD2(Double(random.normal()), Double(random.normal())))
  }

  private func unit(_ vector: SIMD2<Double>) -> SIMD2<Double> { vector / (length(vector) + 1e-6) }
}
