import Foundation

/// A number with so many decimals.
public func decimals(_ value: Double, _ places: Int) -> String {
  // All digits of a number of such size would fill lines, and most of them mean nothing.
  String(format: abs(value) < 1e15 ? "%.\(places)f" : "%.6g", value)
}

/// A number of bytes in 10⁶ bytes, with one decimal.
public func megabytes(_ bytes: Int) -> String { decimals(Double(bytes) / 1e6, 1) }

/// A number of bytes in 10⁹ bytes, with one decimal.
public func gigabytes(_ bytes: Int) -> String { decimals(Double(bytes) / 1e9, 1) }

/// A small number with two significant digits and its power of ten, such as an error: 3.2e-05.
public func scientific(_ value: Double) -> String { String(format: "%.1e", value) }

/// A time as a clock shows it, rounded up to seconds: 0:07, 12:30, 3:00:00.
public func clock(_ seconds: Double) -> String {
  let total = Int(min(max(seconds, 0), 1e9).rounded(.up))
  let (hours, minutes) = (total / 3600, total / 60 % 60)
  let text = String(format: "%d:%02d", minutes, total % 60)
  return hours > 0 ? String(format: "%d:%02d:%02d", hours, minutes, total % 60) : text
}

/// The middle of some values, the upper one of two; not a number when there are no values.
public func median(_ values: [Double]) -> Double {
  values.isEmpty ? .nan : values.sorted()[values.count / 2]
}
