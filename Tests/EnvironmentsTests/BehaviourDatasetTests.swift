import ArrayFiles
import Environments
import Foundation
import Testing

/// One task for each recipe of recorded behaviour, with the number of steps in its episodes.
private let recordings = [
  ("pointmaze-u-stitch-singletask-v0", 20), ("pointmaze-medium-navigate-singletask-v0", 1000),
  ("pointmaze-large-stitch-singletask-v0", 200), ("pointmaze-giant-explore-singletask-v0", 500),
]

@Suite struct BehaviourDatasetTests {
  @Test(arguments: recordings) func episodesHaveTheRecipesLength(name: String, steps: Int) throws {
    let task = try PointMazeTask(name: name)
    let data = BehaviourDataset(task: task, seed: 1, episodes: 30)
    let rows = 30 * (steps + 1)
    #expect(data.rows == rows && data.observations.count == 2 * rows && data.actions.count == 2 * rows)
    #expect(data.qpos.count == 2 * rows && data.qvel == [Float](repeating: 0, count: 2 * rows))
    #expect(data.terminals.indices.allSatisfy { data.terminals[$0] == ($0 % (steps + 1) == steps) })
    #expect(data.actions.allSatisfy { abs($0) <= 1 })
    let scale = Float(task.environment.observationScale)
    #expect(zip(data.observations, data.qpos).allSatisfy { $0 * scale == $1 })
  }

  /// Each row's action leads to the next row, as far as the rounding of recorded positions allows.
  @Test(arguments: recordings) func rowsFollowFromActions(name: String, steps: Int) throws {
    let task = try PointMazeTask(name: name)
    let data = BehaviourDataset(task: task, seed: 2, episodes: 10)
    for row in 0..<(data.rows - 1) where !data.terminals[row] {
      var episode = task.environment.reset(to: SIMD2<Double>(pair(data.qpos, row)))
      _ = task.environment.step(&episode, action: pair(data.actions, row))
      #expect(distance(episode.position, SIMD2<Double>(pair(data.qpos, row + 1))) < 1e-5)
    }
  }

  @Test(arguments: recordings) func positionsCoverAllFreeCellsAndNoWalls(name: String, steps: Int) throws {
    let task = try PointMazeTask(name: name)
    let maze = task.environment.maze
    let data = BehaviourDataset(task: task, seed: 3, episodes: 300_000 / steps)
    var visited = Set<Maze.Cell>()
    var deepest = 0.0
    for row in 0..<data.rows {
      let position = SIMD2<Double>(pair(data.qpos, row))
      visited.insert(maze.cell(at: position))
      deepest = max(deepest, depth(at: position, in: maze))
    }
    #expect(visited == Set(maze.freeCells) && deepest < deepestContact)
  }

  /// This is why the small task cannot be solved by imitation.
  @Test func noDemonstrationSolvesTheSmallTask() throws {
    let task = try PointMazeTask(name: PointMazeTask.defaultName)
    let data = BehaviourDataset(task: task, seed: 0)
    #expect(data.rows == 2000 * 21)
    var starts = 0
    var ends = 0
    for episode in 0..<2000 {
      let cells = (0..<21).map {
        task.environment.maze.cell(at: SIMD2<Double>(pair(data.qpos, episode * 21 + $0)))
      }
      let leaves = cells.contains(task.environment.start)
      let arrives = cells.contains(task.environment.goal)
      #expect(!leaves || !arrives, "episode \(episode)")
      starts += leaves ? 1 : 0
      ends += arrives ? 1 : 0
    }
    #expect(starts > 200 && ends > 200)
  }

  @Test func validationDataAreATenthAndDiffer() throws {
    let task = try PointMazeTask(name: PointMazeTask.defaultName)
    let validation = BehaviourDataset(task: task, seed: 0, validation: true)
    #expect(validation.rows == 200 * 21)
    #expect(validation.observations != BehaviourDataset(task: task, seed: 0, episodes: 200).observations)
  }

  @Test func fewerEpisodesAreThePrefixOfMore() throws {
    let task = try PointMazeTask(name: "pointmaze-medium-stitch-singletask-v0")
    let few = BehaviourDataset(task: task, seed: 9, episodes: 3)
    let more = BehaviourDataset(task: task, seed: 9, episodes: 5)
    #expect(few.observations[...] == more.observations.prefix(few.observations.count))
  }

  // MARK: - Files

  @Test func theSameSeedGivesTheSameFile() throws {
    let task = try PointMazeTask(name: PointMazeTask.defaultName)
    let first = try written(BehaviourDataset(task: task, seed: 4))
    #expect(try first == written(BehaviourDataset(task: task, seed: 4)))
    #expect(try first != written(BehaviourDataset(task: task, seed: 5)))
  }

