import Basics
import Foundation
import MPI

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

/// How many updates take about half a second: the updates of a round when nobody says how many. The same number on all
/// ranks. Collective.
///
/// - Parameter update: seconds of an update.
func updatesOfARound(_ update: Double, _ world: Communicator) throws -> Int {
  max(1, Int(try world.allReduce(0.5 / update, .min)))
}
