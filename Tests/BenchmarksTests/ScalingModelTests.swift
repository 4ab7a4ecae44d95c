import Benchmarks
import Testing

/// What the scaling model says follows from its constants.
struct ScalingModelTests {
  private let model = ScalingModel(
    compute: [0.004, 0.005, 0.006, 0.008, 0.012], bytesPerSecond: 10e9, barrier: 1e-6, parameters: 5_000_000,
    followed: 1_000_000)

  @Test func oneRankComputesAndOptimises() {
    // 7 · 4 bytes for each parameter, 8 for each with a target, at 10 GB/s.
    let expected = 0.012 + (28 * 5e6 + 8 * 1e6) / 10e9
    let time = model.seconds(ranks: 1, perNode: 16, batch: 16, gigabits: 10)
    #expect(abs(time - expected) < 1e-9)
  }

  @Test func computingTimeIsInterpolatedAndGoesOnInProportion() {
    func computing(_ batch: Int) -> Double {
      model.seconds(ranks: 1, perNode: 16, batch: batch, gigabits: 10)
        - model.seconds(ranks: 1, perNode: 16, batch: 1, gigabits: 10) + 0.004
    }
    #expect(abs(computing(12) - 0.010) < 1e-9)
    #expect(abs(computing(32) - 0.024) < 1e-9)
  }

  @Test func theNetworkCostsTheGradientTwiceAndOnlyBetweenNodes() {
    func time(_ ranks: Int, _ gigabits: Double) -> Double {
      model.seconds(ranks: ranks, perNode: 16, batch: 256, gigabits: gigabits)
    }
    #expect(time(16, 10) == time(16, 100))
    // Two nodes send 2 · ½ · 20 MB each: 16 ms at 10 Gb/s, 1.6 ms at 100 Gb/s.
    #expect(abs(time(32, 10) - time(32, 100) - 0.0144) < 1e-9)
  }

  @Test func largeBatchesPayOnAnyNetwork() throws {
    let ten = try #require(model.smallestBatchThatPays(ranks: 64, perNode: 16, gigabits: 10))
    let hundred = try #require(model.smallestBatchThatPays(ranks: 64, perNode: 16, gigabits: 100))
    #expect(ten >= hundred)
    #expect(model.speedUp(ranks: 64, perNode: 16, batch: ten, gigabits: 10) >= 32)
    #expect(model.speedUp(ranks: 64, perNode: 16, batch: ten / 2, gigabits: 10) < 32)
  }
}
