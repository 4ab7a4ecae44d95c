import Kernels

/// How a network, or an encoder, sums its gradients over rows by chunks: where the sums of chunks lie until they are
/// added, and where those of spans go.
///
/// The gradient of span i is `i · slabLength` elements behind that of the first span.
final class ChunkedGradients<T: Real> {
  /// The chunks of the rank's rows.
  let rows: RowChunks
  /// Elements from the gradient of a span to that of the next one.
  let slabLength: Int
  /// For products.
  let scratch = ChunkScratch<T>()

  /// Elements of all tensors together.
  private let count: Int
  /// Sums of the nodes of a span's tree that are complete and wait for the node beside them, and the chunk at hand: the
  /// gradients of tensors, where rows come in tiles.
  private var nodes: [Buffer<T>] = []
  /// The place of the chunk at hand among them.
  private var place = 0
  /// The same for the vectors of a layer, where all rows come at once.
  private let vectors: [[Buffer<T>]]

  /// - Parameters:
  ///   - count: elements of all tensors together.
  ///   - width: the most elements of a vector.
  init(_ rows: RowChunks, slabLength: Int, count: Int, width: Int) {
    (self.rows, self.slabLength, self.count) = (rows, slabLength, count)
    let levels = (rows.spans.map(\.count).max() ?? 1).trailingZeroBitCount + 1
    vectors = (0..<levels).map { _ in (0..<3).map { _ in Buffer(count: width) } }
  }

  // MARK: Rows that come at once

  /// The gradients of vectors ← sums over rows, for each span.
  ///
  /// - Parameters:
  ///   - all: the rows: those of the rank, once or several times behind each other.
  ///   - add: adds sums over some rows to vectors.
  @inline(__always)
  func sum(
    _ all: Range<Int>, into gradients: VectorGradients<T>, _ add: (Range<Int>, VectorGradients<T>) -> Void
  ) {
    let sections = all.count / max(1, rows.rows)
    for (span, chunks) in rows.spans.enumerated() {
      var place = 0
      for chunk in chunks {
        let sums = level(place, like: gradients)
        sums.clear()
        for section in 0..<sections {
          let start = all.lowerBound + section * rows.rows
          let ofChunk = rows.rows(of: chunk)
          add(start + ofChunk.lowerBound..<start + ofChunk.upperBound, sums)
        }
        for _ in 0..<completedNodes(chunk, chunks) {
          level(place - 1, like: gradients).add(level(place, like: gradients))
          place -= 1
        }
        place += 1
      }
      gradients.moved(by: span * slabLength).copy(level(0, like: gradients))
    }
  }

  private func level(_ place: Int, like gradients: VectorGradients<T>) -> VectorGradients<T> {
    let (bias, scale, shift) = (vectors[place][0].base, vectors[place][1].base, vectors[place][2].base)
    return VectorGradients(
      width: gradients.width, bias: bias,
      norm: gradients.norm == nil ? nil : HiddenGradients(bias: bias, scale: scale, shift: shift))
  }

  /// How many nodes of the tree are complete with a chunk.
  private func completedNodes(_ chunk: Int, _ span: Range<Int>) -> Int {
    (chunk - span.lowerBound + 1).trailingZeroBitCount
  }

  // MARK: Rows that come in tiles

  /// Where the gradients of the chunk of a tile are summed, from the first tensor on.
  var ofChunk: UnsafeMutablePointer<T> {
    while nodes.count <= place { nodes.append(Buffer(count: count)) }
    return nodes[place].base
  }

  /// Whether a tile of samples is the first of its chunk.
  func isFirst(_ samples: Range<Int>) -> Bool {
    rows.rows(of: rows.chunk(of: samples.lowerBound)).lowerBound == samples.lowerBound
  }

  /// Adds up what is complete with a tile of samples.
  ///
  /// - Parameter gradients: the first tensor's gradient.
  func end(_ samples: Range<Int>, into gradients: UnsafeMutablePointer<T>) {
    let chunk = rows.chunk(of: samples.lowerBound)
    guard rows.rows(of: chunk).upperBound == samples.upperBound else { return }
    let span = rows.span(of: chunk)
    let chunks = rows.spans[span]
    for _ in 0..<completedNodes(chunk, chunks) {
      T.add(nodes[place].base, to: nodes[place - 1].base, count: count)
      place -= 1
    }
    place += 1
    guard chunk == chunks.upperBound - 1 else { return }
    place = 0
    (gradients + span * slabLength).update(from: nodes[0].base, count: count)
  }
}
