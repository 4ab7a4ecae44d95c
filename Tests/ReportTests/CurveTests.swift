import Report
import Testing

/// Means over runs and their intervals.
@Suite struct CurveTests {
  /// The curve of runs with a value every ten updates.
  private func curve(_ runs: [Double]...) -> Curve {
    Curve(runs.map { run in run.enumerated().map { (step: Double(10 * $0 + 10), value: $1) } })
  }

  @Test func aCurveIsTheMeanOverRunsAtEveryUpdate() {
    let points = curve([0, 2, 4], [1, 4, 5]).points
    #expect(points.map(\.x) == [10, 20, 30] && points.map(\.y) == [0.5, 3, 4.5])
  }

  @Test func aSingleRunHasNoInterval() {
    #expect(curve([1, 2]).points.allSatisfy { $0.low == nil && $0.high == nil })
  }

  /// Drawing the same one of two values twice is not rare.
  @Test func theIntervalOfTwoRunsGoesFromOneToTheOther() {
    let point = curve([0.25], [0.75]).points[0]
    #expect(point.low == 0.25 && point.high == 0.75)
  }

  @Test func whereOnlySomeRunsHaveGotTheCurveIsPartial() {
    let curve = curve([0, 1, 2, 3], [2, 3])
    #expect(curve.points.map(\.x) == [10, 20])
    // It begins with the last common point.
    #expect(curve.partial.map(\.x) == [20, 30, 40] && curve.partial.map(\.y) == [2, 2, 3])
  }

  @Test func partialPointsHaveNoInterval() {
    #expect(curve([0, 1, 2], [2, 3, 4], [1]).partial.allSatisfy { $0.low == nil && $0.high == nil })
  }

  @Test func runsThatAreEquallyFarHaveNoPartialCurve() {
    #expect(curve([0, 1], [2, 3]).partial.isEmpty)
  }

  @Test func updatesThatOnlySomeRunsHaveAreLeftOutBeforeTheLastCommonOne() {
    let curve = Curve([[(10, 1), (15, 9), (20, 1)], [(10, 3), (20, 3)]])
    #expect(curve.points.map(\.x) == [10, 20] && curve.partial.isEmpty)
  }

  @Test func runsWithoutValuesDoNotCount() {
    let curve = Curve([[(10, 1)], []])
    #expect(curve.points.map(\.y) == [1] && curve.partial.isEmpty)
  }

  @Test func withoutRunsThereAreNoPoints() {
    let curve = Curve([])
    #expect(curve.points.isEmpty && curve.partial.isEmpty && curve.last == nil)
  }

  @Test func aValueThatIsNotANumberMakesItsMeanNone() {
    let points = curve([1, .nan, 3], [1, 2, 3]).points
    #expect(points.map(\.x) == [10, 20, 30] && points[1].y.isNaN && points[1].low == nil)
  }

  @Test func theLastPointIsTheLastCommonOne() {
    #expect(curve([0, 1, 2], [2, 3]).last?.x == 20)
  }

  @Test func aLongCurveIsAveragedOverConsecutiveRows() {
    // 1000 rows become 333 means of three; the last row is left over.
    let points = curve((0..<1000).map(Double.init)).points
    #expect(points.count == 333)
    #expect(points[0].x == 30 && points[0].y == 1 && points[332].x == 9990 && points[332].y == 997)
  }

  @Test func runsOfOneCurveAreAveragedAlike() {
    let curve = curve((0..<1000).map(Double.init), (0..<500).map(Double.init))
    #expect(curve.points.count == 166 && curve.points.map(\.y) == (0..<166).map { Double(3 * $0 + 1) })
  }

  // MARK: Bootstrap intervals

  @Test(arguments: [[], [3]]) func fewerThanTwoValuesHaveNoInterval(values: [Double]) {
    #expect(bootstrapInterval(of: values) == nil)
  }

  @Test(arguments: [Double.nan, .infinity, 1e30]) func valuesThatCannotBeDrawnHaveNoInterval(value: Double) {
    #expect(bootstrapInterval(of: [1, value, 2]) == nil)
  }

  @Test func equalValuesHaveAnIntervalWithoutLength() throws {
    let interval = try #require(bootstrapInterval(of: [0.5, 0.5, 0.5]))
    #expect(interval.low == 0.5 && interval.high == 0.5)
  }

  @Test func theSameValuesHaveTheSameInterval() throws {
    let values = (0..<10).map { Double($0 * $0) }
    let (first, second) = (
      try #require(bootstrapInterval(of: values)), try #require(bootstrapInterval(of: values))
    )
    #expect(first == second)
  }

  /// Of many values it is nearly mean ± 1.96 σ/√n.
  @Test func theIntervalOfManyValuesIsThatOfTheNormalDistribution() throws {
    let values = (0..<100).map { Double($0) }
    let (mean, error) = (49.5, (10_000.0 - 1).squareRoot() / 12.0.squareRoot() / 10)
    let interval = try #require(bootstrapInterval(of: values))
    #expect(abs(interval.low - (mean - 1.96 * error)) < 0.25 * error, "\(interval)")
    #expect(abs(interval.high - (mean + 1.96 * error)) < 0.25 * error, "\(interval)")
  }
}
