import Foundation
import Running
import Settings

/// The directory of a sweep, which holds one directory for each run.
struct SweepDirectory {
  let path: String

  /// The directory of a run. One that was named when the settings stood in another order in the sweep's file is the
  /// same run's.
  func directory(of run: Sweep.Run) -> RunDirectory {
    let own = "\(path)/\(run.name)"
    guard access(own, F_OK) != 0 else { return RunDirectory(path: own) }
    func settings(_ name: String) -> [Substring] { name.split(separator: ",").sorted() }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let other = names.first { settings($0) == settings(run.name) }.map { "\(path)/\($0)" }
    return RunDirectory(path: other ?? own)
  }

  /// Whether a run has come to its end.
  func isFinished(_ run: Sweep.Run) -> Bool { directory(of: run).isFinished(run.configuration) }

  /// The updates that a run has still to do, as far as the names of its checkpoints say.
  func updatesLeft(of run: Sweep.Run) -> Int {
    let done = (try? directory(of: run).steps(.periodic))?.last ?? 0
    return max(0, run.configuration.updates - done)
  }
}
