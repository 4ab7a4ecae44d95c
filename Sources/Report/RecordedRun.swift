import Foundation
import Running
import Settings
import Yams

/// The files that a run has written so far, read as untrusted input: they may be unfinished, damaged or
/// forged.
package struct RecordedRun {
  /// The run's directory.
  let directory: RunDirectory
  /// The name of the run's directory.
  package let name: String
  /// The settings in config.yaml, in their order, with underscores in their names.
  private(set) var settings: [(name: String, value: String)] = []
  /// The comments at the head of config.yaml, which say what wrote the file and describe the data.
  private(set) var facts: [String] = []
  /// The rows of train.csv; nil if it cannot be read.
  private(set) var training: CSVTable?
  /// The rows of eval.csv about the policy; nil if it cannot be read.
  private(set) var evaluations: CSVTable?
  /// The rows of eval.csv about behaviour cloning; nil if it cannot be read.
  private(set) var behaviour: CSVTable?
  /// The rows of fqe.csv about the policy; nil if the run was not judged by recorded episodes.
  private(set) var judgements: CSVTable?
  /// The rows of fqe.csv about behaviour cloning; nil likewise.
  private(set) var judgedBehaviour: CSVTable?
  /// One line for each thing that was missing or damaged.
  package private(set) var notes: [String] = []

  /// Reads the run in the directory `path`.
  package init(path: String) {
    directory = RunDirectory(path: path)
    name = URL(fileURLWithPath: path).lastPathComponent
    readConfiguration()
    training = table(directory.training)
    // A run without episodes has none, which is no fault.
    (evaluations, behaviour) = results(directory.evaluation, mayBeMissing: self["eval_episodes"] == "0")
    (judgements, judgedBehaviour) = results(directory.judgement, mayBeMissing: true)
  }

  /// Whether a directory has something of a run: config.yaml, train.csv or checkpoints.
  static func isRun(_ path: String) -> Bool {
    let directory = RunDirectory(path: path)
    return [directory.configuration, directory.training, directory.checkpoints]
      .contains(where: FileManager.default.fileExists)
  }

  /// The value of a setting; nil if config.yaml does not have it.
  subscript(setting: String) -> String? { settings.first { $0.name == setting }?.value }

  /// The last update that train.csv or eval.csv mentions; 0 if there is none.
  var lastStep: Int {
    Int([training, evaluations].compactMap { $0?.rows.last?.first }.compactMap { Double($0) }.max() ?? 0)
  }

  /// The number of updates that the run is set to do.
  var steps: Int? { number("steps").map { $0 + (number("online_steps") ?? 0) } }

  /// The update after which the run goes on online; nil if it does not.
  var onlineFrom: Int? { number("online_steps").flatMap { $0 > 0 ? number("steps") : nil } }

  private func number(_ setting: String) -> Int? {
    self[setting].flatMap { Int($0) }.flatMap { (0...1_000_000_000).contains($0) ? $0 : nil }
  }

  /// The rows of a table about the policy and about behaviour cloning.
  private mutating func results(_ path: String, mayBeMissing: Bool) -> (CSVTable?, CSVTable?) {
    if mayBeMissing && !FileManager.default.fileExists(atPath: path) { return (nil, nil) }
    let all = table(path)
    return (all?.filtered("actor", is: "policy").newest, all?.filtered("actor", is: "behaviour").newest)
  }

  private mutating func table(_ path: String) -> CSVTable? {
    guard let text = text(path, limit: CSVTable.sizeLimit) else { return nil }
    let table = CSVTable(text)
    let file = URL(fileURLWithPath: path).lastPathComponent
    if table.damagedLines > 0 { notes.append("\(file): \(table.damagedLines) damaged line(s) passed over") }
    if table.rows.isEmpty { notes.append("\(file): no rows yet") }
    return table
  }

  private mutating func text(_ path: String, limit: Int) -> String? {
    let file = URL(fileURLWithPath: path).lastPathComponent
    var status = stat()
    guard stat(path, &status) == 0 else {
      notes.append("\(file): missing")
      return nil
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      notes.append("\(file): is not a regular file")
      return nil
    }
    guard status.st_size <= limit, let data = FileManager.default.contents(atPath: path) else {
      notes.append("\(file): too large, or cannot be read")
      return nil
    }
    return String(decoding: data, as: UTF8.self)
  }

  private mutating func readConfiguration() {
    guard let text = text(directory.configuration, limit: 1 << 20) else { return }
    facts = text.split(whereSeparator: \.isNewline).prefix { $0.hasPrefix("#") }
      .map { $0.drop { $0 == "#" || $0 == " " }.description }
    guard let mapping = (try? yaml(text, file: directory.configuration))??.mapping else {
      notes.append("config.yaml: not a mapping of settings to values")
      return
    }
    settings = mapping.compactMap { key, value in
      guard let name = key.string, let value = value.scalar?.string else { return nil }
      return (name.replacing("-", with: "_"), value)
    }
  }
}
