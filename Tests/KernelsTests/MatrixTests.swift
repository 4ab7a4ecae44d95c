import Kernels
import Testing

@Suite struct MatrixTests {
  private func numbered(_ rows: Int, _ columns: Int) -> (Matrix<Double>, Workspace<Double>) {
    let workspace = Workspace<Double>()
    let matrix = workspace.matrix(rows: rows, columns: columns)
    for r in 0..<rows {
      for c in 0..<columns { matrix[r, c] = Double(10 * r + c) }
    }
    return (matrix, workspace)
  }

  private func values(_ matrix: Matrix<Double>) -> [[Double]] {
    (0..<matrix.rows).map { r in (0..<matrix.columns).map { matrix[r, $0] } }
  }

  @Test func viewsOfViewsShareTheMatrix() {
    let (matrix, owner) = numbered(4, 5)
    withExtendedLifetime(owner) {
      let view = matrix.rows(1..<4).columns(2..<5).rows(1..<3).columns(0..<2)
      #expect(values(view) == [[22, 23], [32, 33]])
      view[1, 1] = -1
      #expect(matrix[3, 3] == -1)
      #expect(matrix.rows(4..<4).rows == 0 && matrix.columns(5..<5).columns == 0)
    }
  }

  @Test func concatenateJoinsRows() {
    let ((a, first), (b, second), (c, third)) = (numbered(2, 1), numbered(2, 2), numbered(2, 1))
    withExtendedLifetime((first, second, third)) {
      let workspace = Workspace<Double>()
      let three = workspace.matrix(rows: 2, columns: 4)
      three.concatenate(a, b, c)
      #expect(values(three) == [[0, 0, 1, 0], [10, 10, 11, 10]])
      let two = workspace.matrix(rows: 2, columns: 3)
      two.concatenate(b, a)
      #expect(values(two) == [[0, 1, 0], [10, 11, 10]])
    }
  }

  @Test func clipLimitsToPlusMinusOne() {
    let workspace = Workspace<Float>()
    let (source, clipped) = (
      workspace.matrix(rows: 1, columns: 5), workspace.matrix(rows: 1, columns: 5)
    )
    for (c, value) in [-3, -1, 0.5, 1, .infinity].enumerated() { source[0, c] = Float(value) }
    clipped.clip(source)
    #expect((0..<5).map { clipped[0, $0] } == [-1, -1, 0.5, 1, 1])
  }

  @Test func buffersAreAlignedAndZero() {
    for count in [0, 1, 17, 1000] {
      let buffer = Buffer<Float>(count: count)
      #expect(Int(bitPattern: buffer.base) % 64 == 0)
      #expect((0..<count).allSatisfy { buffer.base[$0] == 0 })
    }
  }

  @Test func rowsOutsideTheMatrixEndTheProcess() async {
    await #expect(processExitsWith: .failure) {
      _ = Workspace<Float>().matrix(rows: 3, columns: 2).rows(1..<4)
    }
  }

  @Test func columnsOutsideTheMatrixEndTheProcess() async {
    await #expect(processExitsWith: .failure) {
      _ = Workspace<Float>().matrix(rows: 3, columns: 2).columns(1..<3)
    }
  }

  @Test func aBufferThatIsTooSmallEndsTheProcess() async {
    await #expect(processExitsWith: .failure) { _ = Matrix(Buffer<Float>(count: 5), rows: 3, columns: 2) }
  }

  @Test func productsOfSizesThatDoNotFitEndTheProcess() async {
    await #expect(processExitsWith: .failure) {
      let workspace = Workspace<Float>()
      let (a, b) = (workspace.matrix(rows: 3, columns: 2), workspace.matrix(rows: 3, columns: 2))
      Float.multiply(
        a, transposed: false, b, transposed: false, into: workspace.matrix(rows: 3, columns: 2),
        accumulate: false)
    }
  }
}
