import Kernels
import Randomness

/// The agent whose behaviour is recorded. Its action is a unit vector along its way plus noise from N(0,
/// 0.5²) on each component, clipped to [−1, 1].
struct ScriptedAgent {
  /// The disc's centre.
  private(set) var position: SIMD2<Double>

  private let environment: PointMaze
  private let behaviour: Behaviour
  private let paths: ShortestPaths
  private var random: RandomSequence
  private var steps = 0
  /// The cell, as an index of `maze.freeCells`, and the point in it that `navigate` and `stitch` go to.
  private var goal = 0
  private var goalPosition = SIMD2<Double>.zero
  /// The direction in which `explore` goes.
  private var direction = SIMD2<Double>.zero

  /// Places an agent in a random free cell.
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
    case .stitch, .scarce: chooseGoal(among: paths.cells(from: start, at: recipe.goalDistance))
    case .explore: break
    }
  }

  /// Takes one action and returns it.
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

  /// The direction to the centre of the next cell on the shortest path or, in the goal's cell, to the goal
  /// itself.
  private func directionToGoal() -> SIMD2<Double> {
    let maze = environment.maze
    let cell = paths.number(of: maze.cell(at: position))
    let target =
      cell == goal ? goalPosition : maze.centre(of: maze.freeCells[paths.next(from: cell, to: goal)])
    return unit(target - position)
  }

  /// A direction drawn uniformly: two independent normals of equal variance favour none.
  private mutating func randomDirection() -> SIMD2<Double> {
    unit(SIMD2(Double(random.normal()), Double(random.normal())))
  }

  private func unit(_ vector: SIMD2<Double>) -> SIMD2<Double> { vector / (length(vector) + 1e-6) }
}
