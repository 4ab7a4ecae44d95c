import Basics
import Foundation

/// A number with at most `places` decimals and without trailing zeros, for coordinates.
package func decimals(_ value: Double, upTo places: Int) -> String {
  let text = decimals(value, places)
  guard text.contains(".") else { return text }
  let trimmed = text.reversed().drop { $0 == "0" }.drop { $0 == "." }.reversed()
  return String(trimmed) == "-0" ? "0" : String(trimmed)
}

/// A number for people to read, with three significant digits, or more if its integer part has more.
package func short(_ value: Double) -> String {
  guard value.isFinite else { return value.isNaN ? "–" : value < 0 ? "−∞" : "∞" }
  let magnitude = abs(value)
  if magnitude >= 1e6 || (magnitude < 1e-3 && magnitude > 0) { return minus(String(format: "%.2e", value)) }
  let places = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3
  return minus(decimals(value, places))
}

/// A number for people to read, with exactly `places` decimals.
package func fixed(_ value: Double, _ places: Int) -> String {
  value.isFinite ? minus(decimals(value, places)) : "–"
}

/// A count with its digits in groups of three: 30 000.
package func grouped(_ count: Int) -> String {
  var digits = Array(String(count.magnitude))
  for place in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert("\u{202F}", at: place) }
  return (count < 0 ? "−" : "") + String(digits)
}

/// Replaces hyphens by minus signs.
private func minus(_ text: String) -> String { text.replacing("-", with: "−") }
