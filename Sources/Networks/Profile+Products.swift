import Kernels
import Profiling

extension Profile {
  /// c ← op(a) · op(b), or added to c.
  @inline(__always)
  func product<T: Real>(
    _ a: Matrix<T>, _ b: Matrix<T>, transposingA: Bool = false, transposingB: Bool = false, into c: Matrix<T>,
    accumulate: Bool = false
  ) {
    countProduct(c.rows, c.columns, transposingA ? a.rows : a.columns)
    time(.products) {
      T.multiply(a, transposed: transposingA, b, transposed: transposingB, into: c, accumulate: accumulate)
    }
  }

  /// c ← aᵀ · b, summed by chunks.
  func product<T: Real>(
    _ a: Matrix<T>, _ b: Matrix<T>, into c: Matrix<T>, by chunks: ChunkedRows, _ scratch: ChunkScratch<T>
  ) {
    countProduct(c.rows, c.columns, chunks.rowCount)
    time(.products) { T.multiply(a, b, into: c, by: chunks, scratch: scratch) }
  }

  /// c ← aᵀ · b, or added to c, as for the gradient of weights. Returns the sum of the squares of c.
  @inline(__always)
  func weightGradient<T: Real>(
    _ a: Matrix<T>, _ b: Matrix<T>, into c: Matrix<T>, accumulate: Bool
  ) -> Double {
    countProduct(c.rows, c.columns, a.rows)
    var squares = 0.0
    time(.products) { squares = T.multiplyTransposed(a, b, into: c, accumulate: accumulate) }
    return squares
  }
}
