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
  /// What kind of file the source is; nil to find out from the file.
  public var format: Format?
  /// Which columns of a table are what, such as `observation` and `action`.
  public var columns: [String: [String]]?
  /// How to scale what is read.
  public var scales: ScaleOptions
  /// The Python interpreter that has the projects' readers.
  public var python: String

  /// The kinds of files and directories that people have.
  public enum Format: String, CaseIterable, Sendable {
    case ogbench, npz, d3rlpy, d4rl, minari, lerobot, rlds, csv, parquet
  }

  /// An import of `source`.
  public init(_ source: String, python: String) {
    self.source = source
    self.python = python
    // Without arguments there is nothing that could be wrong.
    scales = try! ScaleOptions.parse([])
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
      let rows: any ImportedRows =
        switch try reader() {
        case .own(let files): try rows(of: files, isCancelled)
        case .python(let request): try PythonRows(request, python: python, isCancelled: isCancelled)
        }
      let scales = try ImportScales(
        options: scales, source: source, environmentBounds: { try environmentBounds(isCancelled) }
      ).of(rows)
      try copy(rows, scales, to: directory.temporaryPath, say)
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
    guard format == nil, columns == nil, convention == nil, episodeLimit == nil else {
      throw Failure(
        .noInput,
        "\(source): no such file; --format, --columns, --convention and --episode-limit are for files and directories"
      )
    }
    let published: DatasetImporter.Request
    switch try? NamedTask(name: source) {
    case .embedded(let task) where task.image != nil:
      throw Failure(.noInput, "\(source): nobody publishes these data: fan-dist dataset generate makes them")
    case .embedded(let task): published = request(.ogbench, task.name)
    case .gymnasium(let task) where task.source == .ogbench: published = request(.ogbench, task.name)
    case .gymnasium(let task) where task.source == .minari: published = request(.minari, task.name)
    default:
      throw Failure(
        .noInput,
        "\(source): no such file, and not the name of a dataset: those are OGBench's NAME-singletask[-taskN]-v0 and minari:ID; D4RL's datasets are .hdf5 files"
      )
    }
    try requireNoTask("\(source) says itself what rewards are")
    return .python(published)
  }

  private func fileReader() throws -> Reader {
    guard !DatasetDirectory.exists(at: source) else {
      throw Failure(.usage, "\(source): is a dataset directory already")
    }
    guard isDirectory(source) || isFile(source) else {
      throw Failure(.noInput, "\(source): is neither a file nor a directory; copy what it gives to a file")
    }
    guard directory == nil else {
      throw Failure(.usage, "--from: \(source) is a file or a directory, not a name; leave it out")
    }
    guard isOGBench else {
      try requireNoTask("\(source) says itself what rewards are")
      var request = request(.file, URL(fileURLWithPath: source).path)
      (request.format, request.columns) = (format?.rawValue, columns)
      (request.convention, request.episodeLimit) = (convention, episodeLimit)
      return .python(request)
    }
    try requireNoneOfOtherKinds()
    let task = try task.map { try namedTask($0) }
    let files = try openFiles(source, task: task?.embedded)
    if let task = task?.embedded { try requireFit(files, task) }
    if files.hasRewards { try requireNoTask("\(source) has rewards") }
    guard case .gymnasium(let task) = task, !files.hasRewards else { return .own(files) }
    guard task.source == .ogbench else {
      throw Failure(
        .usage, "--env \(task.name): only OGBench's tasks compute rewards for a file that has none")
    }
    var request = request(.ogbench, task.name)
    request.files = files.files.map { URL(fileURLWithPath: $0).path }
    return .python(request)
  }

  /// Whether the source is OGBench's `.npz`, or a directory of them. An `.npz` file whose rows are transitions of their
  /// own, or that has rewards and no masks, is none.
  private var isOGBench: Bool {
    guard format == nil else { return format == .ogbench }
    if isDirectory(source) { return !Self.isOfAnotherProject(directory: source) }
    guard begins(source, with: Array("PK".utf8)) else {
      return URL(fileURLWithPath: source).pathExtension == "npz"
    }
    guard let file = try? NpzFile(path: source) else { return true }
    return OGBenchSource.hasRowsInOrder(file) && (file.contains("masks") || !file.contains("rewards"))
  }

  /// Whether a directory has a file that those of Minari, LeRobot or RLDS have.
  static func isOfAnotherProject(directory: String) -> Bool {
    ["meta/info.json", "data/metadata.json", "metadata.json", "features.json", "dataset_info.json"].contains {
      FileManager.default.fileExists(atPath: "\(directory)/\($0)")
    }
  }

  /// Throws if options are given that only other kinds of files have.
  private func requireNoneOfOtherKinds() throws(Failure) {
    guard columns == nil else {
      throw Failure(.usage, "--columns: \(source) has members, not columns; leave it out")
    }
    guard convention == nil, episodeLimit == nil else {
      throw Failure(
        .usage,
        "--convention and --episode-limit are for D4RL's files, and \(source) is OGBench's; leave them out")
    }
    guard scales.rewardRule != .lastStep else {
      throw Failure(.usage, "--reward-rule last-step: \(source) says itself what rewards are, or --env does")
    }
  }

  /// Throws if a task is given that would do nothing, for a reason.
  private func requireNoTask(_ reason: String) throws(Failure) {
    guard let task, scales.actionRange != .environment else { return }
    throw Failure(
      .usage,
      "--env \(task): \(reason); it is for files without rewards and for --action-range environment, so leave it out"
    )
  }

  /// The bounds of the actions of the environment that `task` names.
  private func environmentBounds(_ isCancelled: @escaping () -> Bool) throws -> [ClosedRange<Float>?] {
    guard let task else {
      throw Failure(.usage, "--action-range environment needs --env, to say which environment")
    }
    let environment = try namedTask(task).environment(
      seed: 0, episodes: 1, frames: 1, scales: nil,
      workers: GymnasiumEnvironment.Options(python: python, workers: 1, timeout: .seconds(300)),
      isCancelled: isCancelled)
    defer { environment.stop() }
    do { return try environment.describe().actionBounds } catch {
      throw Failure(.unavailable, "--action-range environment: \(task): \(error)")
    }
  }

  private func request(_ source: DatasetImporter.Request.Source, _ name: String) -> DatasetImporter.Request {
    var request = DatasetImporter.Request(source, name)
    request.directory = directory.map { URL(fileURLWithPath: $0).path }
    request.lastStep = scales.rewardRule == .lastStep
    switch scales.actionRange {
    case .ranges(let ranges): request.actionRange = ranges.map { [$0.lowerBound, $0.upperBound] }
    case nil: request.actionRange = scales.scalesOf == nil ? [[-1, 1]] : nil
    case .data, .environment: break
    }
    return request
  }

  // MARK: Copying

  /// OGBench's files, whose rewards are known without Python.
  private func rows(of files: OGBenchSource, _ isCancelled: @escaping () -> Bool) throws -> FileRows {
    let embedded = try task.flatMap { try namedTask($0).embedded }
    let validation = try OGBenchSource.companionPath(of: source).map { try openFiles($0, task: embedded) }
    return try FileRows(
      files, validation: validation,
      [
        "source": URL(fileURLWithPath: source).lastPathComponent,
        "files": files.files.joined(separator: ", "),
        "reward": files.hasRewards ? "the files' own" : "r(s) of \(task ?? "")",
      ], isCancelled: isCancelled)
  }

  /// Writes the rows, scaled, to a directory and its subdirectory for validation data.
  private func copy(
    _ rows: any ImportedRows, _ scales: DataScales?, to directory: String, _ say: @escaping (String) -> Void
  ) throws {
    for validation in rows.hasValidation ? [false, true] : [false] {
      let writer = try DatasetWriter(
        directory: validation ? Self.validation(of: directory) : directory,
        observation: rows.spec.observation, actionSize: rows.spec.actionSize, source: source,
        bounds: rows.bounds)
      var progress = Progress(say)
      try rows.forEachBlock(validation: validation) { block, file, first in
        if let scales {
          if case .refuse = rows.bounds { try requireInRange(block, scales, file ?? source, first) }
          if let rewards = scales.rewards { try requireInRange(block, rewards, file ?? source, first) }
          block.scale(scales)
        }
        try writer.append(block, from: file ?? source, row: first)
        progress.add(block.rows)
      }
      var provenance = rows.provenance.merging(["written by": "fan-dist \(version)"]) { $1 }
      if !rows.notes.isEmpty { provenance["note"] = rows.notes.joined(separator: "; ") }
      _ = try writer.finish(
        provenance: provenance,
        observationOrder: rows.spec.observationOrder, scales: scales)
    }
  }

  /// Names the first action outside its range, in the data's own units.
  private func requireInRange(
    _ block: RowBlock, _ scales: DataScales, _ file: String, _ first: Int
  ) throws(FileError) {
    guard let columns = scales.actions, let (row, column) = block.firstActionOutside(columns) else { return }
    let value = block.actions[row * block.actionSize + column]
    let (middle, half) = (columns.shift[column], columns.scale[column])
    throw FileError(
      .malformed, file: file, member: "actions",
      reason:
        "row \(first + row) column \(column) is \(value), outside \(middle - half) to \(middle + half); give --action-range a wider range, or data"
    )
  }

  /// Names the first reward that a scale makes too large.
  private func requireInRange(
    _ block: RowBlock, _ scale: DataScales.Rewards, _ file: String, _ first: Int
  ) throws(Failure) {
    for row in 0..<block.rows where block.rewards[row].isFinite {
      guard !Float(scale.apply(to: Double(block.rewards[row]))).isFinite else { continue }
      throw Failure(
        .usage,
        "\(file): row \(first + row): the reward \(block.rewards[row]) becomes too large; give --reward-scale and --reward-shift smaller numbers"
      )
    }
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
