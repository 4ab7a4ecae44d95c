import Kernels
import Testing

/// The operands of c ← op(a) · op(b) in both precisions. c starts with numbers of about 50.
struct ProductOperands {
  let a: Pair
  let b: Pair
  let c: Pair
  let depth: Int

  init(rows: Int, columns: Int, depth: Int, transposed: (a: Bool, b: Bool)) {
    func numbers(_ rows: Int, _ columns: Int, _ transposed: Bool) -> Pair {
      Pair(transposed ? columns : rows, transposed ? rows : columns, Rows.ordinary.value)
    }
    a = numbers(rows, depth, transposed.a)
    b = numbers(depth, columns, transposed.b)
    c = Pair(rows, columns, Rows.fifty.value)
    self.depth = depth
  }

  /// Whether both precisions agree and no kernel wrote beyond c. The tolerance is relative to the magnitude that sums of
  /// `depth` terms of about 4 reach, and grows with the number of roundings on the way.
  var agree: Bool {
    let roundings = Double(depth).squareRoot()
    return c.deviation(unit: 10 + 4 * roundings) < 2e-6 + 6e-8 * roundings && c.marginIsIntact
  }
}

/// All product kernels that this processor can run agree with the definition.
struct ProductKernelsTests {
  /// Sizes around those of tiles (6 and 12 rows), registers (8 and 16 columns), panels (32), strips and
  /// groups (48, 128) and blocks of terms (256 and 512), single rows and columns, and few rows (up to 3, 8 and 32) and
  /// terms (up to 64).
  private static let sizes = [
    (1, 1, 1), (1, 40, 7), (5, 7, 1), (6, 8, 4), (7, 17, 5), (12, 16, 255), (13, 31, 257), (25, 33, 512),
    (23, 65, 513), (31, 96, 3), (48, 1, 40), (100, 5, 1100), (100, 140, 600), (20, 64, 600), (2, 150, 530),
    (3, 37, 20), (12, 530, 70), (29, 300, 64),
  ]

