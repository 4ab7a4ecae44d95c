import ArrayFiles
import Environments
import Foundation

let testFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

/// The directory of reference files, which not every checkout has.
let sharedFolder = testFolder.appending(path: "../../../shared").standardized

/// Whether the reference file `path` exists.
func hasShared(_ path: String) -> Bool {
  FileManager.default.fileExists(atPath: sharedFolder.appending(path: path).path)
}

/// The environment of the embedded task `name`.
func environment(_ name: String) throws -> PointMaze { try PointMazeTask(name: name).environment }

/// The name of one task on each maze.
let mazeTasks = [
  "pointmaze-u-stitch-singletask-v0", "pointmaze-medium-navigate-singletask-v0",
  "pointmaze-large-navigate-singletask-v0", "pointmaze-giant-navigate-singletask-v0",
]

/// An upper bound on the depth in walls: a move of up to 0.2·√2 turns depth d into at most 0.1785·(d +
/// 0.2·√2), so no number of moves exceeds the fixed point 0.06146.
let deepestContact = 0.0615

/// The depth of a disc at `position` in the nearest wall, computed from all walls of the maze.
func depth(at position: SIMD2<Double>, in maze: Maze) -> Double {
  var depth = 0.0
  for row in 0..<maze.rows {
    for column in 0..<maze.columns where maze.isWall(Maze.Cell(row, column)) {
      let offset = position - maze.centre(of: Maze.Cell(row, column))
      let nearest = offset.clamped(lowerBound: SIMD2(-2, -2), upperBound: SIMD2(2, 2))
      depth = max(depth, Maze.discRadius - distance(offset, nearest))
    }
  }
  return depth
}

func distance(_ a: SIMD2<Double>, _ b: SIMD2<Double>) -> Double {
  let difference = a - b
  return (difference * difference).sum().squareRoot()
}

/// Row `row` of a (rows, 2) array.
func pair<Scalar: SIMDScalar>(_ values: [Scalar], _ row: Int) -> SIMD2<Scalar> {
  SIMD2(values[2 * row], values[2 * row + 1])
}
