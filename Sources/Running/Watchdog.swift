import Foundation
import MPI

/// Notices an update that does not end: another rank, its node or the network has stopped, which MPI itself never
/// notices.
///
/// A thread of its own looks at the time, because the one that trains waits inside MPI.
final class Watchdog: @unchecked Sendable {
  // `deadline` is guarded by `lock`; the rest does not change.
  private let limit: Double
  private let rank: Int
  private let whenStalled: @Sendable (String) -> Void
  private let lock = NSLock()
  private var deadline: Date?

  /// Seconds between the lines of two ranks, so that the first rank that still runs speaks for all.
  private static let secondsBetweenRanks = 2.0
  /// Ranks from this one on speak at the same time.
  private static let lastRankToWait = 5
  /// Seconds between two looks at the time.
  private static let interval = 0.5

  /// Watches for updates that take more than `seconds`.
  ///
  /// - Parameter whenStalled: is called with what has happened, on the watching thread; what it does ends the process.
  init(seconds: Double, rank: Int, whenStalled: @escaping @Sendable (String) -> Void) {
    limit = seconds + Self.secondsBetweenRanks * Double(min(rank, Self.lastRankToWait))
    self.rank = rank
    self.whenStalled = whenStalled
    Thread.detachNewThread { [weak self] in
      while self?.look() != nil { Thread.sleep(forTimeInterval: Self.interval) }
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
    whenStalled(
      "[rank \(rank) on \(MPI.processorName)] an update has not ended after \(Int(limit)) s: another rank, "
        + "its node or the network has stopped; continue from the last checkpoint with --resume auto")
  }
}
