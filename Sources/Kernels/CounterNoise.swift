/// Fills the rows of a matrix with noise that depends on a key and on a counter for each row only.
public enum CounterNoise {
  /// N(0, 1), every element of the first `rows` rows.
  ///
  /// - Parameter counter: the counter of a row, whose first word is zero: it numbers the blocks of four columns.
  @inlinable
  public static func normal(
    _ matrix: Matrix<Float>, rows: Int, key: SIMD2<UInt32>, counter: (_ row: Int) -> SIMD4<UInt32>
  ) {
    let blocksPerRow = (matrix.columns + 3) / 4
    let blocks = rows * blocksPerRow
    // Eight blocks of four words make sixteen pairs for the vectorised Box–Muller.
    for start in stride(from: 0, to: blocks, by: 8) {
      let end = min(start + 8, blocks)
      var (first, second) = (SIMD16<UInt32>.zero, SIMD16<UInt32>.zero)
      for block in start..<end {
        var position = counter(block / blocksPerRow)
        position.x = UInt32(truncatingIfNeeded: block % blocksPerRow)
        let words = Philox.words(counter: position, key: key)
        let lane = 2 * (block - start)
        (first[lane], second[lane]) = (words.x, words.y)
        (first[lane + 1], second[lane + 1]) = (words.z, words.w)
      }
      let (cosine, sine) = boxMuller(first, second)
      for block in start..<end {
        let lane = 2 * (block - start)
        let values = SIMD4(cosine[lane], sine[lane], cosine[lane + 1], sine[lane + 1])
        let column = 4 * (block % blocksPerRow)
        let row = matrix.row(block / blocksPerRow)
        for c in column..<min(column + 4, matrix.columns) { row[c] = values[c - column] }
      }
    }
  }

  /// Uniform on [0, 1), every element of the first `rows` rows.
  ///
  /// - Parameter counter: as for ``normal(_:rows:key:counter:)``.
  @inlinable
  public static func uniform(
    _ matrix: Matrix<Float>, rows: Int, key: SIMD2<UInt32>, counter: (_ row: Int) -> SIMD4<UInt32>
  ) {
    for r in 0..<rows {
      var position = counter(r)
      for start in stride(from: 0, to: matrix.columns, by: 4) {
        position.x = UInt32(truncatingIfNeeded: start / 4)
        let words = Philox.words(counter: position, key: key)
        for c in start..<min(start + 4, matrix.columns) { matrix[r, c] = unitInterval(words[c - start]) }
      }
    }
  }
}
