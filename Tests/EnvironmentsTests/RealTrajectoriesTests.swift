import ArrayFiles
import Environments
import Testing

/// Single steps of the embedded maze, compared with trajectories recorded with OGBench 1.2.2 and MuJoCo. For
/// each maze a file has episodes of 100 steps: `positions` (episodes, 101, 2), `actions` (episodes, 100, 2),
/// `rewards` and `terminated` (episodes, 100).
@Suite struct RealTrajectoriesTests {
  /// The fixture has six episodes with many wall contacts, one of which reaches its goal.
  @Test(arguments: ["medium", "large"]) func stepsAlongWallsAgreeWithMuJoCo(maze: String) throws {
    let path = testFolder.appending(path: "Fixtures/pointmaze.npz").path
    let errors = try stepErrors(path, maze: maze)
    // These episodes stay close to walls, where errors are large; most steps of the full set touch no wall.
    #expect(errors.reduce(0, +) / Double(errors.count) < 0.005)
    #expect(errors.max()! < 0.065)
  }

  @Test(.enabled(if: hasShared("parity/pointmaze.npz"), "the full set of recorded trajectories is missing"))
  func stepsOfTheFullSetAgreeWithMuJoCo() throws {
    let path = sharedFolder.appending(path: "parity/pointmaze.npz").path
    let errors = try (stepErrors(path, maze: "medium") + stepErrors(path, maze: "large")).sorted()
    let mean = errors.reduce(0, +) / Double(errors.count)
    let percentile = errors[errors.count * 99 / 100]
    #expect(
      mean < 0.001 && percentile < 0.035 && errors.last! < 0.065, "\(mean) \(percentile) \(errors.last!)")
  }

  /// The distances between the recorded and the computed next positions of all steps. Also checks rewards and
  /// termination.
  private func stepErrors(_ path: String, maze: String) throws -> [Double] {
    let file = try NpzFile(path: path)
    let environment = try environment("pointmaze-\(maze)-navigate-singletask-v0")
    let shape = try file.header("\(maze)/actions").shape
    let positions = try file.doubles("\(maze)/positions")
    let actions = try file.floats("\(maze)/actions")
    let rewards = try file.floats("\(maze)/rewards")
    let terminated = try file.floats("\(maze)/terminated").map { $0 != 0 }
    #expect(try file.doubles("\(maze)/goal") == [environment.goalPosition.x, environment.goalPosition.y])

    var errors: [Double] = []
    for episode in 0..<shape[0] {
      for step in 0..<shape[1] {
        let row = episode * (shape[1] + 1) + step
        let index = episode * shape[1] + step
        var computed = environment.reset(to: pair(positions, row))
        let outcome = environment.step(&computed, action: pair(actions, index))
        errors.append(distance(computed.position, pair(positions, row + 1)))
        #expect(outcome.reward == rewards[index] && outcome.terminated == terminated[index])
      }
    }
    return errors
  }
}
