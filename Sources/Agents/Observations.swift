import Basics
import Kernels

/// The observations of several samples, as what they are: numbers of the precision T for vectors, bytes for images.
///
/// It is a view: the memory lives as long as the batch or policy that it belongs to.
public struct Observations<T: Real> {
  /// Which states of a sample the observations are of. A network encodes the images of each moment once in an update.
  public enum Moment: Int, CaseIterable, Sendable {
    /// s, the state that the action is taken in.
    case present
    /// s′, the state after that.
    case next
  }

  /// What each of them is.
  public let space: ObservationSpace
  /// Which states they are of.
  public let moment: Moment
  /// How many there are.
  public let rows: Int

  /// All that lie in the memory.
  private let base: UnsafeMutableRawPointer
  /// Where the first one stands in the memory.
  private let first: Int
  /// How many rows each one in the memory stands for, one after the other.
  private let repeats: Int

  private init(
    _ space: ObservationSpace, _ moment: Moment, rows: Int, at base: UnsafeMutableRawPointer, first: Int = 0,
    repeats: Int = 1
  ) {
    self.space = space
    self.moment = moment
    self.rows = rows
    self.base = base
    self.first = first
    self.repeats = repeats
  }

  /// Memory for `rows` observations, which lives as long as the workspace.
  public init(
    _ space: ObservationSpace, rows: Int, moment: Moment = .present, in workspace: Workspace<T>
  ) {
    let bytes = rows * Self.stride(space)
    let elements = (bytes + MemoryLayout<T>.stride - 1) / MemoryLayout<T>.stride
    self.init(space, moment, rows: rows, at: workspace.vector(elements))
  }

  /// The vectors as a matrix, rows × size.
  public var vectors: Matrix<T> {
    guard case .vector(let size) = space else { preconditionFailure("images are not vectors") }
    precondition(repeats == 1, "repeated vectors are no matrix")
    return Matrix(row(0).assumingMemoryBound(to: T.self), rows: rows, columns: size)
  }

  /// Some of the rows.
  public func rows(_ range: Range<Int>) -> Observations {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside the observations")
    precondition(repeats == 1, "repeated observations are taken as a whole")
    return Observations(space, moment, rows: range.count, at: base, first: first + range.lowerBound)
  }

  /// Some of the rows, as if there were no others in the memory.
  func apart(_ range: Range<Int>) -> Observations {
    let part = rows(range)
    return Observations(space, moment, rows: part.rows, at: part.row(0))
  }

  /// Each observation `count` times in a row.
  func repeated(_ count: Int) -> Observations {
    precondition(repeats == 1, "observations are repeated once")
    return Observations(space, moment, rows: rows * count, at: base, first: first, repeats: count)
  }

  /// Where the observation of a row starts: numbers of the precision T for a vector, bytes for an image.
  public func row(_ row: Int) -> UnsafeMutableRawPointer { base + index(row) * Self.stride(space) }

  /// The number of a row's observation in the memory.
  func index(_ row: Int) -> Int { first + row / repeats }

  /// The images in the memory, one behind the other.
  var images: UnsafePointer<UInt8> { UnsafePointer(base.assumingMemoryBound(to: UInt8.self)) }

  /// Copies an observation of the same space into a row.
  public func copy(_ source: Observations, row from: Int, to row: Int) {
    self.row(row).copyMemory(from: source.row(from), byteCount: Self.stride(space))
  }

  /// Copies as many observations of the same space into the rows.
  public func copy(_ source: Observations) {
    precondition(space == source.space && rows == source.rows, "observations differ in space or number")
    precondition(repeats == 1 && source.repeats == 1, "repeated observations are not copied")
    row(0).copyMemory(from: source.row(0), byteCount: rows * Self.stride(space))
  }

  private static func stride(_ space: ObservationSpace) -> Int {
    switch space {
    case .vector(let size): size * MemoryLayout<T>.stride
    case .image: space.count
    }
  }
}
