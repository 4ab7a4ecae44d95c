/// The walls of a point maze and the motion of a disc among them.
///
/// Cells are squares of side 4. Cell (row, column) has its centre at x = 4·column − 4, y = 4·row − 4, so the
/// first free cell, (1, 1), lies at the origin. The outermost cells are walls.
public struct Maze: Sendable {
  /// A square of the grid.
  public struct Cell: Hashable, Sendable {
    /// The row, which counts along y.
    public let row: Int
    /// The column, which counts along x.
    public let column: Int

    /// The cell in `row` and `column`.
    public init(_ row: Int, _ column: Int) {
      self.row = row
      self.column = column
    }
  }

  /// The maze's word in task names.
  public let name: String
  /// The number of rows.
  public let rows: Int
  /// The number of columns.
  public let columns: Int
  /// The cells that are not walls, row by row.
  public let freeCells: [Cell]

  private let walls: [Bool]

  /// Makes a maze from its rows, separated by spaces, in the order of increasing y; "1" is a wall.
  init(_ name: String, _ map: String) {
    let lines = map.split(separator: " ")
    let walls = lines.flatMap { $0.map { $0 == "1" } }
    let columns = lines[0].count
    self.name = name
    rows = lines.count
    self.columns = columns
    self.walls = walls
    freeCells = walls.indices.filter { !walls[$0] }.map { Cell($0 / columns, $0 % columns) }
  }

  /// Whether `cell`, which must lie in the grid, is a wall.
  public func isWall(_ cell: Cell) -> Bool { walls[cell.row * columns + cell.column] }

  /// The centre (x, y) of `cell`.
  public func centre(of cell: Cell) -> SIMD2<Double> {
    SIMD2(Double(4 * cell.column - 4), Double(4 * cell.row - 4))
  }

  /// Whether the point `position` (x, y) lies in the grid.
  func contains(_ position: SIMD2<Double>) -> Bool {
    let index = (position * 0.25 + 1.5).rounded(.down)
    return index.x >= 0 && index.y >= 0 && index.x < Double(columns) && index.y < Double(rows)
  }

  /// The cell that contains the point `position` (x, y).
  public func cell(at position: SIMD2<Double>) -> Cell {
    let index = (position * 0.25 + 1.5).rounded(.down)
    return Cell(Int(index.y), Int(index.x))
  }
}

// MARK: - Motion

extension Maze {
  /// The radius of the moving disc.
  public static let discRadius = 0.7
  /// The share of its penetration into a wall that the disc keeps after a move, fitted to MuJoCo's soft
  /// contact.
  public static let keptDepth = 0.1785

  /// The position where a disc with its centre at `position` comes to rest after it is displaced by
  /// `displacement`.
  ///
  /// Displacements must be at most 0.2 along each axis. The centre of a disc that was at most 0.25 deep in
  /// the walls then stays outside the walls, and the shortest way out of the walls leads back the way it
  /// came.
  func moved(from position: SIMD2<Double>, by displacement: SIMD2<Double>) -> SIMD2<Double> {
    let target = position + displacement
    let cell = cell(at: target)
    let centre = centre(of: cell)
    let offset = target - centre
    let outside = pushedOut(offset, cell: cell)
    return centre + outside + (offset - outside) * Maze.keptDepth
  }

  /// The point nearest to `offset` at which the disc touches no wall. Both points are relative to the centre
  /// of `cell`.
  ///
  /// A disc smaller than a cell reaches into at most one neighbour along x, one along y and the diagonal cell
  /// between them. A wall beside the cell pushes the disc straight out, which also frees it from the diagonal
  /// cell. Only if both neighbours are open can the disc touch the corner of a diagonal wall.
  private func pushedOut(_ offset: SIMD2<Double>, cell: Cell) -> SIMD2<Double> {
    let halfCell = 2.0
    let reach = halfCell - Maze.discRadius
    let side = Cell(side(offset.y, beyond: reach), side(offset.x, beyond: reach))
    let wallBeside = side.column != 0 && isWall(Cell(cell.row, cell.column + side.column))
    let wallBelow = side.row != 0 && isWall(Cell(cell.row + side.row, cell.column))
    var outside = offset
    if wallBeside { outside.x = reach * Double(side.column) }
    if wallBelow { outside.y = reach * Double(side.row) }
    guard side.row != 0, side.column != 0, !wallBeside, !wallBelow,
      isWall(Cell(cell.row + side.row, cell.column + side.column))
    else { return outside }

    let corner = SIMD2(Double(side.column), Double(side.row)) * halfCell
    let away = offset - corner
    let distance = length(away)
    return distance < Maze.discRadius ? corner + away * (Maze.discRadius / distance) : offset
  }

  /// The distance by which a disc with its centre at `position`, in a free cell, must move to touch no wall.
  func depth(at position: SIMD2<Double>) -> Double {
    let cell = cell(at: position)
    let offset = position - centre(of: cell)
    return length(offset - pushedOut(offset, cell: cell))
  }

  private func side(_ offset: Double, beyond reach: Double) -> Int {
    offset > reach ? 1 : offset < -reach ? -1 : 0
  }
}

/// The Euclidean length of `vector`.
@inline(__always)
func length(_ vector: SIMD2<Double>) -> Double { (vector * vector).sum().squareRoot() }

// MARK: - The maps

extension Maze {
  /// OGBench's medium maze.
  public static let medium = Maze(
    "medium", "11111111 10011001 10010001 11000111 10010001 10100101 10001001 11111111")

  /// OGBench's large maze.
  public static let large = Maze(
    "large",
    """
    111111111111 100001000001 101101010101 100000010001 101111011101 100101000001 110101010111 100100010001 \
    111111111111
    """)

  /// OGBench's giant maze.
  public static let giant = Maze(
    "giant",
    """
    1111111111111111 1010000001100001 1010110101001101 1000100100010001 1011101111110101 1000100010000101 \
    1110101001010111 1000100100010001 1010101111110101 1011100010001101 1000001000100001 1111111111111111
    """)

  /// Two corridors joined at one end: seven free cells in a row.
  public static let u = Maze("u", "11111 10001 11101 10001 11111")
}
