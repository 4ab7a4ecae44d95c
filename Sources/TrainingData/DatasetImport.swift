import Agents
import ArrayFiles
import Basics
import Datasets
import Environments
import Foundation
import Settings

/// Turns datasets of other projects into dataset directories.
public struct DatasetImport: Sendable {
  /// A task's or dataset's name, or the path of a file or directory.
  public var source: String
  /// The task whose rewards to compute for OGBench files that hold none.
  public var task: String?
  /// Where the project that `source` names keeps its datasets; nil for its own choice.
  public var directory: String?
  /// D4RL: which of the published conventions to follow; nil to go by the file's name.
  public var convention: String?
  /// D4RL: steps after which an episode is cut off, for files that do not say so.
  public var episodeLimit: Int?
  /// The Python interpreter that has the projects' readers.
  public var python: String

  /// An import of `source`.
  public init(_ source: String, python: String) {
    self.source = source
    self.python = python
  }

  /// Makes the dataset directory `path`. False if there is something at `path` already, perhaps because another
  /// process imported it while this one waited for its turn; nothing is changed then.
  ///
  /// - Parameters:
  ///   - isCancelled: asked again and again; yes ends the import.
  ///   - say: is told what goes on.
  /// - Throws: `Failure` or `FileError` with what is wrong and what to do.
  public func run(
    to path: String, isCancelled: @escaping () -> Bool = { false }, say: @escaping (String) -> Void
  ) throws -> Bool {
    let waiting = { say("waiting for another process that imports \(path)") }
    do {
      guard
        let directory = try AtomicDirectory(path: path, wait: waiting, isCancelled: isCancelled)
      else { return false }
      switch try reader() {
      case .own(let files): try copy(files, to: directory.temporaryPath, isCancelled, say)
      case .python(let request): try read(request, to: directory.temporaryPath, isCancelled, say)
      }
      try directory.commit()
      return true
    } catch {
      guard !isCancelled() else {
        throw Failure(
          .stoppedUnsaved, "stopped by a signal while \(source) was imported; run the same command again")
      }
      throw Failure(error)
    }
  }

  // MARK: Choosing a reader

  private enum Reader {
    case own(OGBenchSource)
    case python(DatasetImporter.Request)
  }

  private func reader() throws -> Reader {
    if FileManager.default.fileExists(atPath: source) { return try fileReader() }
    switch try? NamedTask(name: source) {
    case .embedded(let task) where task.image != nil:
      throw Failure(.noInput, "\(source): nobody publishes these data: fan-dist dataset generate makes them")
    case .embedded(let task): return .python(request(.ogbench, task.name))
    case .gymnasium(let task) where task.source == .ogbench: return .python(request(.ogbench, task.name))
    case .gymnasium(let task) where task.source == .minari: return .python(request(.minari, task.name))
    default:
      throw Failure(
        .noInput,
        "\(source): no such file, and not the name of a dataset: those are OGBench's NAME-singletask[-taskN]-v0 and minari:ID; D4RL's datasets are .hdf5 files"
      )
    }
  }

  private func fileReader() throws -> Reader {
    let path = URL(fileURLWithPath: source)
    if ["hdf5", "h5"].contains(path.pathExtension.lowercased()) {
      var request = request(.d4rl, path.path)
      request.convention = convention
      request.episodeLimit = episodeLimit
      return .python(request)
    }
    if DatasetDirectory.exists(at: source) {
      throw Failure(.usage, "\(source): is a dataset directory already")
    }
    let task = try task.map { try namedTask($0) }
    let files = try openFiles(source, task: task?.embedded)
    if let task = task?.embedded { try requireFit(files, task) }
    guard case .gymnasium(let task) = task, !files.hasRewards else { return .own(files) }
    guard task.source == .ogbench else {
      throw Failure(
        .usage, "--env \(task.name): only OGBench's tasks compute rewards for a file that has none")
    }
    var request = request(.ogbench, task.name)
    request.files = files.files.map { URL(fileURLWithPath: $0).path }
    return .python(request)
  }

