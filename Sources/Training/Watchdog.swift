import Foundation
import MPI

/// Ends this process when an update does not end: another rank, its node or the network has stopped, which MPI
/// itself never notices.
///
/// A thread of its own looks at the time, because the one that trains waits inside MPI. The launcher ends the other
/// ranks once one has ended.
final class Watchdog: @unchecked Sendable {
  // `deadline` is guarded by `lock`; the rest does not change.
  private let limit: Double
  private let rank: Int
  private let lock = NSLock()
  private var deadline: Date?

  /// Watches for updates that take more than `seconds`.
  init(seconds: Double, rank: Int) {
    // One after the other, so that the first rank that still runs speaks for all.
    limit = seconds + 2 * Double(min(rank, 5))
    self.rank = rank
    Thread.detachNewThread { [weak self] in
      while self?.look() != nil { Thread.sleep(forTimeInterval: 0.5) }
    }
  }

  /// Runs one update under watch.
  func watch<Outcome>(_ update: () throws -> Outcome) rethrows -> Outcome {
    lock.withLock { deadline = Date(timeIntervalSinceNow: limit) }
    defer { lock.withLock { deadline = nil } }
    return try update()
  }

  private func look() {
    guard lock.withLock({ deadline.map { $0 < Date() } ?? false }) else { return }
    let line =
      "fan-dist: [rank \(rank) on \(MPI.processorName)] an update has not ended after \(Int(limit)) s: another rank, "
      + "its node or the network has stopped; continue from the last checkpoint with --resume auto\n"
    FileHandle.standardError.write(Data(line.utf8))
    // Not exit: what it would run waits for the thread that is inside MPI.
    _exit(Failure.Code.requeue.rawValue)
  }
}
