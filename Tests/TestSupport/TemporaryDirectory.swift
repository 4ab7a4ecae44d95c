import Foundation

/// A directory that disappears with the value.
public final class TemporaryDirectory: Sendable {
  /// Its path.
  public let path: String

  /// A new, empty directory.
  public init() {
    var template = Array("\(NSTemporaryDirectory())/fan-dist-tests-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template)!)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of an entry.
  public func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a text file and returns its path.
  public func write(_ text: String, to name: String) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
    return file(name)
  }
}

/// Changes the bytes of a file.
public func edit(_ path: String, _ change: (inout Data) -> Void) throws {
  var data = try Data(contentsOf: URL(fileURLWithPath: path))
  change(&data)
  try data.write(to: URL(fileURLWithPath: path))
}
