import Glibc

/// Signals that ask a run to save and stop, and an import to stop and leave nothing behind: USR1 (clusters send it before
/// the time limit), TERM, INT, and HUP (the terminal has closed).
enum Signals {
  /// Set by the handler, read between updates; a word-sized store is all that a signal handler may do.
  nonisolated(unsafe) private static var wasAsked: sig_atomic_t = 0

  /// Whether one of them has arrived.
  static var stopRequested: Bool { wasAsked != 0 }

  private static let stops = [SIGUSR1, SIGTERM, SIGINT, SIGHUP]

  /// Lets writes to a closed pipe, or beyond a limit on the size of files, fail instead of ending the process, and opens
  /// standard streams that are closed, so that no file of ours takes their numbers. They cannot be read or written: what
  /// is missing there, or would be lost, is an error.
  static func tolerateClosedStreams() {
    for number in [SIGPIPE, SIGXFSZ] { signal(number, SIG_IGN) }
    for stream in 0...2 where fcntl(Int32(stream), F_GETFD) < 0 {
      _ = open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY)
    }
  }

  /// Handles these signals from now on. Those that have arrived since the start of the program (`CProcesses` holds
  /// them) count, too.
  static func catchStops() {
    for number in stops where !(number == SIGHUP && isIgnored(SIGHUP)) {
      signal(number) { _ in Signals.wasAsked = 1 }
    }
    release()
  }

  /// Lets these signals do what they do by default, for commands that have nothing to save.
  static func release() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in stops { sigaddset(&signals, number) }
    sigprocmask(SIG_UNBLOCK, &signals, nil)
  }

  /// Whether a signal was ignored when the program started, as HUP is after `nohup`.
  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    sigaction(number, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
