/// The shortest paths between the free cells of a maze, moving between cells that share a side.
///
/// A cell's number is its index in `maze.freeCells`.
struct ShortestPaths {
  let count: Int
  /// (count, count): the number of moves from the first cell to the second.
  private let distances: [Int]
  /// (count, count): the cell to enter from the first cell on the way to the second; the cell itself if both
  /// are the same.
  private let nextCells: [Int]
  /// (rows, columns): the number of the free cell in each row and column of the grid; −1 for walls.
  private let numbers: [Int]
  private let columns: Int
  /// The cells where a path can turn or end: all cells but the middles of straight corridors.
  let landmarks: [Int]

  init(in maze: Maze) {
    let cells = maze.freeCells
    var numbers = [Int](repeating: -1, count: maze.rows * maze.columns)
    for (number, cell) in cells.enumerated() { numbers[cell.row * maze.columns + cell.column] = number }
    // Among equally short paths, the first of these directions is taken, and the middles of corridors are no
    // goals. Both choices bring the share of time spent in each cell of the medium maze closest to that
    // in the published dataset.
    let around = cells.map { cell in
      [(-1, 0), (0, -1), (1, 0), (0, 1)].map { numbers[(cell.row + $0) * maze.columns + cell.column + $1] }
    }
    let neighbours = around.map { $0.filter { $0 >= 0 } }
    let distances = cells.indices.flatMap { Self.distances(from: $0, neighbours: neighbours) }
    nextCells = cells.indices.flatMap { cell in
      cells.indices.map { goal in
        cell == goal
          ? goal
          : neighbours[cell].min { distances[$0 * cells.count + goal] < distances[$1 * cells.count + goal] }!
      }
    }
    landmarks = cells.indices.filter { cell in
      let open = around[cell].map { $0 >= 0 }
      return open != [true, false, true, false] && open != [false, true, false, true]
    }
    count = cells.count
    columns = maze.columns
    self.numbers = numbers
    self.distances = distances
  }

  /// The number of moves from `origin` to every cell, by breadth-first search.
  private static func distances(from origin: Int, neighbours: [[Int]]) -> [Int] {
    var distances = [Int](repeating: .max, count: neighbours.count)
    var queue = [origin]
    var head = 0
    distances[origin] = 0
    while head < queue.count {
      let cell = queue[head]
      head += 1
      for neighbour in neighbours[cell] where distances[neighbour] == .max {
        distances[neighbour] = distances[cell] + 1
        queue.append(neighbour)
      }
    }
    return distances
  }

  /// The number of the free cell `cell`.
  func number(of cell: Maze.Cell) -> Int { numbers[cell.row * columns + cell.column] }

  /// The cell to enter from `cell` on the way to `goal`.
  func next(from cell: Int, to goal: Int) -> Int { nextCells[cell * count + goal] }

  /// The cells that are exactly `moves` moves away from `cell`.
  func cells(from cell: Int, at moves: Int) -> [Int] {
    (0..<count).filter { distances[cell * count + $0] == moves }
  }
}
