import Basics
import Foundation
import Logging
import MPI
import Running
import Sweeps

/// How progress is shown.
enum ProgressStyle: String { case auto, live, plain, silent }

/// Shows people a run: in lines, or while somebody watches in one line that is redrawn.
final class Console: @unchecked Sendable {
  // Used from the main thread only; Logging asks for Sendable.
  private let style: ProgressStyle
  private var hasLine = false

  init(style: ProgressStyle) {
    self.style = style == .auto ? (Self.isWatched ? .live : .plain) : style
  }

  /// Messages to people: information as it is, the rest with its level in front.
  var logger: Logger {
    Logger(label: "fan-dist") { [self] _ in
      LineLogHandler { level, message in self.say(level == .info ? "\(message)" : "\(level): \(message)") }
    }
  }

  /// Shows where a run stands.
  func show(_ status: RunStatus) {
    let line = status.line
    switch style {
    case .live:
      write("\r\u{1B}[K" + line)
      hasLine = true
    default: if status.isLogged { say(line) }
    }
  }

  /// Prints a line, which may quote files and their names.
  func say(_ line: String) {
    if style == .silent { return }
    endLine()
    write(printable(line, limit: .max) + "\n")
  }

  /// Leaves the redrawn line as it is and goes on below it.
  func endLine() {
    if hasLine { write("\n") }
    hasLine = false
  }

  /// Writes, but ignores errors: training goes on when the reader of its output has gone.
  private func write(_ text: String) { StandardStream.output.attempt(text) }

  /// The terminal on which a person looks at the output, for a table; nil if there is none.
  static var terminal: ProgressTable.Terminal? {
    guard isWatched else { return nil }
    return ProgressTable.Terminal(size: size) { StandardStream.output.attempt($0) }
  }

  /// The sizes of the terminal on which a person looks at the output.
  private static func size() -> ProgressTable.Size {
    var sizes = winsize()
    let descriptor = open(output, O_WRONLY | O_NOCTTY | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    guard descriptor >= 0, ioctl(descriptor, UInt(TIOCGWINSZ), &sizes) == 0, sizes.ws_row > 0,
      sizes.ws_col > 0
    else { return ProgressTable.Size(rows: 24, columns: 80) }
    return ProgressTable.Size(rows: Int(sizes.ws_row), columns: Int(sizes.ws_col))
  }

  /// The file that people see the output in: standard output of the launcher, if it is on this host.
  ///
  /// A rank's own does not say. mpirun of Open MPI gives every rank a terminal, also when its own output goes to a file;
  /// Hydra gives every rank a pipe, also when it has a terminal.
  private static var output: String { "/proc/\(Launcher.process.map { "\($0)" } ?? "self")/fd/1" }

  /// Whether a person looks at the output. Ranks that a remote daemon started find no terminal in its place, and those
  /// of srun a pipe, whatever srun itself writes to.
  static var isWatched: Bool {
    if ProcessInfo.processInfo.environment["TERM"] == "dumb" { return false }
    if Launcher.process == nil { return isatty(1) == 1 }
    let file = try? FileManager.default.destinationOfSymbolicLink(atPath: output)
    return file.map { $0.hasPrefix("/dev/pts/") || $0.hasPrefix("/dev/tty") } ?? false
  }
}
