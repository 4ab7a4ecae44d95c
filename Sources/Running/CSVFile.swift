import Basics
import Foundation

/// A CSV file with a header row whose first column is the update; rows are appended as the run goes on.
package final class CSVFile {
  private let handle: FileHandle
  private let path: String
  package let columns: [String]
  /// The last row that was there already and stays.
  package private(set) var lastKept: [String]?

  /// Opens `path` for appending.
  ///
  /// - Parameter keep: says of a row that is there already whether it stays, by its update and its fields.
  package init(path: String, columns: [String], keep: (_ step: Int, _ fields: [Substring]) -> Bool) throws {
    self.path = path
    self.columns = columns
    let header = columns.joined(separator: ",") + "\n"
    var text = header
    if let old = try? String(contentsOfFile: path, encoding: .utf8), !old.isEmpty {
      guard old.hasPrefix(header) else {
        throw Failure(
          .configuration,
          "\(path): has other columns than this run writes; train on the same files as before, or move it away"
        )
      }
      // The last line may be cut off in the middle: only whole lines count.
      let lines = old.split(separator: "\n", omittingEmptySubsequences: false).dropLast().dropFirst()
      for line in lines {
        let fields = line.split(separator: ",", omittingEmptySubsequences: false)
        if let step = fields.first.flatMap({ Int($0) }), keep(step, fields) {
          text += line + "\n"
          lastKept = fields.map(String.init)
        }
      }
    }
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
      handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
      try handle.seekToEnd()
    } catch {
      throw Failure(.cannotCreate, "\(path): cannot write: \(error.localizedDescription)")
    }
  }

  /// Appends a row; nil leaves a field empty.
  package func append(_ values: [String?]) throws {
    precondition(values.count == columns.count, "a value for each column")
    do {
      try handle.write(contentsOf: Data((values.map { $0 ?? "" }.joined(separator: ",") + "\n").utf8))
    } catch {
      throw Failure(.cannotCreate, "\(path): cannot write: \(error.localizedDescription)")
    }
  }
}
