import Logging

/// Hands each message of a log to a function, for programs that show lines to people.
public struct LineLogHandler: LogHandler {
  public var metadata = Logger.Metadata()
  public var logLevel = Logger.Level.info
  private let show: @Sendable (Logger.Level, Logger.Message) -> Void

  /// - Parameter show: is given each message with its level.
  public init(_ show: @escaping @Sendable (Logger.Level, Logger.Message) -> Void) { self.show = show }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) { show(event.level, event.message) }
}
