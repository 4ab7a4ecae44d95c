import Report
import Testing

/// Numbers as text.
@Suite struct NumbersTests {
  @Test(arguments: [
    (0.123456, "0.123"), (0.5, "0.500"), (1.23456, "1.23"), (12.3456, "12.3"), (123.456, "123"), (0, "0.000"),
    (54_321.9, "54322"), (-2.5, "−2.50"), (0.00012345, "1.23e−04"), (-0.00012345, "−1.23e−04"),
    (1_234_567, "1.23e+06"),
  ]) func aShortNumberHasThreeSignificantDigits(value: Double, text: String) {
    #expect(short(value) == text)
  }

  @Test(arguments: [(Double.nan, "–"), (.infinity, "∞"), (-.infinity, "−∞")])
  func numbersThatAreNotFiniteHaveSigns(value: Double, text: String) {
    #expect(short(value) == text)
  }

  @Test(arguments: [
    (1.005, 1, "1.0"), (2, 2, "2.00"), (-0.5, 3, "−0.500"), (1234.5678, 0, "1235"), (.nan, 2, "–"),
  ])
  func aFixedNumberHasItsDecimals(value: Double, places: Int, text: String) {
    #expect(fixed(value, places) == text)
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1\u{202F}000"), (30_000, "30\u{202F}000"),
    (-1_234_567, "−1\u{202F}234\u{202F}567"),
  ]) func digitsOfACountAreInGroupsOfThree(count: Int, text: String) {
    #expect(grouped(count) == text)
  }

  @Test(arguments: [
    (1.5, 2, "1.5"), (2.0, 2, "2"), (100.0, 2, "100"), (100.0, 0, "100"), (0.126, 2, "0.13"),
    (-0.001, 2, "0"),
    (-3.10, 2, "-3.1"),
  ]) func aCoordinateHasNoTrailingZeros(value: Double, places: Int, text: String) {
    #expect(decimals(value, upTo: places) == text)
  }
}
