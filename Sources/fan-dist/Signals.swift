import Glibc

/// Signals that ask a run to save and stop: USR1 (clusters send it before the time limit), TERM and INT.
enum Signals {
  /// Set by the handler, read between updates; a word-sized store is all that a signal handler may do.
  nonisolated(unsafe) private static var wasAsked: sig_atomic_t = 0

  /// Whether one of them has arrived.
  static var stopRequested: Bool { wasAsked != 0 }

  /// Lets writes to a closed pipe fail instead of ending the process, and opens standard streams that are closed, so
  /// that no file of ours takes their numbers. They cannot be written: what would be lost is an error.
  static func tolerateClosedStreams() {
    signal(SIGPIPE, SIG_IGN)
    for stream in 0...2 where fcntl(Int32(stream), F_GETFD) < 0 { _ = open("/dev/null", O_RDONLY) }
  }

  /// Handles these signals from now on, also when the program was started with them blocked.
  static func catchStops() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGUSR1, SIGTERM, SIGINT] {
      signal(number) { _ in Signals.wasAsked = 1 }
      sigaddset(&signals, number)
    }
    sigprocmask(SIG_UNBLOCK, &signals, nil)
  }
}
