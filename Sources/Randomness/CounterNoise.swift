import Kernels

/// Fills matrices with noise. The noise in a row depends only on a key and on the row's counter.
public enum CounterNoise {
  /// Fills the first `rows` rows with draws from N(0, 1).
  ///
  /// - Parameter counter: returns the counter of a row. Its first word must be zero, because that word
  ///   numbers the blocks of four columns.
  @inlinable
  public static func normal(
    _ matrix: Matrix<Float>, rows: Int, key: SIMD2<UInt32>, counter: (_ row: Int) -> SIMD4<UInt32>
  ) {
    let blocksPerRow = (matrix.columns + 3) / 4
    let blocks = rows * blocksPerRow
    // Eight blocks of four words make the sixteen pairs of a vectorised Box–Muller transform. The memory
    // holds the first words of all pairs, then the second words, then the cosines and the sines. (Setting the
    // lanes of a vector one by one takes longer than all the rest, and with a larger alignment the memory
    // would come from the heap.)
    let vector = MemoryLayout<Lanes>.size
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 16) { memory in
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      let words = memory.baseAddress!
      let normals = words + 2 * vector
      for start in stride(from: 0, to: blocks, by: 8) {
        let end = min(start + 8, blocks)
        for block in start..<end {
          var position = counter(block / blocksPerRow)
          position.x = UInt32(truncatingIfNeeded: block % blocksPerRow)
          let drawn = Philox.words(counter: position, key: key)
          let pairs = words + 8 * (block - start)
          pairs.storeBytes(of: drawn.x, as: UInt32.self)
          pairs.storeBytes(of: drawn.y, toByteOffset: vector, as: UInt32.self)
          pairs.storeBytes(of: drawn.z, toByteOffset: 4, as: UInt32.self)
          pairs.storeBytes(of: drawn.w, toByteOffset: vector + 4, as: UInt32.self)
        }
        let (cosines, sines) = boxMuller(
          words.loadUnaligned(as: SIMD16<UInt32>.self),
          words.loadUnaligned(fromByteOffset: vector, as: SIMD16<UInt32>.self))
        normals.storeBytes(of: cosines, as: Lanes.self)
        normals.storeBytes(of: sines, toByteOffset: vector, as: Lanes.self)
        for block in start..<end {
          let column = 4 * (block % blocksPerRow)
          let row = matrix.row(block / blocksPerRow)
          let pairs = normals + 8 * (block - start)
          for c in column..<min(column + 4, matrix.columns) {
            // The elements of a block are the cosine and sine of its first pair, then those of its second
            // pair.
            let i = c &- column
            row[c] = pairs.load(fromByteOffset: 4 &* (i &>> 1) &+ vector &* (i & 1), as: Float.self)
          }
        }
      }
    }
  }

  /// Fills the first `rows` rows with draws that are uniform on [0, 1).
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
