import COpenBLAS
import CProducts

/// What multiplies matrices of single precision.
public enum ProductKernels: String, CaseIterable, Sendable {
  /// `CProducts` with 16 numbers in a register.
  case avx512
  /// `CProducts` with 8.
  case avx2
  /// OpenBLAS: on other processors, and with several threads.
  case openBLAS = "openblas"

  /// The kernels of every product: the fastest that there are here, unless `BLAS.setThreads` or `use` chose others.
  nonisolated(unsafe) public internal(set) static var chosen = fastest

  /// The fastest that this processor can run.
  public static let fastest: ProductKernels =
    switch product_best() {
    case product_avx512: .avx512
    case product_avx2: .avx2
    default: .openBLAS
    }

  /// Those that this processor can run, the fastest first.
  public static var usable: ArraySlice<ProductKernels> {
    allCases.drop { $0 != fastest }
  }

  /// Makes these the kernels of every product, for comparisons. They have to be usable.
  public func use() {
    precondition(Self.usable.contains(self), "this processor cannot run these kernels")
    Self.chosen = self
  }

  /// c ← op(a) · op(b), or added to c, for sizes that fit. The kernels of `CProducts` give the same bits.
  public func multiply(
    _ a: Matrix<Float>, transposed transposeA: Bool, _ b: Matrix<Float>, transposed transposeB: Bool,
    into c: Matrix<Float>, accumulate: Bool
  ) {
    let depth = transposeA ? a.rows : a.columns
    // Without a term or an element there is nothing to sum up, but c may have to be cleared.
    guard self != .openBLAS, depth > 0, c.rows > 0, c.columns > 0 else {
      return cblas_sgemm(
        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
        blasint(c.rows), blasint(c.columns), blasint(depth), 1, a.base, blasint(a.stride), b.base,
        blasint(b.stride), accumulate ? 1 : 0, c.base, blasint(c.stride))
    }
    product(
      self == .avx512 ? product_avx512 : product_avx2, c.rows, c.columns, depth, a.base, a.stride, transposeA,
      b.base, b.stride, transposeB, c.base, c.stride, accumulate)
  }
}
