import COpenBLAS
import CProducts

/// The implementations of matrix products in single precision.
public enum ProductKernels: String, CaseIterable, Sendable {
  /// `CProducts` with AVX-512 registers of 16 floats.
  case avx512
  /// `CProducts` with AVX2 registers of 8 floats.
  case avx2
  /// OpenBLAS, used on other processors and with several threads.
  case openBLAS = "openblas"

  /// The kernels that compute all products: the fastest ones, unless `BLAS.setThreads` or `use` has chosen
  /// others.
  nonisolated(unsafe) public internal(set) static var chosen = fastest

  /// The fastest kernels that this processor can run.
  public static let fastest: ProductKernels =
    switch product_best() {
    case product_avx512: .avx512
    case product_avx2: .avx2
    default: .openBLAS
    }

  /// The kernels that this processor can run, the fastest first.
  public static var usable: ArraySlice<ProductKernels> {
    allCases.drop { $0 != fastest }
  }

  /// Whether all products have the same bits on every processor, and a row's whatever stands beside it: also those with
  /// vectors are `CProducts`' then. Only where `canReproduce`, and with one thread.
  nonisolated(unsafe) public static var reproduce = false

  /// Whether this processor can run `CProducts`.
  public static var canReproduce: Bool { fastest != .openBLAS }

  /// Makes these kernels compute all products, for comparisons. They must be ``usable``.
  public func use() {
    precondition(Self.usable.contains(self), "this processor cannot run these kernels")
    Self.chosen = self
  }

  /// c ← op(a) · op(b), or c ← c + op(a) · op(b) if `accumulate`; op transposes where asked. The sizes must
  /// fit. The two kinds of kernels of `CProducts` give the same bits.
  public func multiply(
    _ a: Matrix<Float>, transposed transposeA: Bool, _ b: Matrix<Float>, transposed transposeB: Bool,
    into c: Matrix<Float>, accumulate: Bool
  ) {
    let depth = transposeA ? a.rows : a.columns
    // Empty products go to OpenBLAS, which clears c if there are no terms.
    guard self != .openBLAS, depth > 0, c.rows > 0, c.columns > 0 else {
      return cblas_sgemm(
        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
        blasint(c.rows), blasint(c.columns), blasint(depth), 1, a.base, blasint(a.stride), b.base,
        blasint(b.stride), accumulate ? 1 : 0, c.base, blasint(c.stride))
    }
    product(
      instructions, c.rows, c.columns, depth, a.base, a.stride, transposeA,
      b.base, b.stride, transposeB, c.base, c.stride, accumulate)
  }

  /// c ← aᵀ · b, summed chunk by chunk, if the terms are so few that the kernels do it in one pass; false otherwise.
  public func multiply(
    _ a: Matrix<Float>, _ b: Matrix<Float>, into c: Matrix<Float>, by chunks: ChunkedRows
  ) -> Bool {
    let terms = chunks.terms
    guard self != .openBLAS, !terms.isEmpty, terms.count <= Int(PRODUCT_CHUNK_TERMS), c.rows > 0,
      c.columns > 0
    else { return false }
    product_by_chunks(
      self == .avx512 ? product_avx512 : product_avx2, c.rows, c.columns, a.row(terms.lowerBound), a.stride,
      b.row(terms.lowerBound), b.stride, c.base, c.stride,
      product_chunks(
        bounds: chunks.bounds + chunks.chunks.lowerBound, count: chunks.chunks.count,
        sections: chunks.sections, section: chunks.section))
    return true
  }

  /// c ← aᵀ · b, or c ← c + aᵀ · b if `accumulate`, and the sum of the squares of c; nil, and nothing done, if there are
  /// no terms, or so many that another pass through c costs little.
  public func multiplyFewTerms(
    _ a: Matrix<Float>, _ b: Matrix<Float>, into c: Matrix<Float>, accumulate: Bool
  ) -> Double? {
    guard self != .openBLAS, (1...Int(product_most_terms)).contains(a.rows), c.rows > 0,
      c.columns > 0
    else { return nil }
    return product_of_few_terms(
      instructions, c.rows, c.columns, a.rows, a.base, a.stride, b.base, b.stride, c.base, c.stride,
      accumulate)
  }

  /// What `CProducts` calls the registers of these kernels.
  private var instructions: product_instructions { self == .avx512 ? product_avx512 : product_avx2 }
}