  @Test(arguments: ProductKernels.usable, sizes)
  func productsMatchTheDefinition(kernels: ProductKernels, _ size: (rows: Int, columns: Int, depth: Int)) {
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
      for accumulate in [false, true] {
        let o = ProductOperands(
          rows: size.rows, columns: size.columns, depth: size.depth, transposed: (ta, tb))
        kernels.multiply(
          o.a.float, transposed: ta, o.b.float, transposed: tb, into: o.c.float, accumulate: accumulate)
        Double.multiply(
          o.a.double, transposed: ta, o.b.double, transposed: tb, into: o.c.double, accumulate: accumulate)
        #expect(o.agree, "transposed \(ta) \(tb), accumulate \(accumulate)")
      }
    }
  }

  /// Each element is one chain of multiply-adds, so that its bits depend neither on the instruction set nor on the rows
  /// and columns beside it.
  @Test(arguments: ProductKernels.usable.filter { $0 != .openBLAS }, sizes)
  func everyElementIsOneChain(kernels: ProductKernels, _ size: (rows: Int, columns: Int, depth: Int)) {
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
      for accumulate in [false, true] {
        let o = ProductOperands(
          rows: size.rows, columns: size.columns, depth: size.depth, transposed: (ta, tb))
        let start = (0..<size.rows).map { r in (0..<size.columns).map { accumulate ? o.c.float[r, $0] : 0 } }
        kernels.multiply(
          o.a.float, transposed: ta, o.b.float, transposed: tb, into: o.c.float, accumulate: accumulate)
        let areChains = (0..<size.rows).allSatisfy { r in
          (0..<size.columns).allSatisfy { c in
            var sum = start[r][c]
            for k in 0..<size.depth {
              sum.addProduct(ta ? o.a.float[k, r] : o.a.float[r, k], tb ? o.b.float[c, k] : o.b.float[k, c])
            }
            return sum == o.c.float[r, c]
          }
        }
        #expect(areChains, "transposed \(ta) \(tb), accumulate \(accumulate)")
      }
    }
  }

  /// Rows of two matrices in chunks, sections of them, and which chunks are summed.
  private static let chunks = [
    (batch: 16, count: 16, sections: 1, chunks: 0..<16), (256, 16, 1, 0..<16), (100, 16, 1, 0..<16),
    (64, 16, 2, 0..<16), (64, 16, 2, 4..<8), (64, 16, 3, 15..<16),
    (37, 32, 1, 8..<16),
  ]

  /// Each element is a chain of multiply-adds for each chunk, and a binary tree of these.
  @Test(arguments: ProductKernels.usable.filter { $0 != .openBLAS }, chunks)
  func sumsByChunksAreTreesOfChains(
    kernels: ProductKernels, _ size: (batch: Int, count: Int, sections: Int, chunks: Range<Int>)
  ) async {
    let rows = RowChunks(BatchChunks(count: size.count, batch: size.batch, ranks: 1), rank: 0)
    for (m, n) in [(1, 1), (5, 40), (13, 31), (48, 64), (100, 17), (20, 1)] {
      let a = Pair(size.batch * size.sections, m, Rows.ordinary.value)
      let b = Pair(size.batch * size.sections, n, Rows.ordinary.value)
      let c = Pair(m, n, Rows.fifty.value)
      let chunked = rows.chunked(size.chunks, sections: size.sections)
      #expect(kernels.multiply(a.float, b.float, into: c.float, by: chunked))
      func sum(_ chunks: Range<Int>, _ i: Int, _ j: Int) -> Float {
        guard chunks.count == 1 else {
          let middle = chunks.lowerBound + chunks.count / 2
          return sum(chunks.lowerBound..<middle, i, j) + sum(middle..<chunks.upperBound, i, j)
        }
        var sum = Float(0)
        for section in 0..<size.sections {
          for row in rows.rows(of: chunks.lowerBound) {
            let row = section * size.batch + row
            sum.addProduct(a.float[row, i], b.float[row, j])
          }
        }
        return sum
      }
      let areTrees = (0..<m).allSatisfy { i in
        (0..<n).allSatisfy { j in sum(size.chunks, i, j) == c.float[i, j] }
      }
      #expect(areTrees && c.marginIsIntact, "\(m) × \(n)")
    }
  }

  /// Gradients of weights by few rows have the bits of the general product, and come with the sum of their squares.
  @Test(
    arguments: ProductKernels.usable.filter { $0 != .openBLAS },
    [(5, 7, 1), (6, 16, 2), (20, 32, 8), (13, 530, 40), (29, 300, 64)])
  func gradientsByFewRowsComeWithTheirSquares(
    kernels: ProductKernels, _ size: (rows: Int, columns: Int, depth: Int)
  ) throws {
    for accumulate in [false, true] {
      func operands() -> ProductOperands {
        ProductOperands(
          rows: size.rows, columns: size.columns, depth: size.depth, transposed: (true, false))
      }
      let (few, general) = (operands(), operands())
      let squares = try #require(
        kernels.multiplyFewTerms(few.a.float, few.b.float, into: few.c.float, accumulate: accumulate))
      kernels.multiply(
        general.a.float, transposed: true, general.b.float, transposed: false, into: general.c.float,
        accumulate: accumulate)
      var expected = 0.0
      for r in 0..<size.rows {
        for c in 0..<size.columns {
          #expect(few.c.float[r, c] == general.c.float[r, c])
          expected += Double(few.c.float[r, c]) * Double(few.c.float[r, c])
        }
      }
      #expect(abs(squares - expected) < 1e-5 * expected && few.c.marginIsIntact)
    }
  }

  @Test(arguments: ProductKernels.usable.filter { $0 != .openBLAS })
  func squaresOfAGradientTellThatItIsNotFinite(kernels: ProductKernels) {
    for place in [3, 20] {
      let b = Pair(2, 21) { _, column in column == place ? .infinity : 1 }
      let (a, c) = (Pair(2, 9) { _, _ in 1 }, Pair(9, 21))
      let squares = kernels.multiplyFewTerms(a.float, b.float, into: c.float, accumulate: false)
      #expect(squares == .infinity)
    }
    let (many, c) = (Pair(65, 4), Pair(4, 4))
    #expect(kernels.multiplyFewTerms(many.float, many.float, into: c.float, accumulate: false) == nil)
  }

  /// A row that is not finite affects only its own results, although kernels compute the missing columns of a
  /// register, too.
  @Test(arguments: ProductKernels.usable) func aNaNStaysInItsRow(kernels: ProductKernels) {
    let a = Pair(20, 30) { row, _ in row == 13 ? .nan : 1 }
    let b = Pair(30, 5) { _, _ in 1 }
    let c = Pair(20, 5)
    kernels.multiply(a.float, transposed: false, b.float, transposed: false, into: c.float, accumulate: false)
    for row in 0..<20 {
      for column in 0..<5 { #expect(row == 13 ? c.float[row, column].isNaN : c.float[row, column] == 30) }
    }
    #expect(c.marginIsIntact)
  }

  @Test(arguments: ProductKernels.usable) func sumsWithoutTermsAreZero(kernels: ProductKernels) {
    let (a, b) = (Pair(4, 0), Pair(0, 4))
    let c = Pair(4, 4) { _, _ in 7 }
    kernels.multiply(a.float, transposed: false, b.float, transposed: false, into: c.float, accumulate: true)
    #expect(c.float[3, 3] == 7)
    kernels.multiply(a.float, transposed: false, b.float, transposed: false, into: c.float, accumulate: false)
    #expect(c.float[3, 3] == 0)
  }

  @Test func oneThreadUsesTheFastestKernelsAndSeveralUseOpenBLAS() async {
    // The test runs in a process of its own, because other tests use the kernels at the same time.
    await #expect(processExitsWith: .success) {
      BLAS.setThreads(2)
      precondition(ProductKernels.chosen == .openBLAS)
      BLAS.setThreads(1)
      precondition(ProductKernels.chosen == ProductKernels.usable.first)
    }
  }
}
