import Examples
import Testing

private let bestStep = TwoSteps.Step(.start, .right)

/// The exact numbers against the paths of the problem, written out.
@Suite struct ExactReturnsTests {
  private let exact = ExactReturns()

  @Test func theOperatorArrivesAtTheBestReturns() {
    // The second steps are known after one application, the first ones after another.
    #expect(exact.iterations == 2)
    let suprema = TwoSteps.Step.all.map { exact.supremum(after: $0) }
    #expect(suprema == [7, 24, 5, 7, -10, 30])
  }

  /// Noise chooses the second action; after the second step it does not matter.
  @Test(arguments: [
    (TwoSteps.Step(.start, .left), -1.0, 5.0), (.init(.start, .left), 1, 7), (bestStep, -1, -16),
    (bestStep, 1, 24), (.init(.afterRight, .right), -1, 30), (.init(.afterRight, .right), 1, 30),
  ]) func noiseStandsForTheNextAction(step: TwoSteps.Step, noise: Double, value: Double) {
    #expect(exact.q(after: step, noise: noise) == value)
  }

  @Test func theAverageHidesTheBestPath() {
    #expect(exact.mean(after: .init(.start, .left)) == 6 && exact.mean(after: bestStep) == 4)
    #expect(exact.returns(after: bestStep) == [-16, 24])
    #expect([0.1, 0.49, 0.51, 0.9].map { exact.quantile(after: bestStep, level: $0) } == [-16, -16, 24, 24])
  }
}

/// What the critics learn, held to the exact numbers.
@Suite(.serialized) struct LearnedReturnsTests {
  private static let examples = [UInt32(0), 1].map { ReturnsExample(seed: $0) }
  private let exact = ExactReturns()

  /// Of all states and actions: the mean and the outer quantiles of the returns, and FAN's critics at noise that
  /// chooses either action. Z is an expectile, below the supremum by 1 % of the distance to the other return.
  @Test(arguments: examples.indices, TwoSteps.Step.all)
  func criticsArriveAtTheExactReturns(number: Int, step: TwoSteps.Step) throws {
    let estimate = try #require(Self.examples[number].estimates[step])
    #expect(abs(estimate.mean - exact.mean(after: step)) < 0.3)
    for level in [0.1, 0.25, 0.75, 0.9] {
      #expect(abs(estimate.quantile(level: level) - exact.quantile(after: step, level: level)) < 0.5)
    }
    for noise in [-2, -1, 1, 2.0] {
      #expect(abs(estimate.q(noise: noise) - exact.q(after: step, noise: noise)) < 0.75)
    }
    #expect(abs(estimate.z - exact.supremum(after: step)) < 0.6)
  }

  /// The point of the example: who goes by the mean misses the best return; who goes by Z or by a high quantile does
  /// not.
  @Test(arguments: examples.indices) func onlyTheMeanMissesTheBestReturn(number: Int) {
    for row in Self.examples[number].table {
      #expect(row.choice == (row.exact.right == 24 ? .right : .left), "\(row)")
    }
  }

  @Test func theSameSeedGivesTheSameNumbers() {
    #expect(ReturnsExample(seed: 0).estimates == Self.examples[0].estimates)
    #expect(Self.examples[0].estimates != Self.examples[1].estimates)
  }
}