  /// The digest of the numbers that this seed gave when the generator was written. If a change or a machine
  /// gives other numbers, results are not reproducible.
  @Test func theSeedGivesTheNumbersThatItGaveBefore() throws {
    var digest = Digest()
    for (name, _) in recordings {
      let data = try BehaviourDataset(task: PointMazeTask(name: name), seed: 0, episodes: 20)
      data.observations.withUnsafeBytes { digest.update($0) }
      data.actions.withUnsafeBytes { digest.update($0) }
    }
    #expect(digest.hex == "ae0ace2c65a8012f")
  }

  @Test func theFileHoldsTheDataset() throws {
    let task = try PointMazeTask(name: "pointmaze-medium-stitch-singletask-v0")
    let data = BehaviourDataset(task: task, seed: 4, episodes: 3)
    try withTemporaryFile { path in
      try data.write(to: path)
      let file = try NpzFile(path: path)
      #expect(file.memberNames == ["observations", "actions", "terminals", "qpos", "qvel"])
      for (name, values) in [
        ("observations", data.observations), ("actions", data.actions), ("qpos", data.qpos),
        ("qvel", data.qvel),
      ] {
        #expect(try file.floats(name) == values && file.header(name).shape == [603, 2])
        #expect(try file.header(name).dtype == .float32)
      }
      #expect(
        try file.floats("terminals").map { $0 != 0 } == data.terminals
          && file.header("terminals").dtype == .bool)
    }
  }

  private func written(_ data: BehaviourDataset) throws -> Data {
    try withTemporaryFile { path in
      try data.write(to: path)
      return try Data(contentsOf: URL(fileURLWithPath: path))
    }
  }

  private func withTemporaryFile<Result>(_ body: (String) throws -> Result) throws -> Result {
    let file = FileManager.default.temporaryDirectory.appending(path: "fan-dist-\(UUID().uuidString).npz")
    defer { try? FileManager.default.removeItem(at: file) }
    return try body(file.path)
  }

  // MARK: - Realism

  /// Speed, noise and the share of time in each cell agree with the published dataset.
  @Test(
    .enabled(
      if: hasShared("datasets/pointmaze-medium-navigate-v0.npz"),
      "OGBench's published dataset pointmaze-medium-navigate-v0.npz is missing"))
  func navigateResemblesThePublishedDataset() throws {
    let file = try NpzFile(
      path: sharedFolder.appending(path: "datasets/pointmaze-medium-navigate-v0.npz").path)
    let real = try Statistics(
      observations: file.floats("observations"), actions: file.floats("actions"),
      terminals: file.floats("terminals").map { $0 != 0 })
    let task = try PointMazeTask(name: "pointmaze-medium-navigate-singletask-v0")
    let data = BehaviourDataset(task: task, seed: 0)
    let made = Statistics(observations: data.observations, actions: data.actions, terminals: data.terminals)
    #expect(abs(made.meanAction - real.meanAction).max() < 0.01)
    #expect(abs(made.actionDeviation - real.actionDeviation).max() < 0.01)
    #expect(abs(made.saturated - real.saturated) < 0.005)
    #expect(abs(made.speed - real.speed) < 0.0005)
    let occupancyError = made.occupancy.merging(real.occupancy) { abs($0 - $1) }.values.reduce(0, +)
    #expect(occupancyError < 0.1, "share of time spent in the wrong cells")
  }
}

private func abs(_ v: SIMD2<Double>) -> SIMD2<Double> { v.replacing(with: -v, where: v .< 0) }

/// The statistics by which datasets are compared.
private struct Statistics {
  var meanAction = SIMD2<Double>.zero
  var actionDeviation = SIMD2<Double>.zero
  /// The share of action components at ±1.
  var saturated = 0.0
  /// The mean distance between successive positions.
  var speed = 0.0
  /// The share of rows in each cell of the medium maze.
  var occupancy: [Maze.Cell: Double] = [:]

  init(observations: [Float], actions: [Float], terminals: [Bool]) {
    let rows = terminals.count
    var moves = 0
    var squares = SIMD2<Double>.zero
    for row in 0..<rows {
      let action = SIMD2<Double>(pair(actions, row))
      meanAction += action / Double(rows)
      squares += action * action / Double(rows)
      saturated += ((abs(action.x) == 1 ? 0.5 : 0) + (abs(action.y) == 1 ? 0.5 : 0)) / Double(rows)
      let position = SIMD2<Double>(pair(observations, row))
      occupancy[Maze.medium.cell(at: position), default: 0] += 1 / Double(rows)
      if !terminals[row] {
        speed += distance(position, SIMD2<Double>(pair(observations, row + 1)))
        moves += 1
      }
    }
    speed /= Double(moves)
    actionDeviation = (squares - meanAction * meanAction).squareRoot()
  }
}
