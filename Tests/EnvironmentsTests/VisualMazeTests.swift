import ArrayFiles
import Basics
import Environments
import Foundation
import Kernels
import TestSupport
import Testing

/// Mazes whose observations are images, and stacks of observations.
@Suite struct VisualMazeTests {
  private func task(_ name: String = "visual-pointmaze-u-stitch-singletask-v0") throws -> PointMazeTask {
    try PointMazeTask(name: name)
  }

  /// The image with the disc at a position.
  private func image(_ position: SIMD2<Double>, _ task: PointMazeTask) throws -> [UInt8] {
    let image = try #require(task.image)
    var bytes = [UInt8](repeating: 0, count: image.observation.count)
    image.draw(position, to: &bytes)
    return bytes
  }

  @Test func aVisualTaskDiffersInItsObservationsOnly() throws {
    for name in mazeTasks {
      let (visual, plain) = (try task("visual-\(name)"), try task(name))
      #expect(visual.observation.isImage && !plain.observation.isImage)
      #expect(visual.datasetName == "visual-\(plain.datasetName)" && visual.behaviour == plain.behaviour)
      #expect(visual.environment.goal == plain.environment.goal)
    }
    #expect(try task().observation == .image(height: 20, width: 20, channels: 3))
    #expect(throws: UnknownTask.self) { try task("visual-visual-pointmaze-u-stitch-singletask-v0") }
    #expect(try NamedTask(name: "visual-pointmaze-u-stitch-singletask-v0").embedded != nil)
    #expect(try NamedTask(name: "visual-cube-single-play-singletask-v0").embedded == nil)
  }

  /// A hundredth of a pixel changes some byte, wherever the disc is, so that the image tells the position.
  @Test func theSmallestMotionShows() throws {
    let task = try task()
    for x in stride(from: 0.0, through: 8, by: 0.37) {
      let place = SIMD2(x, 0.1)
      #expect(try image(place, task) != image(place + SIMD2(0.01, 0), task), "x \(x)")
      #expect(try image(place, task) != image(place + SIMD2(0, 0.01), task), "x \(x)")
    }
  }

  /// The light of the disc is its area, and its centre of gravity its position, as exactly as middles of pixels tell.
  @Test func theDiscLiesWhereItsCentreIs() throws {
    let task = try task()
    for place in [SIMD2(0.0, 0.0), SIMD2(0.31, -0.47), SIMD2(7.9, 8.2), SIMD2(3.55, 0.72)] {
      let seen = try image(place, task)
      var (light, centre) = (0.0, SIMD2<Double>.zero)
      for y in 0..<20 {
        for x in 0..<20 {
          let share = (Double(seen[(y * 20 + x) * 3]) - 24) / (255 - 24)
          guard share > 0, !task.environment.maze.isWall(Maze.Cell(y / 4, x / 4)) else { continue }
          light += share
          centre += share * SIMD2(Double(x) + 0.5, Double(y) + 0.5)
        }
      }
      #expect(abs(light - Double.pi * 0.49) < 0.03, "\(light)")
      #expect(distance(centre / light - 6, place) < 0.05, "\(centre / light - 6) for \(place)")
    }
  }

  @Test func generatedDataHoldImagesAndPositions() throws {
    let folder = TemporaryDirectory()
    let task = try task()
    let data = BehaviourDataset(task: task, seed: 0, episodes: 3)
    try data.write(to: "\(folder.path)/data.npz")
    let file = try NpzFile(path: "\(folder.path)/data.npz")
    let header = try file.header("observations")
    #expect(header.dtype == .uint8 && header.shape == [63, 20, 20, 3])
    let seen = try file.floats("observations")
    let place = SIMD2<Double>(pair(data.qpos, 62))
    #expect(try seen.suffix(1200) == image(place, task).map { Float($0) }[...])
    let plain = BehaviourDataset(
      task: try PointMazeTask(name: PointMazeTask.defaultName), seed: 0, episodes: 3)
    #expect(plain.actions == data.actions && plain.qpos == data.qpos)
  }

  @Test func episodesGiveTheNewestFramesOldestFirst() throws {
    let task = try task()
    let (single, stacked) = (
      PointMazeEpisodes(task, seed: 3, capacity: 2),
      StackedFrames(PointMazeEpisodes(task, seed: 3, capacity: 2), frames: 3)
    )
    #expect(try stacked.describe().observation == .image(height: 20, width: 20, channels: 9))
    var frame = [UInt8](repeating: 0, count: 1200)
    var seen = [UInt8](repeating: 0, count: 3600)
    var frames: [[UInt8]] = []
    let actions = Buffer<Float>(count: 2)
    (actions.base[0], actions.base[1]) = (1, -0.5)
    let action = Matrix(actions, rows: 1, columns: 2)
    try frame.withUnsafeMutableBytes { frame in
      try seen.withUnsafeMutableBytes { seen in
        for step in 0..<5 {
          if step == 0 {
            single.start([7], in: [1]) { _ in frame.baseAddress! }
            try stacked.start([7], in: [1]) { _ in seen.baseAddress! }
            frames = [Array(frame), Array(frame)]
          } else {
            _ = single.step([1], action) { _ in frame.baseAddress! }
            _ = try stacked.step([1], action) { _ in seen.baseAddress! }
          }
          frames.append(Array(frame))
          let last = frames.suffix(3)
          let expected = (0..<400).flatMap { pixel in last.flatMap { $0[3 * pixel..<3 * pixel + 3] } }
          #expect(Array(seen) == expected, "step \(step)")
        }
      }
    }
    withExtendedLifetime(actions) {}
  }
}
