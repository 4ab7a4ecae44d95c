import Environments

/// A map of a maze with the paths of episodes.
struct MazeMap {
  /// The path of one episode.
  struct Way {
    /// Positions (x, y) in the maze, from the first to the last.
    var places: [SIMD2<Double>]
    /// Whether the path ends at the goal.
    var arrives: Bool
  }

  var description: String
  var environment: PointMaze
  /// The index of the colour of the paths that end at the goal.
  var style: Int
  var ways: [Way]
  /// The largest size that the picture may have.
  var width = 300.0
  var height = 300.0

  /// The number of positions beyond which some positions of a path are left out.
  private static let placeLimit = 300

  /// The thickness of the outer walls that is shown, in sides of a cell.
  private static let margin = 0.25

  private var size: SIMD2<Double> {
    SIMD2(Double(environment.maze.columns), Double(environment.maze.rows)) - 2 + 2 * Self.margin
  }

  /// The side of a cell in the picture.
  private var cell: Double { min(width / size.x, height / size.y) }

  var svg: Markup {
    let start = position(environment.maze.centre(of: environment.start))
    let goal = position(environment.goalPosition)
    let (width, height) = (cell * size.x, cell * size.y)
    return picture(
      width, height, description,
      """
      <rect class="walls" width="\(width)" height="\(height)"/><path class="floor" d="\(floor)"/>\(ways.map(line))\
      <circle class="goal" cx="\(goal.x)" cy="\(goal.y)" r="\(cell / 4)"/>\(ways.map(begin))\
      \(label("start", at: start))\(label("goal", at: goal))
      """)
  }

  /// The point of the picture for a position in the maze. Cells have sides of 4, and the centre of cell (0,
  /// 0) is at (−4, −4).
  private func position(_ place: SIMD2<Double>) -> SIMD2<Double> {
    (place / 4 + 0.5 + Self.margin) * cell
  }

  /// The free cells. Neighbours overlap so that no seam shows between them.
  private var floor: Markup {
    environment.maze.freeCells.map { free -> Markup in
      let corner = position(environment.maze.centre(of: free)) - cell / 2
      return "M\(corner.x) \(corner.y)h\(cell + 0.5)v\(cell + 0.5)h\(-cell - 0.5)Z"
    }.joined
  }

  private func line(_ way: Way) -> Markup {
    let every = (way.places.count - 1) / Self.placeLimit + 1
    let shown = way.places.enumerated().filter {
      $0.offset % every == 0 || $0.offset == way.places.count - 1
    }
    let points = shown.map { offset, place -> Markup in
      let point = position(place)
      return "\(offset == 0 ? "M" : "L")\(point.x) \(point.y)"
    }
    return """
      <path class="way\(way.arrives ? "" : " lost") \(styleClass(way.arrives ? style : LineChart.neutral))" \
      d="\(points)"/>
      """
  }

  private func begin(_ way: Way) -> Markup {
    let point = position(way.places[0])
    return "<circle class=\"begin\" cx=\"\(point.x)\" cy=\"\(point.y)\" r=\"2\"/>"
  }

  /// A word below the centre of a cell.
  private func label(_ word: String, at point: SIMD2<Double>) -> Markup {
    "<text class=\"place\" x=\"\(point.x)\" y=\"\(point.y + cell / 4 + 13)\" text-anchor=\"middle\">\(word)</text>"
  }
}
