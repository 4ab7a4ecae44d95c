import Agents
import ArrayFiles
import Basics
import Datasets
import Environments
import Foundation
import MPI
import Settings

/// A dataset that all ranks can read. Each node holds one copy, which its ranks share; data that are too large for that
/// stay in their files, from which all ranks read rows as they need them.
public struct SharedDataset {
  /// The data, on every rank.
  let transitions: any TransitionSource
  /// Names the data: the path of their file or directory.
  public let path: String
  /// What the data look like.
  public let statistics: DatasetStatistics
  /// What an agent needs to know about them.
  public let spec: DataSpec
  /// Where the data are from, in words for people, if that is known.
  public let provenance: [String: String]
  /// Identifies the data, hexadecimal.
  public let digest: String
  /// Where the data are and how much memory they take.
  public let place: String
  private let memory: SharedMemory

  /// What makes an environment's rewards like these data's.
  public var rewardScale: DataScales.Rewards {
    // Directories of versions before scales were recorded hold antmaze's shift without saying so.
    spec.scales?.rewards ?? DataScales.Rewards(shift: provenance["convention"] == "D4RL antmaze" ? -1 : 0)
  }

  /// What to do when numbers become too large in training, if nothing is known about the data.
  public static let usualRemedy = "Lower --lr, or look with --check"

  /// What to do when numbers become too large in training.
  public var remedy: String {
    guard let huge = statistics.hugeValue else { return Self.usualRemedy }
    return
      "\(path): \(huge): scale it; dataset info shows the range of each column. \(Self.usualRemedy) otherwise"
  }

  /// The data of a configuration. Collective.
  ///
  /// - Parameter releases: is told what to free at the end.
  init(
    _ configuration: Configuration, at location: DatasetLocation, world: Communicator, _ releases: Releases
  ) throws {
    try self.init(configuration, world: world, releases, task: location.task) {
      switch location {
      case .generated(let task): try recordedDataset(task, validation: false)
      case .path(let path, let task): try openDataset(path, task: task)
      }
    }
  }

  /// Throws if a configuration asks for data with another digest.
  func requireDigest(of configuration: Configuration) throws(Failure) {
    guard let expected = configuration.datasetDigest, expected != digest else { return }
    throw Failure(
      .configuration, "the dataset has digest \(digest), not \(expected) as --dataset-digest asks")
  }

  /// The validation data that a configuration names or that belong to its data, if there are any. Collective.
  static func validation(
    _ configuration: Configuration, at location: DatasetLocation, world: Communicator, _ releases: Releases
  ) throws -> SharedDataset? {
    if let path = configuration.valDataset {
      return try SharedDataset(configuration, world: world, releases, task: location.task) {
        try openDataset(path, task: location.task)
      }
    }
    switch location {
    case .generated(let task):
      return try SharedDataset(configuration, world: world, releases, task: task) {
        try recordedDataset(task, validation: true)
      }
    case .path(let path, let task):
      let companion = try world.together { try validationPath(of: path) }
      // The first rank decides whether there is one, in case the others look at another disk.
      guard try world.broadcast([companion == nil ? 0 : 1])[0] == 1 else { return nil }
      return try SharedDataset(configuration, world: world, releases, task: task) {
        try openDataset(companion ?? path, task: task)
      }
    }
  }

  /// Opens a dataset and shares it. Collective; a failure on one rank is thrown by all.
  ///
  /// - Parameters:
  ///   - releases: is told what to free at the end.
  ///   - task: the task that the data must fit.
  ///   - open: opens the data; called on the first rank of each node only, unless they stay in their files.
  private init(
    _ configuration: Configuration, world: Communicator, _ releases: Releases, task: PointMazeTask?,
    open: () throws -> any DatasetSource
  ) throws {
    let node = try world.splitByNode()
    let source = try world.workTogether {
      let source = node.rank == 0 ? try open() : nil
      if let source, let task { try requireFit(source, task) }
      return source
    }
    let (plan, frames) = (try Self.plan(of: source, node), configuration.frameStack)
    // All ranks make the same choice, also if nodes see different data, which is found out below.
    let isTooLarge = source is DatasetDirectory && plan.byteCount > configuration.datasetBytes
    let store =
      try world.allReduce(Int64(isTooLarge ? 1 : 0), .max) == 1
      ? try Store(indexOf: plan, frames: frames, world, node, releases) { try source ?? open() }
      : try Store(plan, frames: frames, of: source, world, node, releases)
    (memory, transitions, place) = (store.memory, store.transitions, store.place)
    let description = try Description(source, store.statistics, node)
    (path, statistics) = (description.path, description.statistics)
    (provenance, digest) = (description.provenance, statistics.digest)
    spec = DataSpec(
      observation: transitions.observation, actionSize: plan.actionSize,
      rewards: statistics.reward.minimum...statistics.reward.maximum,
      observationOrder: description.observationOrder,
      scales: description.scales?.stacked(frames))
    try world.requireAgreement(
      on: "the dataset", UInt64(digest, radix: 16) ?? 0, advice: "give all nodes the same data")
  }

