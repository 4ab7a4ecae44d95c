import Kernels

/// How stacks with many rows for each sample are cut into tiles of whole samples: small enough that the memory does
/// not grow with the stack, large enough that products run at full speed.
struct Tiling {
  /// Most samples of a tile.
  let samples: Int

  /// Tiles of about 512 rows, or 1024 where each layer's activations take the place of an earlier one's.
  ///
  /// - Parameters:
  ///   - samples: the most there will be.
  ///   - rowsPerSample: rows of the stack for each.
  ///   - keepsActivations: whether a backward pass follows.
  init(samples: Int, rowsPerSample: Int, keepsActivations: Bool = true) {
    self.samples = min(samples, max(1, (keepsActivations ? 512 : 1024) / rowsPerSample))
  }

  /// Calls `body` for the tiles of some samples, in order.
  ///
  /// - Parameter chunks: those that no tile reaches beyond, if the samples are summed by chunks.
  @inline(__always)
  func forEach(_ all: Range<Int>, within chunks: RowChunks? = nil, _ body: (Range<Int>) -> Void) {
    if let chunks {
      for chunk in 0..<chunks.count { forEach(chunks.rows(of: chunk), body) }
    } else {
      forEach(all, body)
    }
  }

  @inline(__always)
  private func forEach(_ all: Range<Int>, _ body: (Range<Int>) -> Void) {
    for first in stride(from: all.lowerBound, to: all.upperBound, by: max(1, samples)) {
      body(first..<min(first + samples, all.upperBound))
    }
  }
}
