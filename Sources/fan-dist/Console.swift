import Basics
import Foundation
import Logging
import Running

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
    Logger(label: "fan-dist") { _ in ConsoleLogHandler(console: self) }
  }

  /// Shows where a run stands.
  func show(_ status: RunStatus) {
    let line = Self.line(status)
    switch style {
    case .live:
      write("\r\u{1B}[K" + line)
      hasLine = true
    default: if status.isLogged { say(line) }
    }
  }

  /// Prints a line.
  func say(_ line: String) {
    if style == .silent { return }
    endLine()
    write(line + "\n")
  }

  /// Leaves the redrawn line as it is and goes on below it.
  func endLine() {
    if hasLine { write("\n") }
    hasLine = false
  }

  /// Writes, but ignores errors: training goes on when the reader of its output has gone.
  private func write(_ text: String) { StandardStream.output.attempt(text) }

  private static func line(_ status: RunStatus) -> String {
    let figures = Dictionary(uniqueKeysWithValues: status.figures.map { ($0.name, $0.value) })
    var parts = ["\(status.step)/\(status.steps)"]
    for (label, name) in [("critic", "critic/critic_loss"), ("actor", "actor/actor_loss")] {
      if let value = figures[name] { parts.append("\(label) \(String(format: "%.4g", value))") }
    }
    if let success = status.success { parts.append("success \(decimals(success, 2))") }
    if let evaluating = status.evaluating {
      parts.append("evaluating \(evaluating.step): \(evaluating.done)/\(evaluating.episodes)")
    }
    parts.append("\(decimals(status.updatesPerSecond, 1)) updates/s")
    parts.append("comm \(decimals(100 * status.communicationShare, 0)) %")
    if let share = status.environmentShare { parts.append("env \(decimals(100 * share, 0)) %") }
    let seconds = Double(status.steps - status.step) / max(status.updatesPerSecond, 1e-9)
    parts.append("ETA \(duration(seconds))")
    return parts.joined(separator: "  ")
  }

  private static func duration(_ seconds: Double) -> String {
    let total = Int(min(seconds, 1e9).rounded(.up))
    let (hours, minutes) = (total / 3600, total / 60 % 60)
    let clock = String(format: "%d:%02d", minutes, total % 60)
    return hours > 0 ? String(format: "%d:%02d:%02d", hours, minutes, total % 60) : clock
  }

  /// Whether a person looks at the output.
  ///
  /// mpirun gives every rank a terminal as standard output, also when its own output goes to a file. So the output of
  /// mpirun itself counts, which is the parent of the ranks on its host. Ranks that a remote daemon started find no
  /// terminal there.
  private static var isWatched: Bool {
    if ProcessInfo.processInfo.environment["TERM"] == "dumb" { return false }
    guard ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_SIZE"] != nil else { return isatty(1) == 1 }
    let output = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(getppid())/fd/1")
    return output.map { $0.hasPrefix("/dev/pts/") || $0.hasPrefix("/dev/tty") } ?? false
  }
}

/// Passes log messages to the console.
private struct ConsoleLogHandler: LogHandler {
  let console: Console
  var metadata = Logger.Metadata()
  var logLevel = Logger.Level.info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    console.say(event.level == .info ? "\(event.message)" : "\(event.level): \(event.message)")
  }
}
