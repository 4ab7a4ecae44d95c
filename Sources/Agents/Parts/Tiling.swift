/// How stacks with many rows for each sample are cut into tiles of whole samples: small enough that the memory does
/// not grow with the stack and a layer's activations stay in the second-level cache, large enough that products run
/// at full speed.
struct Tiling {
  /// Most samples of a tile.
  let samples: Int

  /// Tiles of about 512 rows.
  ///
  /// - Parameters:
  ///   - samples: the most there will be.
  ///   - rowsPerSample: rows of the stack for each.
  init(samples: Int, rowsPerSample: Int) {
    self.samples = min(samples, max(1, 512 / rowsPerSample))
  }

  /// Calls `body` for the tiles of some samples, in order.
  @inline(__always)
  func forEach(_ all: Range<Int>, _ body: (Range<Int>) -> Void) {
    for first in stride(from: all.lowerBound, to: all.upperBound, by: max(1, samples)) {
      body(first..<min(first + samples, all.upperBound))
    }
  }
}
