import Kernels
import Testing

struct BatchChunksTests {
  /// The ranks' samples follow each other, and their spans are nodes of the tree that make up their chunks.
  @Test(arguments: [1, 2, 3, 5, 8, 13, 16]) func ranksShareAllChunks(ranks: Int) {
    let chunks = BatchChunks(count: 16, batch: 100, ranks: ranks)
    #expect((0..<ranks).flatMap { chunks.samples(of: $0) } == Array(0..<100))
    for rank in 0..<ranks {
      let spans = chunks.spans(of: rank)
      #expect(spans.flatMap { Array($0) } == Array(chunks.chunks(of: rank)))
      #expect(spans.allSatisfy { $0.count.nonzeroBitCount == 1 && $0.lowerBound % $0.count == 0 })
      #expect(spans.count <= chunks.mostSpans)
    }
  }

  @Test func powersOfTwoHaveOneSpanARank() {
    for ranks in [1, 2, 4, 8, 16] { #expect(BatchChunks(count: 16, batch: 64, ranks: ranks).mostSpans == 1) }
  }

  @Test func whatCannotBeUsedTogether() {
    #expect(BatchChunks.problem(count: 16, batch: 16, ranks: 16) == nil)
    for (count, batch, ranks) in [(16, 64, 17), (12, 64, 1), (0, 64, 1), (32, 16, 1)] {
      #expect(BatchChunks.problem(count: count, batch: batch, ranks: ranks) != nil)
    }
  }
}
