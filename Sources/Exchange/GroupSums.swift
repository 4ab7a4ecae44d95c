import Kernels
import MPI

/// Sums over several groups what each has summed, in the order of the tree of chunks. Each owner sums a part of its piece
/// and gives the sum to its peers.
final class GroupSums {
  private let ranks: RankGroups
  private let memory: ParameterMemory
  /// What the sums of all groups become.
  private let ofAll: SpanSum
  /// The part of the owned piece that this rank sums, and those of all peers.
  private let part: Range<Int>
  private let parts: Pieces
  /// Messages, one sum of each group at a time: what is sent of a slab, and where what comes is received.
  private let rounds: [(slab: UnsafeMutablePointer<Float>, sent: Pieces, received: Pieces)]
  private let received: Buffer<Float>

  /// Counts and starts of pieces, one for each peer.
  private struct Pieces {
    let counts: [Int32]
    let starts: [Int32]

    init(_ pieces: [Range<Int>]) {
      counts = pieces.map { Int32($0.count) }
      starts = pieces.map { Int32($0.lowerBound) }
    }
  }

  /// - Parameter ofGroup: what the slabs of this rank's group become.
  init(_ ranks: RankGroups, _ memory: ParameterMemory, _ chunks: BatchChunks, ofGroup: SpanTree) {
    (self.ranks, self.memory) = (ranks, memory)
    let (owned, count) = (memory.owned, ranks.peers.size)
    let parts = (0..<count).map {
      owned.lowerBound + owned.count * $0 / count..<owned.lowerBound + owned.count * ($0 + 1) / count
    }
    let part = parts[ranks.peers.rank]
    (self.part, self.parts) = (part, Pieces(parts))
    // The sums of each peer's group, each as long as this rank's part, one behind the other.
    let sums = ranks.members.map { SpanTree.ofGroup($0, chunks).sums }
    var places: [Range<Int>] = []
    for group in ranks.groupsOfPeers {
      let first = places.last?.upperBound ?? 0
      places.append(first..<first + sums[group].count)
    }
    let received = Buffer<Float>(count: (places.last?.upperBound ?? 0) * part.count)
    self.received = received
    let slabs = zip(ranks.groupsOfPeers, places).flatMap { group, places in
      zip(sums[group], places).map { SpanTree.Slab(chunks: $0.chunks, holder: group, number: $1) }
    }
    ofAll = SpanSum(SpanTree(slabs)) { received.base + $0.number * part.count - part.lowerBound }
    let own = ofGroup.sums
    rounds = (0..<(places.map(\.count).max() ?? 0)).map { number in
      let slab = number < own.count ? own[number] : own[0]
      return (
        memory.slab(slab.holder, span: slab.number), Pieces(parts.map { number < own.count ? $0 : 0..<0 }),
        Pieces(
          places.map {
            let first = ($0.lowerBound + number) * part.count
            return number < $0.count ? first..<first + part.count : 0..<0
          })
      )
    }
  }

  /// Slab 0 of the owned piece ← the sum over all groups. Collective over the peers.
  func sumOverPeers() throws(MPIError) {
    for round in rounds {
      try ranks.peers.exchange(
        round.slab, counts: round.sent.counts, starts: round.sent.starts,
        into: received.base, counts: round.received.counts, starts: round.received.starts)
    }
    for start in stride(from: part.lowerBound, to: part.upperBound, by: GradientExchange.blockLength) {
      let length = min(GradientExchange.blockLength, part.upperBound - start)
      (memory.slab(0) + start).update(from: ofAll.block(start, length), count: length)
    }
    try ranks.peers.gather(memory.slab(0), counts: parts.counts, starts: parts.starts)
  }
}

extension SpanTree {
  /// The slabs of the ranks of a group, which are numbered among all ranks.
  static func ofGroup(_ members: [Int], _ chunks: BatchChunks) -> SpanTree {
    SpanTree(
      members.enumerated().flatMap { holder, rank in
        chunks.spans(of: rank).enumerated().map { Slab(chunks: $1, holder: holder, number: $0) }
      })
  }
}
