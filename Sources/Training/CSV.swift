import ArrayFiles
import Foundation

/// A CSV file with a header row whose first column is the update; rows are appended as the run goes on.
final class CSVFile {
  private let handle: FileHandle
  private let path: String
  let columns: [String]

  /// Opens `path` for appending. Rows beyond `step`, which a resumed run computes again, are dropped.
  init(path: String, columns: [String], keepingThrough step: Int) throws {
    self.path = path
    self.columns = columns
    let header = columns.joined(separator: ",") + "\n"
    var text = header
    if step > 0, let old = try? String(contentsOfFile: path, encoding: .utf8), old.hasPrefix(header) {
      // The last line may be cut off in the middle: only whole lines count.
      let lines = old.split(separator: "\n", omittingEmptySubsequences: false).dropLast().dropFirst()
      for line in lines where (line.split(separator: ",").first.flatMap { Int($0) } ?? .max) <= step {
        text += line + "\n"
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
  func append(_ values: [String?]) throws {
    precondition(values.count == columns.count, "a value for each column")
    do {
      try handle.write(contentsOf: Data((values.map { $0 ?? "" }.joined(separator: ",") + "\n").utf8))
    } catch {
      throw Failure(.cannotCreate, "\(path): cannot write: \(error.localizedDescription)")
    }
  }
}
