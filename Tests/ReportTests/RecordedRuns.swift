import Foundation
import FoundationXML
import Report
import TestSupport
import Testing

/// A folder with the files of runs, and the page about them.
struct RecordedRuns {
  let folder = TemporaryDirectory()

  /// Writes the files of a run.
  func write(_ name: String, configuration: String, training: String? = nil, evaluation: String? = nil) throws
  {
    try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
    for (file, text) in [("config.yaml", configuration), ("train.csv", training), ("eval.csv", evaluation)] {
      if let text { _ = try folder.write(text, to: "\(name)/\(file)") }
    }
  }

  /// Writes a run with these successes of the policy, every 100 updates.
  func write(_ name: String, configuration: String = "env: maze\n", successes: [String]) throws {
    let rows = successes.enumerated().map { "\(100 * $0 + 100),policy,\($1)\n" }
    try write(name, configuration: configuration, evaluation: "step,actor,success\n" + rows.joined())
  }

  func report(_ names: String...) throws -> Report {
    try Report(paths: names.isEmpty ? [folder.path] : names.map(folder.file))
  }

  /// The page, which must be well-formed.
  func page(_ names: String...) throws -> XMLDocument {
    let report = try Report(paths: names.isEmpty ? [folder.path] : names.map(folder.file))
    return try XMLDocument(data: Data(report.html.utf8))
  }
}

extension XMLNode {
  /// The texts of the nodes at a path.
  func texts(_ path: String) throws -> [String] { try nodes(forXPath: path).map { $0.stringValue ?? "" } }

  /// The chart whose description begins with `description`.
  func chart(_ description: String) throws -> XMLNode {
    let charts = try nodes(forXPath: "//svg[starts-with(@aria-label, '\(description)')]")
    return try #require(charts.first, "no chart of \(description)")
  }

  /// The texts of a table's rows, cell by cell, without the header.
  func rows(_ table: String) throws -> [[String]] {
    try nodes(forXPath: "\(table)/tbody/tr").map { try $0.texts("th | td") }
  }
}
