import Basics
import Synchronization

private let bytesInBuffers = Atomic(0)

/// The bytes that all living buffers of this process take.
public var bufferBytes: Int { bytesInBuffers.load(ordering: .relaxed) }

/// Memory for `count` elements, aligned to 64 bytes (a cache line and an AVX-512 register) and initially
/// zero.
///
/// Views of the memory (`Matrix`, pointers) do not keep it alive: the owner of the buffer must outlive them.
public final class Buffer<T: Real> {
  /// The first element.
  public let base: UnsafeMutablePointer<T>
  /// The number of elements.
  public let count: Int

  /// Reserves and zeroes `count` elements.
  public init(count: Int) {
    let bytes = Swift.max(count, 1) * MemoryLayout<T>.stride
    base = allocateZeroed(byteCount: bytes).bindMemory(to: T.self, capacity: Swift.max(count, 1))
    self.count = count
    bytesInBuffers.add(bytes, ordering: .relaxed)
  }

  deinit {
    base.deallocate()
    bytesInBuffers.subtract(Swift.max(count, 1) * MemoryLayout<T>.stride, ordering: .relaxed)
  }
}

/// A view of a row-major matrix in memory that somebody else owns: element (r, c) is at `base[r · stride +
/// c]`.
public struct Matrix<T: Real> {
  /// Element (0, 0).
  public let base: UnsafeMutablePointer<T>
  /// The number of rows.
  public let rows: Int
  /// The number of columns.
  public let columns: Int
  /// The distance between the starts of two rows, in elements.
  public let stride: Int

  /// Makes a view of `rows × columns` elements at `base`. Rows are contiguous unless `stride` is given.
  @inlinable
  public init(_ base: UnsafeMutablePointer<T>, rows: Int, columns: Int, stride: Int? = nil) {
    self.base = base
    self.rows = rows
    self.columns = columns
    self.stride = stride ?? columns
  }

  /// Makes a view of the first `rows × columns` elements of a buffer.
  public init(_ buffer: Buffer<T>, rows: Int, columns: Int) {
    precondition(buffer.count >= rows * columns, "buffer smaller than the matrix")
    self.init(buffer.base, rows: rows, columns: columns)
  }

  /// A view of the rows in `range`.
  @inlinable
  public func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows outside the matrix")
    return Matrix(base + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  /// A view of the columns in `range`.
  @inlinable
  public func columns(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns outside the matrix")
    return Matrix(base + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }

  /// The address of element (r, 0).
  @inlinable
  public func row(_ r: Int) -> UnsafeMutablePointer<T> { base + r * stride }

  /// Element (r, c).
  @inlinable
  public subscript(r: Int, c: Int) -> T {
    get { base[r * stride + c] }
    nonmutating set { base[r * stride + c] = newValue }
  }

  /// Copies a matrix of the same shape into this one.
  @inlinable
  public func copy(_ source: Matrix) {
    precondition(rows == source.rows && columns == source.columns, "shapes differ")
    for r in 0..<rows { row(r).update(from: source.row(r), count: columns) }
  }

  /// Sets each row to the row of `a` followed by the row of `b`.
  @inlinable
  public func concatenate(_ a: Matrix, _ b: Matrix) {
    columns(0..<a.columns).copy(a)
    columns(a.columns..<columns).copy(b)
  }

  /// Sets each row to the rows of `a`, `b` and `c`, one after another.
  @inlinable
  public func concatenate(_ a: Matrix, _ b: Matrix, _ c: Matrix) {
    columns(0..<a.columns + b.columns).concatenate(a, b)
    columns(a.columns + b.columns..<columns).copy(c)
  }

  /// Replaces each element by `change` of it, row by row.
  @inlinable
  public func replaceEach(_ change: (T) -> T) {
    for r in 0..<rows {
      for c in 0..<columns { self[r, c] = change(self[r, c]) }
    }
  }

  /// Sets each element to that of `source`, limited to [−1, 1].
  @inlinable
  public func clip(_ source: Matrix) {
    precondition(rows == source.rows && columns == source.columns, "shapes differ")
    for r in 0..<rows {
      for c in 0..<columns { self[r, c] = Swift.max(-1, Swift.min(1, source[r, c])) }
    }
  }
}

/// Allocates matrices and vectors, initially zero, and owns their memory.
public final class Workspace<T: Real> {
  private var buffers: [Buffer<T>] = []

  /// Makes a workspace without memory.
  public init() {}

  /// A new matrix, valid as long as the workspace.
  public func matrix(rows: Int, columns: Int) -> Matrix<T> {
    Matrix(vector(rows * columns), rows: rows, columns: columns)
  }

  /// A new vector of `count` elements, valid as long as the workspace.
  public func vector(_ count: Int) -> UnsafeMutablePointer<T> {
    let buffer = Buffer<T>(count: count)
    buffers.append(buffer)
    return buffer.base
  }
}
