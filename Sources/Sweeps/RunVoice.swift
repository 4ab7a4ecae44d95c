import Logging
import Running

/// Speaks for one of several runs that train at the same time: prints its lines with its name in front, or, where a
/// table of all runs is drawn, leaves its progress and its warnings for the table.
public final class RunVoice: @unchecked Sendable {
  // Used from the main thread only; Logging asks for Sendable.
  private let name: String
  private let file: ProgressFile?
  private let print: (String) -> Void

  /// - Parameters:
  ///   - name: the run's name.
  ///   - file: where the table looks; nil when lines are printed.
  ///   - print: prints a line.
  public init(_ name: String, file: ProgressFile?, print: @escaping (String) -> Void) {
    (self.name, self.file, self.print) = (name, file, print)
  }

  /// Says a line: what it says belongs to the run.
  func say(_ line: String) { file.map { $0.say(line) } ?? print(line) }

  /// Shows how far the run is.
  public func show(_ status: RunStatus) {
    if let file {
      file.write(RunProgress(status))
    } else if status.isLogged {
      print("[\(name)] \(status.line)")
    }
  }

  /// Takes what the run tells people.
  public var logger: Logger { Logger(label: "fan-dist") { [self] _ in LineLogHandler(log) } }

  @Sendable private func log(_ level: Logger.Level, _ message: Logger.Message) {
    guard level > .info else {
      // There is no room for what goes as it should beside a table.
      if file == nil { print("[\(name)] \(message)") }
      return
    }
    say("[\(name)] \(level): \(message)")
  }
}
