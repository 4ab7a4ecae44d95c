import Datasets
import Kernels
import Randomness
import Testing

@Suite struct VirtualShardsTests {
  private struct Draw: Hashable {
    let sample: Int
    let transition: Int
  }

  private func draws(_ shards: VirtualShards, step: Int, seed: UInt32 = 5) -> [Draw] {
    var draws: [Draw] = []
    shards.samples(step: step, seed: seed) { draws.append(Draw(sample: $0, transition: $1)) }
    return draws
  }

  /// Some of these sizes divide each other, others do not.
  private static let sizes: [(transitions: Int, batch: Int, shards: Int)] = [
    (1000, 64, 64), (1001, 256, 64), (999, 100, 64), (70, 48, 64), (5, 256, 64), (12_345, 37, 10),
  ]

  @Test func anyNumberOfRanksDrawsTheSameBatch() {
    for (transitions, batch, shards) in Self.sizes {
      let alone = VirtualShards(transitions: transitions, batch: batch, shards: shards, ranks: 1, rank: 0)
      for step in [0, 1, 2, 77, 1 << 33] {
        let expected = draws(alone, step: step)
        #expect(expected.map(\.sample) == Array(0..<batch))
        #expect(expected.allSatisfy { (0..<transitions).contains($0.transition) })
        for ranks in [2, 3, 5] {
          let parts = (0..<ranks).map { rank in
            draws(
              VirtualShards(transitions: transitions, batch: batch, shards: shards, ranks: ranks, rank: rank),
              step: step)
          }
          let together = parts.joined().sorted { $0.sample < $1.sample }
          #expect(together == expected, "\(transitions) \(batch) \(shards), \(ranks) ranks, step \(step)")
        }
      }
    }
  }

  /// Data that grow are drawn from as if they had been so large from the start.
  @Test func grownDataAreDrawnLikeAnyOthers() {
    var shards = VirtualShards(transitions: 999, batch: 100, ranks: 2, rank: 1)
    shards.grow(to: 5000)
    let large = VirtualShards(transitions: 5000, batch: 100, ranks: 2, rank: 1)
    #expect(draws(shards, step: 7) == draws(large, step: 7))
    #expect(shards.maximumRows == large.maximumRows)
  }

  /// Steps start at all shards in turn; no step may exceed the bound, and the bound may not be much too
  /// large.
  @Test func maximumRowsIsACloseUpperBound() {
    for (transitions, batch, shards) in Self.sizes {
      for ranks in [1, 2, 3, 5] {
        for rank in 0..<ranks {
          let share = VirtualShards(
            transitions: transitions, batch: batch, shards: shards, ranks: ranks, rank: rank)
          let most = (0..<share.parts).map { draws(share, step: $0).count }.max()!
          #expect(most <= share.maximumRows)
          // If the batch size shares factors with K, steps do not start at every shard.
          #expect(share.maximumRows - most <= 2, "\(batch) in \(share.parts) shards, rank \(rank)/\(ranks)")
        }
      }
    }
  }

  /// Each rank draws only from its own virtual shards, so it needs no other rank's data.
  @Test func ranksDrawFromTheirOwnShards() {
    let (transitions, parts, ranks) = (1003, 16, 3)
    for rank in 0..<ranks {
      let share = VirtualShards(transitions: transitions, batch: 64, shards: parts, ranks: ranks, rank: rank)
      let owned = (0..<parts).filter { $0 % ranks == rank }.map {
        $0 * transitions / parts..<($0 + 1) * transitions / parts
      }
      for step in 0..<50 {
        for draw in draws(share, step: step) {
          #expect(owned.contains { $0.contains(draw.transition) }, "step \(step), \(draw)")
        }
      }
    }
  }

  /// Draws agree with the definition, computed independently.
  @Test func drawsAgreeWithTheDefinition() {
    let (transitions, batch, parts) = (6_000_000_019, 100, 64)
    let share = VirtualShards(transitions: transitions, batch: batch, shards: parts, ranks: 1, rank: 0)
    for step in [0, 3, 5_000_000_000] {
      for draw in draws(share, step: step, seed: 9) {
        let part = (step * batch + draw.sample) % parts
        let start = part * transitions / parts
        let size = (part + 1) * transitions / parts - start
        let words = Philox.words(
          counter: SIMD4(UInt32(draw.sample), UInt32(step & 0xFFFF_FFFF), UInt32(step >> 32), 0),
          key: SIMD2(9, RandomStream.sampling.rawValue))
        let fraction = (Double(words.y) + Double(words.x) * 0x1p-32) * 0x1p-32
        #expect(abs(Double(draw.transition - start) - fraction * Double(size)) <= 1.001)
      }
    }
  }

  /// χ² over 50 transitions in shards of unequal size: the transitions of a shard are equally likely.
  @Test func drawsAreUniformWithinShards() {
    let (transitions, batch, steps) = (50, 32, 12_000)
    let share = VirtualShards(transitions: transitions, batch: batch, shards: 8, ranks: 1, rank: 0)
    var counts = [Int](repeating: 0, count: transitions)
    for step in 0..<steps { share.samples(step: step, seed: 1) { counts[$1] += 1 } }
    var chiSquared = 0.0
    for part in 0..<8 {
      let range = part * transitions / 8..<(part + 1) * transitions / 8
      let expected = Double(steps * batch) / 8 / Double(range.count)
      for transition in range {
        let difference = Double(counts[transition]) - expected
        chiSquared += difference * difference / expected
      }
    }
    // With 42 degrees of freedom, 76 is exceeded once in a thousand times.
    #expect(chiSquared < 76, "\(chiSquared)")
  }

  @Test func differentSeedsAndStepsDrawDifferentTransitions() {
    let share = VirtualShards(transitions: 100_000, batch: 64, ranks: 1, rank: 0)
    #expect(draws(share, step: 0) == draws(share, step: 0))
    #expect(Set(draws(share, step: 0)).intersection(draws(share, step: 1)).count < 4)
    #expect(Set(draws(share, step: 0)).intersection(draws(share, step: 0, seed: 6)).count < 4)
  }

  @Test func impossibleNumbersAreExplained() {
    #expect(VirtualShards.problem(transitions: 1000, batch: 256, ranks: 64) == nil)
    #expect(VirtualShards.problem(transitions: 1000, batch: 256, ranks: 65)!.contains("use at most 64 ranks"))
    #expect(VirtualShards.problem(transitions: 1000, batch: 8, ranks: 9)!.contains("use at most 8 ranks"))
    #expect(VirtualShards.problem(transitions: 0, batch: 8, ranks: 1)!.contains("must be positive"))
    #expect(VirtualShards(transitions: 1000, batch: 8, ranks: 1, rank: 0).parts == 8)
  }
}
