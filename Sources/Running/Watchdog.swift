import Basics
import Foundation

/// Notices a phase of a run that does not end: another rank, its node or the network has stopped, which MPI itself never
/// notices.
///
/// A thread of its own looks now and then, because the one that trains waits inside MPI. It counts looks and not the time
/// of day: while this process does not run, because it or its machine is suspended, nobody looks, and so that time is
/// not held against the others.
public final class Watchdog: @unchecked Sendable {
  // Two threads use it: `lock` guards what changes.
  private let limit: Double
  private let whenStalled: @Sendable (String) -> Void
  private let lock = NSLock()
  private var rank = 0
  private var isAlone = true
  /// What is watched; nil for nothing.
  private var phase: String?
  /// Seconds for which this process has run since the phase began, or since all ranks were last seen to run.
  private var waited = 0.0

  /// Seconds between the lines of two ranks, so that the first rank that still runs speaks for all.
  private static let secondsBetweenRanks = 2.0
  /// Ranks from this one on speak at the same time.
  private static let lastRankToWait = 5
  /// Seconds between two looks, and the most that the time between two looks counts.
  private static let (interval, mostPerLook) = (0.5, 1.0)

  /// Watches for phases that take more than `seconds`. Nothing is watched yet.
  ///
  /// - Parameter whenStalled: is called with what has happened, on the watching thread; what it does ends the process.
  /// - Throws: `Failure` when the system starts no thread.
  public init(seconds: Double, whenStalled: @escaping @Sendable (String) -> Void) throws(Failure) {
    limit = seconds
    self.whenStalled = whenStalled
    try startThread("watchdog") { [weak self] in
      var last = ContinuousClock.now
      while let self {
        let now = ContinuousClock.now
        self.look(after: (now - last).seconds)
        last = now
        usleep(UInt32(Self.interval * 1e6))
      }
    }
  }

  /// Says which rank of how many this process is.
  public func know(rank: Int, of size: Int) {
    lock.withLock { (self.rank, isAlone) = (rank, size == 1) }
  }

  /// Watches a phase from now on, instead of the one before; nothing if it is nil.
  ///
  /// - Parameter phase: words for the line: "an update" has not ended.
  public func enter(_ phase: String?) {
    lock.withLock { (self.phase, waited) = (phase, 0) }
  }

  /// Is told that all ranks have been seen to run, in the middle of a phase that may take long.
  public func allRun() { lock.withLock { waited = 0 } }

  private func look(after seconds: Double) {
    let line = lock.withLock { () -> String? in
      guard let phase else { return nil }
      waited += min(seconds, Self.mostPerLook)
      let patience = limit + Self.secondsBetweenRanks * Double(min(rank, Self.lastRankToWait))
      guard waited > patience else { return nil }
      let cause =
        isAlone
        ? "this process waits for a disk or for whoever reads its output; when that works again, "
        : "another rank, its node or the network has stopped; "
      let place = "[rank \(rank) on \(ProcessInfo.processInfo.hostName)]"
      return "\(place) \(phase) has not ended after \(Int(waited)) s: \(cause)"
        + "continue from the last checkpoint with --resume auto"
    }
    if let line { whenStalled(line) }
  }
}
