import ArrayFiles
import Basics
import Datasets
import Environments
import Foundation
import MPI
import Settings

/// Where the data of a run come from.
public enum DatasetLocation: Sendable {
  /// The embedded task generates them.
  case generated(PointMazeTask)
  /// A dataset directory, an `.npz` file or a directory of them; and the embedded task that the data are for, if they
  /// are for one. It gives the rewards that are missing.
  case path(String, PointMazeTask?)

  /// How a dataset is imported that is not there yet.
  public struct Import {
    let python: String
    let isCancelled: () -> Bool
    let say: (String) -> Void

    /// - Parameters:
    ///   - python: the interpreter that has the projects' readers.
    ///   - isCancelled: asked while an import runs; yes ends it.
    ///   - say: is told on the first rank of a node what goes on.
    public init(
      python: String, isCancelled: @escaping () -> Bool = { false }, say: @escaping (String) -> Void
    ) {
      (self.python, self.isCancelled, self.say) = (python, isCancelled, say)
    }
  }

  /// The embedded task, if the data are for one.
  var task: PointMazeTask? {
    switch self {
    case .generated(let task): task
    case .path(_, let task): task
    }
  }

  /// Finds the data of a configuration: its dataset if it names one, else the dataset that has the task's name. What
  /// is not there yet is imported by one rank. The first rank of each other node then looks, too, and imports it on
  /// that node if the two do not share the disk. Collective.
  ///
  /// - Throws: the same `Failure` on all ranks.
  public init(_ configuration: Configuration, _ task: NamedTask, _ importing: Import, world: Communicator)
    throws
  {
    if case .embedded(let task) = task {
      self = configuration.dataset.map { .path($0, task) } ?? .generated(task)
      return
    }
    let node = try world.splitByNode()
    var found = ""
    for imports in [world.rank == 0, world.rank != 0 && node.rank == 0] {
      found = try world.workTogether { imports ? try Self.find(configuration, task, importing) : found }
    }
    let path = try node.broadcast(Array(found.utf8))
    self = .path(String(decoding: path, as: UTF8.self), nil)
  }

  private static func find(
    _ configuration: Configuration, _ task: NamedTask, _ importing: Import
  ) throws -> String {
    let name = configuration.env
    guard let path = configuration.dataset else {
      guard task.hasDataset else {
        throw Failure(
          .usage, "--dataset is needed: \(name) is the name of an environment and not of a dataset")
      }
      return try make(DatasetImport.place(of: name), DatasetImport(name, python: importing.python), importing)
    }
    guard !DatasetDirectory.exists(at: path), task.computesRewards else { return path }
    let files = try OGBenchSource(path: path)
    guard !files.hasRewards else { return path }
    var rewarding = DatasetImport(path, python: importing.python)
    rewarding.task = name
    let place = try "\(DatasetImport.place(of: name))-\(identity(of: files.files, path))"
    return try make(place, rewarding, importing)
  }

  private static func make(_ place: String, _ dataset: DatasetImport, _ importing: Import) throws -> String {
    guard access(place, F_OK) != 0 else { return place }
    importing.say("importing \(dataset.source) to \(place)")
    try createDirectory(URL(fileURLWithPath: place).deletingLastPathComponent().path)
    _ = try dataset.run(to: place, isCancelled: importing.isCancelled, say: importing.say)
    return place
  }

  /// A text that differs for other files, and for the same files after a change.
  private static func identity(of files: [String], _ path: String) -> String {
    var digest = Digest()
    let companion = OGBenchSource.companionPath(of: path)
    for file in files + (companion.map { [$0] } ?? []) {
      var status = stat()
      stat(file, &status)
      let words = "\(URL(fileURLWithPath: file).path) \(status.st_size) \(status.st_mtim)"
      Array(words.utf8).withUnsafeBytes { digest.update($0) }
    }
    return String(digest.value, radix: 16)
  }
}