  /// The sizes that the first rank of a node knows, on all of its ranks.
  private static func plan(of source: (any DatasetSource)?, _ node: Communicator) throws -> DatasetPlan {
    var words = source?.plan.words ?? [Int64](repeating: 0, count: DatasetPlan.wordCount)
    try node.broadcast(&words, count: words.count * MemoryLayout<Int64>.stride)
    return DatasetPlan(words: words)
  }
}

/// What the first rank of a node knows about a dataset, for all of its ranks.
private struct Description: Codable {
  let path: String
  let provenance: [String: String]
  let observationOrder: [String]?
  let scales: DataScales?
  let statistics: DatasetStatistics

  /// Collective over the node, whose first rank has the source and the statistics.
  init(_ source: (any DatasetSource)?, _ statistics: DatasetStatistics?, _ node: Communicator) throws {
    var text: [UInt8] = []
    if let source, let statistics, node.rank == 0 {
      let encoder = JSONEncoder()
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      text = Array(try encoder.encode(Description(source, statistics)))
    }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    self = try decoder.decode(Self.self, from: Data(try node.broadcast(text)))
  }

  private init(_ source: any DatasetSource, _ statistics: DatasetStatistics) {
    (path, provenance, observationOrder) = (source.path, source.provenance, source.observationOrder)
    (self.statistics, scales) = (statistics, source.scales)
  }
}

/// The memory that the ranks of a node share for a dataset, filled.
private struct Store {
  let memory: SharedMemory
  let transitions: any TransitionSource
  /// On the first rank of the node.
  let statistics: DatasetStatistics?
  let place: String

  /// Puts all data into memory. `source` is there on the first rank of each node.
  init(
    _ plan: DatasetPlan, frames: Int, of source: (any DatasetSource)?, _ world: Communicator,
    _ node: Communicator,
    _ releases: Releases
  ) throws {
    let memory = try SharedMemory(node, byteCount: plan.byteCount)
    releases.add(memory.free)
    let block = UnsafeMutableRawBufferPointer(start: memory.base, count: plan.byteCount)
    statistics = try world.workTogether { try source?.load(into: block) }
    try memory.synchronise()
    transitions = TransitionMemory(plan: plan, base: memory.base, frames: frames)
    place = "data \(megabytes(plan.byteCount / node.size)) MB per rank"
    self.memory = memory
  }

  /// Puts the index of the episodes into memory and leaves the data in their files, which every rank opens.
  init(
    indexOf plan: DatasetPlan, frames: Int, _ world: Communicator, _ node: Communicator, _ releases: Releases,
    _ open: () throws -> any DatasetSource
  ) throws {
    let directory = try world.together { try requireDirectory(open(), plan) }
    let memory = try SharedMemory(node, byteCount: directory.indexByteCount)
    releases.add(memory.free)
    let index = UnsafeMutableRawBufferPointer(start: memory.base, count: directory.indexByteCount)
    try world.workTogether { if node.rank == 0 { try directory.loadIndex(into: index) } }
    try memory.synchronise()
    transitions = directory.transitions(index: memory.base, frames: frames)
    statistics = node.rank == 0 ? directory.survey() : nil
    let gigabytes = decimals(Double(plan.byteCount) / 1e9, 2)
    place =
      "data (\(gigabytes) GB) stay in their files and are read as they are needed; whether they are as they were "
      + "imported is not checked: fan-dist dataset info --verify does that"
    self.memory = memory
  }
}

private func requireDirectory(_ source: any DatasetSource, _ plan: DatasetPlan) throws -> DatasetDirectory {
  guard let directory = source as? DatasetDirectory, directory.plan == plan else {
    throw Failure(.configuration, "\(source.path): the ranks see different data under this name")
  }
  return directory
}
