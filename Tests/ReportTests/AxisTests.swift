import Report
import Testing

/// The ends and ticks of axes, and how charts place and shorten names.
@Suite struct AxisTests {
  private func isNear(_ a: [Double], _ b: [Double]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) < 1e-9 * max(1, abs($1)) }
  }

  @Test func ticksAreAtRoundNumbersAroundTheValues() {
    let axis = Axis("", over: [0.03, 0.93])
    #expect(isNear(axis.ticks, [0, 0.2, 0.4, 0.6, 0.8, 1]) && isNear([axis.low, axis.high], [0, 1]))
  }

  @Test func anAxisThatIsNotRoundedEndsAtItsValues() {
    let axis = Axis("", over: [3, 47], isRounded: false)
    #expect(axis.low == 3 && axis.high == 47 && isNear(axis.ticks, [10, 20, 30, 40]))
  }

  @Test func anAxisIncludesTheLimitsThatItMust() {
    let axis = Axis("", over: [0.4, 0.5], including: [0, 1])
    #expect(isNear([axis.low, axis.high], [0, 1]))
  }

  @Test func withoutValuesAnAxisGoesFrom0To1() {
    let axis = Axis("", over: [])
    #expect(isNear([axis.low, axis.high], [0, 1]))
  }

  @Test(arguments: [0.0, 5, -3, 1e12, 1e-20, 1e-31, .leastNonzeroMagnitude, -.leastNonzeroMagnitude])
  func aSingleValueLiesInsideItsAxis(
    value: Double
  ) {
    let axis = Axis("", over: [value])
    #expect(axis.low < value && value < axis.high && axis.ticks.count >= 2)
  }

  @Test func theSmallestNumbersHaveNoPowersOfTen() {
    let axis = Axis("", logarithmicOver: [.leastNonzeroMagnitude, 1e-300, 0.01, 1])
    #expect(axis.low > 1e-4 && axis.high >= 1 && axis.ticks.allSatisfy { axis.fraction($0).isFinite })
  }

  @Test func valuesThatCannotBeDrawnDoNotStretchAnAxis() {
    let axis = Axis("", over: [0, .nan, .infinity, -.infinity, 1e300, 1])
    #expect(isNear([axis.low, axis.high], [0, 1]))
  }

  @Test func positionsGoFrom0To1() {
    let axis = Axis("", over: [0, 10])
    #expect(isNear([0, 2.5, 10].map(axis.fraction), [0, 0.25, 1]))
  }

  @Test(arguments: [
    ([0, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]), ([-100, 100], ["−100", "−50", "0", "50", "100"]),
    ([0, 50_000], ["0", "10\u{202F}k", "20\u{202F}k", "30\u{202F}k", "40\u{202F}k", "50\u{202F}k"]),
    ([0, 2_000_000], ["0", "0.5\u{202F}M", "1.0\u{202F}M", "1.5\u{202F}M", "2.0\u{202F}M"]),
    ([0, 0.00005], ["0", "1e−5", "2e−5", "3e−5", "4e−5", "5e−5"]),
  ]) func labelsHaveTheDecimalsThatTheirDistanceNeeds(values: [Double], labels: [String]) {
    let axis = Axis("", over: values)
    #expect(axis.ticks.map(axis.label) == labels)
  }

  @Test func aLogarithmicAxisHasTicksAtPowersOfTen() {
    let axis = Axis("", logarithmicOver: [0.02, 3000])
    #expect(isNear(axis.ticks, [0.01, 0.1, 1, 10, 100, 1000, 10_000]))
    #expect(isNear([0.01, 10, 10_000].map(axis.fraction), [0, 0.5, 1]))
  }

  @Test func aShortLogarithmicAxisHasTicksBetweenPowersOfTen() {
    #expect(isNear(Axis("", logarithmicOver: [2, 100]).ticks, [2, 5, 10, 20, 50, 100]))
  }

  @Test func valuesWithoutALogarithmAreLeftOut() {
    let axis = Axis("", logarithmicOver: [-1, 0, .nan, 10, 1000])
    #expect(isNear([axis.low, axis.high], [10, 1000]))
  }

  // MARK: Names

  @Test func namesThatAreFarApartStayWhereTheyAre() {
    #expect(spread([10, 40, 90], distance: 16, within: 0...100) == [10, 40, 90])
  }

  @Test func namesThatAreTooCloseMoveApart() {
    #expect(spread([10, 12, 50], distance: 16, within: 0...100) == [10, 26, 50])
  }

  @Test func namesAtTheEndMoveBack() {
    #expect(spread([80, 95, 99], distance: 10, within: 0...100) == [80, 90, 100])
  }

  @Test(arguments: [("short", 100.0, "short"), ("a long name", 48, "a lon…"), ("abc", 0, "…")])
  func aNameThatIsTooWideIsCutOff(name: String, width: Double, text: String) {
    #expect(shortened(name, to: width) == text)
  }
}
