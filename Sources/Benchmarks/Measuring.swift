import Basics
import Foundation

/// Seconds that `body` takes.
func seconds<E: Error>(_ body: () throws(E) -> Void) throws(E) -> Double {
  let start = ContinuousClock.now
  try body()
  return (ContinuousClock.now - start).seconds
}

/// The median of each column.
func medians(_ rows: [[Double]]) -> [Double] {
  rows[0].indices.map { column in median(rows.map { $0[column] }) }
}

/// Peak resident memory of this process in bytes, shared pages that it touched included.
func peakResidentBytes() -> Double {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
  return 1024 * (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) } ?? .nan)
}
