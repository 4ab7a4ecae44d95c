/// How a batch is cut where sums over its rows must have the same bits on any number of ranks: into a fixed number of
/// chunks of consecutive samples.
///
/// A sum over the batch is a sum over the rows of each chunk, in their order, and then a binary tree over the chunks:
///
///     ((c₀ + c₁) + (c₂ + c₃)) + ((c₄ + c₅) + (c₆ + c₇))        for 8 chunks
///
/// A rank has consecutive chunks. It adds up each *span* of them, chunks that are all that a node of the tree is over; the
/// rest of the tree is added up by the ranks together.
public struct BatchChunks: Sendable, Equatable {
  /// The number of chunks, a power of two.
  public let count: Int
  /// Samples of the batch over all ranks.
  public let batch: Int
  /// Ranks that share the chunks.
  public let ranks: Int

  /// The chunks of a batch. The numbers must have no ``problem(count:batch:ranks:)``.
  public init(count: Int, batch: Int, ranks: Int) {
    let problem = Self.problem(count: count, batch: batch, ranks: ranks)
    precondition(problem == nil, problem ?? "")
    (self.count, self.batch, self.ranks) = (count, batch, ranks)
  }

  /// One line that says why the numbers cannot be used together; nil if they can.
  public static func problem(count: Int, batch: Int, ranks: Int) -> String? {
    guard isPossible(count) else { return "\(count) chunks: must be a power of two, at most 65536" }
    guard ranks <= count else {
      return
        "\(ranks) ranks share a batch of \(count) chunks, so some would have none; use at most \(count) ranks"
    }
    guard count <= batch else {
      return "a batch of \(batch) cannot be cut into \(count) chunks; use at most \(batch) chunks"
    }
    return nil
  }

  /// Whether a batch can have so many chunks: a power of two, at most 2¹⁶.
  public static func isPossible(_ count: Int) -> Bool {
    count > 0 && count <= 65_536 && count.nonzeroBitCount == 1
  }

  /// The first sample of a chunk; the end of the batch for the chunk after the last.
  public func bound(_ chunk: Int) -> Int { batch * chunk / count }

  /// The chunks of a rank.
  public func chunks(of rank: Int) -> Range<Int> { count * rank / ranks..<count * (rank + 1) / ranks }

  /// The samples of a rank.
  public func samples(of rank: Int) -> Range<Int> {
    let chunks = chunks(of: rank)
    return bound(chunks.lowerBound)..<bound(chunks.upperBound)
  }

  /// The spans of a rank, in order: as few as possible.
  public func spans(of rank: Int) -> [Range<Int>] {
    let chunks = chunks(of: rank)
    var spans: [Range<Int>] = []
    var first = chunks.lowerBound
    while first < chunks.upperBound {
      var size = first == 0 ? count : 1 << first.trailingZeroBitCount
      while first + size > chunks.upperBound { size /= 2 }
      spans.append(first..<first + size)
      first += size
    }
    return spans
  }

  /// The most spans that a rank has.
  public var mostSpans: Int { (0..<ranks).map { spans(of: $0).count }.max() ?? 1 }
}

/// The chunks of one rank's rows, counted from its first.
public final class RowChunks: Sendable {
  /// How the batch is cut.
  public let batch: BatchChunks
  /// The first chunk of the rank.
  public let first: Int
  /// How many chunks the rank has.
  public let count: Int
  /// The spans of the rank's chunks, counted from its first chunk.
  public let spans: [Range<Int>]
  /// The row at which each chunk begins, and the end of the last.
  nonisolated(unsafe) let bounds: UnsafeMutablePointer<Int>

  /// The chunks of a rank.
  public init(_ batch: BatchChunks, rank: Int) {
    let chunks = batch.chunks(of: rank)
    self.batch = batch
    (first, count) = (chunks.lowerBound, chunks.count)
    spans = batch.spans(of: rank).map {
      $0.lowerBound - chunks.lowerBound..<$0.upperBound - chunks.lowerBound
    }
    bounds = .allocate(capacity: chunks.count + 1)
    for i in 0...chunks.count {
      (bounds + i).initialize(to: batch.bound(chunks.lowerBound + i) - batch.bound(chunks.lowerBound))
    }
  }

