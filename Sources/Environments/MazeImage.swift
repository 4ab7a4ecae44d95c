import Basics

/// A maze from above, with the disc in it: what a policy sees that is to find its way by sight.
///
/// A cell's side is a few pixels long. The share of a pixel that the disc covers decides its colour, so that every
/// motion shows, however small.
public struct MazeImage: Sendable {
  /// What an image is.
  public let observation: ObservationSpace
  private let columns: Int
  private let rows: Int
  /// The image of the maze without the disc.
  private let empty: [UInt8]

  private static let cell = 4
  private static let pixel = 4.0 / Double(cell)
  private static let floor: [UInt8] = [24, 26, 38]
  private static let wall: [UInt8] = [92, 98, 120]
  private static let disc: [UInt8] = [255, 190, 60]
  /// Lines across a pixel along which the disc's share is measured.
  private static let lines = 16

  init(_ maze: Maze) {
    columns = maze.columns * Self.cell
    rows = maze.rows * Self.cell
    observation = .image(height: rows, width: columns, channels: Self.floor.count)
    let columns = columns
    empty = (0..<rows).flatMap { y in
      (0..<columns).flatMap { x in
        maze.isWall(Maze.Cell(y / Self.cell, x / Self.cell)) ? Self.wall : Self.floor
      }
    }
  }

  /// Draws the maze with the disc's centre at `position` (x, y).
  ///
  /// - Parameter target: receives the image's bytes.
  public func draw(_ position: SIMD2<Double>, to target: UnsafeMutableRawPointer) {
    empty.withUnsafeBytes { target.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let image = target.assumingMemoryBound(to: UInt8.self)
    // The corner of the first cell lies at (−6, −6).
    let (centre, radius) = ((position + 6) / Self.pixel, Maze.discRadius / Self.pixel)
    func pixels(_ middle: Double, below count: Int) -> Range<Int> {
      let first = max(0, min(count, Int((middle - radius).rounded(.down))))
      return first..<max(first, min(count, Int((middle + radius).rounded(.up))))
    }
    for y in pixels(centre.y, below: rows) {
      for x in pixels(centre.x, below: columns) {
        let share = Self.share(of: SIMD2(Double(x), Double(y)) - centre, radius)
        let first = (y * columns + x) * Self.disc.count
        for channel in Self.disc.indices {
          let background = Double(image[first + channel])
          let colour = background + share * (Double(Self.disc[channel]) - background)
          image[first + channel] = UInt8(colour.rounded())
        }
      }
    }
  }

  /// The share of the pixel whose upper left corner is `corner` that a disc around the origin covers: exact along y, by
  /// the middles of some lines along x.
  private static func share(of corner: SIMD2<Double>, _ radius: Double) -> Double {
    var sum = 0.0
    for line in 0..<lines {
      let x = corner.x + (Double(line) + 0.5) / Double(lines)
      let half = max(radius * radius - x * x, 0).squareRoot()
      sum += max(min(corner.y + 1, half) - max(corner.y, -half), 0)
    }
    return sum / Double(lines)
  }
}