  private func request(_ source: DatasetImporter.Request.Source, _ name: String) -> DatasetImporter.Request {
    var request = DatasetImporter.Request(source, name)
    request.directory = directory.map { URL(fileURLWithPath: $0).path }
    return request
  }

  // MARK: Copying

  /// Copies OGBench's files, whose rewards are known without Python.
  private func copy(
    _ training: OGBenchSource, to directory: String, _ isCancelled: @escaping () -> Bool,
    _ say: @escaping (String) -> Void
  ) throws {
    let embedded = try task.flatMap { try namedTask($0).embedded }
    let validation = try OGBenchSource.companionPath(of: source).map { try openFiles($0, task: embedded) }
    if let validation {
      try validation.rowSpec.requireFit(training.rowSpec, of: training.path, data: validation.path)
    }
    let provenance = [
      "source": URL(fileURLWithPath: source).lastPathComponent,
      "files": training.files.joined(separator: ", "),
      "reward": training.hasRewards ? "the files' own" : "r(s) of \(task ?? "")",
    ].merging(training.provenance) { $1 }
    for (files, directory) in [(training, directory), (validation, Self.validation(of: directory))] {
      guard let files else { continue }
      try write(directory, files.rowSpec, .refuse, provenance) { writer in
        var progress = Progress(say)
        try files.forEachBlock { (rows, file, first) throws(FileError) in
          guard !isCancelled() else {
            throw FileError(.unwritable, file: directory, reason: "the import was stopped")
          }
          try writer.append(rows, from: file, row: first)
          progress.add(rows.rows)
        }
      }
    }
  }

  /// Copies the rows that a reader in Python sends.
  private func read(
    _ request: DatasetImporter.Request, to directory: String, _ isCancelled: @escaping () -> Bool,
    _ say: @escaping (String) -> Void
  ) throws {
    let importer = try DatasetImporter(request, python: python, isCancelled: isCancelled)
    let data = importer.description
    // OGBench's actions lie in [-1, 1]; D4RL and Minari record what was asked for, which environments clip.
    let bounds: ActionBounds = request.source == .ogbench ? .refuse : .clip
    let spec = DataSpec(
      observation: data.observation, actionSize: data.actionSize, rewards: 0...0,
      observationOrder: data.observationOrder)
    let block = RowBlock(observation: data.observation, actionSize: data.actionSize)
    for directory in [directory] + (data.hasValidation ? [Self.validation(of: directory)] : []) {
      try write(directory, spec, bounds, data.provenance) { writer in
        var progress = Progress(say)
        while let rows = try importer.rows(limit: block.capacity) {
          block.fill(rows.count, rows.bytes)
          try writer.append(block)
          progress.add(rows.count)
        }
      }
    }
  }

  private func write(
    _ directory: String, _ spec: DataSpec, _ bounds: ActionBounds, _ provenance: [String: String],
    _ fill: (DatasetWriter) throws -> Void
  ) throws {
    let writer = try DatasetWriter(
      directory: directory, observation: spec.observation, actionSize: spec.actionSize,
      source: source, bounds: bounds)
    try fill(writer)
    _ = try writer.finish(
      provenance: provenance.merging(["written by": "fan-dist \(version)"]) { $1 },
      observationOrder: spec.observationOrder)
  }

  private static func validation(of directory: String) -> String {
    "\(directory)/\(DatasetDirectory.validationName)"
  }
}

/// Says from time to time how many rows have been copied.
private struct Progress {
  /// Time between two lines.
  private static let interval = Duration.seconds(10)

  private let say: (String) -> Void
  private var rows = 0
  private var last = ContinuousClock.now

  init(_ say: @escaping (String) -> Void) { self.say = say }

  mutating func add(_ count: Int) {
    rows += count
    guard ContinuousClock.now - last > Self.interval else { return }
    last = .now
    say("\(rows) rows")
  }
}
