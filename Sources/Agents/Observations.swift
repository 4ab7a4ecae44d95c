import Basics
import Kernels

/// The observations of several samples, as what they are: numbers of the precision T for vectors, bytes for images.
///
/// It is a view: the memory lives as long as the batch, agent or policy that it belongs to.
public struct Observations<T: Real> {
  /// What each of them is.
  public let space: ObservationSpace
  /// How many there are.
  public let rows: Int
  private let base: UnsafeMutableRawPointer

  private init(_ space: ObservationSpace, rows: Int, at base: UnsafeMutableRawPointer) {
    self.space = space
    self.rows = rows
    self.base = base
  }

  /// Memory for `rows` observations, which lives as long as the workspace.
  public init(_ space: ObservationSpace, rows: Int, in workspace: Workspace<T>) {
    let bytes = rows * Self.stride(space)
    let elements = (bytes + MemoryLayout<T>.stride - 1) / MemoryLayout<T>.stride
    self.init(space, rows: rows, at: workspace.vector(elements))
  }

  /// Vectors that lie in a matrix whose rows are contiguous.
  init(_ vectors: Matrix<T>) {
    precondition(vectors.stride == vectors.columns, "rows are not contiguous")
    self.init(.vector(vectors.columns), rows: vectors.rows, at: vectors.base)
  }

  /// The vectors as a matrix, rows × size.
  public var vectors: Matrix<T> {
    guard case .vector(let size) = space else { preconditionFailure("images are not vectors") }
    return Matrix(base.assumingMemoryBound(to: T.self), rows: rows, columns: size)
  }

  /// Some of the rows.
  public func rows(_ range: Range<Int>) -> Observations {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside the observations")
    return Observations(space, rows: range.count, at: row(range.lowerBound))
  }

  /// Where the observation of a row starts: numbers of the precision T for a vector, bytes for an image.
  public func row(_ row: Int) -> UnsafeMutableRawPointer { base + row * Self.stride(space) }

  /// Copies an observation of the same space into a row.
  public func copy(_ source: Observations, row from: Int, to row: Int) {
    self.row(row).copyMemory(from: source.row(from), byteCount: Self.stride(space))
  }

  /// Copies as many observations of the same space into the rows.
  public func copy(_ source: Observations) {
    precondition(space == source.space && rows == source.rows, "observations differ in space or number")
    base.copyMemory(from: source.base, byteCount: rows * Self.stride(space))
  }

  private static func stride(_ space: ObservationSpace) -> Int {
    switch space {
    case .vector(let size): size * MemoryLayout<T>.stride
    case .image: space.count
    }
  }
}