  deinit { bounds.deallocate() }

  /// Rows of the rank.
  public var rows: Int { bounds[count] }
  /// The rows of a chunk.
  public func rows(of chunk: Int) -> Range<Int> { bounds[chunk]..<bounds[chunk + 1] }
  /// The chunk of a row.
  public func chunk(of row: Int) -> Int { (0..<count).first { row < bounds[$0 + 1] } ?? count - 1 }
  /// The number of the span of a chunk.
  public func span(of chunk: Int) -> Int { spans.firstIndex { $0.contains(chunk) } ?? 0 }
  /// Some chunks of matrices that have the rank's rows `sections` times, one behind the other.
  public func chunked(_ chunks: Range<Int>, sections: Int) -> ChunkedRows {
    ChunkedRows(bounds: UnsafePointer(bounds), chunks: chunks, sections: sections, section: rows)
  }
}

/// Rows of a matrix by their chunks. Chunk i has the rows bounds[i] ..< bounds[i + 1] of each section; sections follow
/// each other at a distance of `section` rows.
public struct ChunkedRows {
  let bounds: UnsafePointer<Int>
  /// The chunks that are meant; a power of two of them.
  let chunks: Range<Int>
  let sections: Int
  let section: Int

  /// All rows from the first to the last one that is meant.
  var terms: Range<Int> {
    guard sections > 0 else { return 0..<0 }
    return bounds[chunks.lowerBound]..<(sections - 1) * section + bounds[chunks.upperBound]
  }

  /// How many rows are meant.
  public var rowCount: Int { sections * (bounds[chunks.upperBound] - bounds[chunks.lowerBound]) }

  /// The rows of a chunk in a section.
  func rows(_ chunk: Int, _ section: Int) -> Range<Int> {
    let start = section * self.section
    return start + bounds[chunk]..<start + bounds[chunk + 1]
  }

  /// Both halves of the chunks.
  var halves: (ChunkedRows, ChunkedRows) {
    let middle = chunks.lowerBound + chunks.count / 2
    func half(_ chunks: Range<Int>) -> ChunkedRows {
      ChunkedRows(bounds: bounds, chunks: chunks, sections: sections, section: section)
    }
    return (half(chunks.lowerBound..<middle), half(middle..<chunks.upperBound))
  }
}

/// Memory for sums of many rows by chunks, which is taken when it is first needed.
public final class ChunkScratch<T: Real> {
  private var levels: [Buffer<T>] = []

  /// No memory yet.
  public init() {}

  /// Memory for a node of the tree so far below its root.
  func level(_ level: Int, count: Int) -> UnsafeMutablePointer<T> {
    while levels.count <= level { levels.append(Buffer(count: count)) }
    if levels[level].count < count { levels[level] = Buffer(count: count) }
    return levels[level].base
  }
}

extension Real {
  /// c ← aᵀ · b, a sum over rows: a chain for each chunk, and a binary tree over the chunks. The rows of c are
  /// contiguous.
  public static func multiply(
    _ a: Matrix<Self>, _ b: Matrix<Self>, into c: Matrix<Self>, by chunks: ChunkedRows,
    scratch: ChunkScratch<Self>, level: Int = 0
  ) {
    let isChain = chunks.chunks.count == 1 && chunks.sections == 1
    if !isChain && multiplyAtOnce(a, b, into: c, by: chunks) { return }
    guard chunks.chunks.count > 1 else {
      for section in 0..<chunks.sections {
        let rows = chunks.rows(chunks.chunks.lowerBound, section)
        multiply(
          a.rows(rows), transposed: true, b.rows(rows), transposed: false, into: c, accumulate: section > 0)
      }
      return
    }
    let (left, right) = chunks.halves
    let other = Matrix(scratch.level(level, count: c.rows * c.columns), rows: c.rows, columns: c.columns)
    multiply(a, b, into: c, by: left, scratch: scratch, level: level + 1)
    multiply(a, b, into: other, by: right, scratch: scratch, level: level + 1)
    add(other.base, to: c.base, count: c.rows * c.columns)
  }
}
