import Environments
import Kernels
import Randomness
import Testing

@Suite struct PointMazeTests {
  // MARK: - Names

  @Test func namesSelectMazeTaskAndBehaviour() throws {
    let first = try PointMazeTask(name: "pointmaze-medium-navigate-singletask-v0")
    #expect(first.number == 1 && first.datasetName == "pointmaze-medium-navigate-v0")
    #expect(first.environment.goalPosition == SIMD2(20, 20) && first.environment.stepLimit == 1000)
    let third = try PointMazeTask(name: "pointmaze-giant-stitch-singletask-task3-v0")
    #expect(
      third.number == 3 && third.behaviour == .stitch && third.datasetName == "pointmaze-giant-stitch-v0")
    #expect(third.environment.start == Maze.Cell(8, 14) && third.environment.goal == Maze.Cell(1, 1))
    let small = try PointMazeTask(name: PointMazeTask.defaultName)
    #expect(small.environment.stepLimit == 60 && small.environment.goalPosition == SIMD2(0, 8))
  }

  @Test func everyTaskStartsAndEndsInFreeCells() throws {
    for maze in ["medium", "large", "giant"] {
      for number in 1...5 {
        let task = try environment("pointmaze-\(maze)-explore-singletask-task\(number)-v0")
        #expect(!task.maze.isWall(task.start) && !task.maze.isWall(task.goal), "\(maze) task \(number)")
      }
    }
  }

  @Test(arguments: [
    "", "pointmaze", "pointmaze-medium-navigate-v0", "pointmaze-medium-navigate-singletask-task6-v0",
    "pointmaze-medium-navigate-singletask-task0-v0", "pointmaze-medium-navigate-singletask-task01-v0",
    "pointmaze-teleport-navigate-singletask-v0", "pointmaze-u-navigate-singletask-v0",
    "pointmaze-u-stitch-singletask-task2-v0", "pointmaze-medium-navigate-singletask-v1",
    "antmaze-medium-navigate-singletask-v0", "pointmaze-medium-navigate-singletask-task1-v0-",
  ])
  func unknownNamesAreRefused(name: String) throws {
    let error = try #require(throws: UnknownTask.self) { try PointMazeTask(name: name) }
    #expect(error.description.contains("'\(name)'") && error.description.contains(PointMazeTask.defaultName))
    #expect(!error.description.contains("\n"))
  }

  // MARK: - Episodes

  @Test(arguments: mazeTasks) func resetsFillTheMiddleOfTheStartCell(name: String) throws {
    let environment = try environment(name)
    let centre = environment.maze.centre(of: environment.start)
    let offsets = (0..<1000).map { environment.reset(seed: 5, episode: $0).position - centre }
    for values in [offsets.map(\.x), offsets.map(\.y)] {
      #expect(values.min()! >= -1 && values.min()! < -0.98 && values.max()! <= 1 && values.max()! > 0.98)
    }
    #expect(environment.reset(seed: 5, episode: 7).position - centre == offsets[7])
    #expect(environment.reset(seed: 6, episode: 7).position - centre != offsets[7])
  }

  @Test func smallTaskMovesFiveTimesAsFar() throws {
    let small = try environment(PointMazeTask.defaultName)
    var episode = small.reset(to: SIMD2(0.5, 0.25))
    #expect(small.observation(of: episode) == SIMD2(0.125, 0.0625))
    _ = small.step(&episode, action: SIMD2(1, -0.5))
    #expect(distance(episode.position, SIMD2(1.5, -0.25)) < 1e-12)

    let medium = try environment("pointmaze-medium-navigate-singletask-v0")
    episode = medium.reset(to: SIMD2(0.5, 0.25))
    #expect(medium.observation(of: episode) == SIMD2(0.5, 0.25))
    _ = medium.step(&episode, action: SIMD2(1, -0.5))
    #expect(distance(episode.position, SIMD2(0.7, 0.15)) < 1e-12)
  }

  @Test func successIsThatOfTheStateBeforeTheMove() throws {
    let medium = try environment("pointmaze-medium-navigate-singletask-v0")
    var episode = medium.reset(to: SIMD2(18.9, 20))
    let entering = medium.step(&episode, action: SIMD2(1, 0))
    #expect(!entering.terminated && entering.reward == -1)
    let leaving = medium.step(&episode, action: SIMD2(-1, 0))
    #expect(leaving.terminated && leaving.reward == 0 && !leaving.truncated)
    #expect(!medium.step(&episode, action: .zero).terminated)
  }

  @Test(arguments: [("pointmaze-u-stitch-singletask-v0", 60), ("pointmaze-large-stitch-singletask-v0", 1000)])
  func episodesEndAtTheStepLimit(name: String, limit: Int) throws {
    let environment = try environment(name)
    var episode = environment.reset(seed: 0, episode: 0)
    for step in 1...limit {
      let outcome = environment.step(&episode, action: .zero)
      #expect(outcome.truncated == (step == limit) && !outcome.terminated && episode.steps == step)
    }
  }

  @Test func actionsAreClippedAndNaNDoesNotMove() throws {
    let medium = try environment("pointmaze-medium-navigate-singletask-v0")
    for (given, taken) in [
      (SIMD2<Float>(.nan, 0.5), SIMD2<Float>(0, 0.5)), (SIMD2(7, -.infinity), SIMD2(1, -1)),
      (SIMD2(-.nan, .infinity), SIMD2(0, 1)),
    ] {
      var a = medium.reset(seed: 1, episode: 1)
      var b = a
      _ = medium.step(&a, action: given)
      _ = medium.step(&b, action: taken)
      #expect(a.position == b.position)
    }
  }

  // MARK: - Walls

  @Test(arguments: mazeTasks) func noMoveCrossesAWall(name: String) throws {
    let environment = try environment(name)
    var random = RandomSequence(seed: 11, stream: .acting)
    var deepest = 0.0
    for number in 0..<20 {
      var episode = environment.reset(seed: 3, episode: UInt64(number))
      for _ in 0..<150 {
        let action = SIMD2(random.normal(), random.normal()) * 2
        for _ in 0..<(1 + random.below(30)) {
          let cell = environment.maze.cell(at: episode.position)
          _ = environment.step(&episode, action: action)
          let next = environment.maze.cell(at: episode.position)
          #expect(max(abs(next.row - cell.row), abs(next.column - cell.column)) <= 1)
        }
        deepest = max(deepest, depth(at: episode.position, in: environment.maze))
      }
    }
    #expect(deepest > 0.03 && deepest < deepestContact, "\(deepest)")
  }

  /// Cell (1, 1) has walls towards smaller x and smaller y.
  @Test func contactKeepsAShareOfThePenetration() throws {
    let medium = try environment("pointmaze-medium-navigate-singletask-v0")
    var episode = medium.reset(to: SIMD2(-1.2, 0))
    _ = medium.step(&episode, action: SIMD2(-1, 0))
    #expect(distance(episode.position, SIMD2(-1.3 - 0.1 * 0.1785, 0)) < 1e-12)
    episode = medium.reset(to: SIMD2(-1.2, -1.25))
    _ = medium.step(&episode, action: SIMD2(-1, -1))
    #expect(distance(episode.position, SIMD2(-1.3 - 0.1 * 0.1785, -1.3 - 0.15 * 0.1785)) < 1e-12)
  }

  @Test func cornersPushAlongTheDiagonal() throws {
    let medium = try environment("pointmaze-medium-navigate-singletask-v0")
    let corner = try #require(openCorner(of: medium.maze))
    let start = corner.point + corner.away * (0.7 / 2.0.squareRoot())
    var episode = medium.reset(to: start)
    _ = medium.step(&episode, action: SIMD2<Float>(corner.away * -0.5))
    let expected = 0.7 - 0.1 * 2.0.squareRoot() * Maze.keptDepth
    #expect(abs(distance(episode.position, corner.point) - expected) < 1e-6)
  }

  /// A corner of a wall whose other three cells are free, and the signs of the direction away from the wall.
  private func openCorner(of maze: Maze) -> (point: SIMD2<Double>, away: SIMD2<Double>)? {
    for cell in maze.freeCells {
      for (rows, columns) in [(1, 1), (1, -1), (-1, 1), (-1, -1)] {
        let diagonal = Maze.Cell(cell.row + rows, cell.column + columns)
        let sides = [Maze.Cell(cell.row + rows, cell.column), Maze.Cell(cell.row, cell.column + columns)]
        if maze.isWall(diagonal) && !sides.contains(where: maze.isWall) {
          let away = SIMD2(Double(-columns), Double(-rows))
          return (maze.centre(of: diagonal) + away * 2, away)
        }
      }
    }
    return nil
  }

  // MARK: - Labels

  @Test func rewardsAndMasksAreThoseOfTheStateBeforeTheAction() throws {
    let medium = try environment("pointmaze-medium-navigate-singletask-v0")
    #expect(medium.rewardAndMask(observation: SIMD2(20, 19)) == (0, 0))
    #expect(medium.rewardAndMask(observation: SIMD2(20, 18.99)) == (-1, 1))
    #expect(medium.rewardAndMask(observation: SIMD2(0, 0)) == (-1, 1))
    let small = try environment(PointMazeTask.defaultName)
    #expect(small.rewardAndMask(observation: SIMD2(0.25, 2)) == (0, 0))
    #expect(small.rewardAndMask(observation: SIMD2(0.26, 2)) == (-1, 1))
  }
}
