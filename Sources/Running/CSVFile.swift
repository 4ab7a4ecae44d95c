import ArrayFiles
import Basics

/// A CSV file with a header row whose first column is the update; rows are appended as the run goes on.
///
/// What an earlier run has recorded stays, but for the rows that this run computes again. Lines that are no rows of such
/// a file stay, too: somebody else wrote them, or the disk garbled them, and they may still be worth something.
package final class CSVFile {
  private let file: AppendedFile
  package let columns: [String]
  /// The rows of the last update that stay from before.
  package private(set) var lastKept: [[String]] = []

  /// Opens `path` for appending.
  ///
  /// - Parameters:
  ///   - keep: says of a row that is there already whether it stays, by its update and its fields.
  ///   - warn: is told of lines that are no rows.
  /// - Throws: `FileError` when the file is there and cannot be read, or cannot be written; `Failure` when it has other
  ///   columns.
  package init(
    path: String, columns: [String], warn: (String) -> Void,
    keep: (_ step: Int, _ fields: [String]) -> Bool
  ) throws {
    self.columns = columns
    let header = Array(columns.joined(separator: ",").utf8)
    let old = try Self.readTwice(path)
    var lines = old.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    // Behind the last end of a line there is nothing, or a line whose writing was interrupted.
    let rest = lines.removeLast()
    guard old.isEmpty || lines.first?.elementsEqual(header) == true else {
      throw Failure(
        .configuration,
        "\(path): has other columns than this run writes; train on the same files as before, or move it away"
      )
    }
    var text = header + [UInt8(ascii: "\n")]
    var unknown: [Int] = []
    for (number, line) in lines.enumerated().dropFirst() {
      if let (step, fields) = Self.row(line, columns.count) {
        guard keep(step, fields) else { continue }
        if let last = lastKept.first, last[0] != fields[0] { lastKept = [] }
        lastKept.append(fields)
      } else {
        unknown.append(number + 1)
      }
      text += line + [UInt8(ascii: "\n")]
    }
    if !lines.isEmpty && !Self.isBeginningOfRow(rest) {
      unknown.append(lines.count + 1)
      text += rest + [UInt8(ascii: "\n")]
    }
    if let first = unknown.first {
      warn(
        "\(path): \(unknown.count) line(s) are no rows of this run, line \(first) first; they stay as they are"
      )
    }
    if text != old { try writeFile(text, path: path) }
    file = try AppendedFile(path: path, isNew: false)
    // The run that wrote the file may not have come to syncing it.
    try file.synchronize()
  }

  /// The bytes of a file that is perhaps written anew from what was read: two reads must give the same.
  private static func readTwice(_ path: String) throws -> [UInt8] {
    let bytes = try readFileIfPresent(path: path) ?? []
    guard try readFileIfPresent(path: path) ?? [] == bytes else {
      throw FileError(
        .malformed, file: path,
        reason:
          "two reads give different bytes: memory or disk is unreliable, or another program writes this file")
    }
    return bytes
  }

  /// The update and the fields of a whole row; nil for another line.
  private static func row(_ line: ArraySlice<UInt8>, _ columns: Int) -> (step: Int, fields: [String])? {
    guard let text = String(validating: line, as: UTF8.self) else { return nil }
    let fields = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard fields.count == columns, let step = Int(fields[0]), step >= 0 else { return nil }
    return (step, fields)
  }

  /// Whether a line without an end may be a row whose writing was interrupted: nothing, or an update.
  private static func isBeginningOfRow(_ line: ArraySlice<UInt8>) -> Bool {
    line.prefix { $0 != UInt8(ascii: ",") }.allSatisfy {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
    }
  }

  /// Appends a row; nil leaves a field empty.
  package func append(_ values: [String?]) throws {
    precondition(values.count == columns.count, "a value for each column")
    try file.append(Array((values.map { $0 ?? "" }.joined(separator: ",") + "\n").utf8))
  }

  /// Waits until all rows are on the storage device.
  package func synchronize() throws { try file.synchronize() }
}
