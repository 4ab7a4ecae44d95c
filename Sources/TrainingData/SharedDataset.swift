import Agents
import ArrayFiles
import Basics
import Datasets
import Environments
import MPI
import Settings

/// A dataset of which each node holds one copy, shared by its ranks; or, if it is too large for that, which all ranks
/// read from its files as they need it.
public struct SharedDataset {
  /// The data, on every rank.
  let transitions: any TransitionSource
  /// What the data look like; on the first rank of each node.
  public let statistics: DatasetStatistics?
  /// What an agent needs to know about them.
  public let spec: DataSpec
  /// Where the data are from, in words for people, if that is known; on the first rank of each node.
  public let provenance: [String: String]
  /// Identifies the data, hexadecimal.
  public let digest: String
  /// Where the data are and how much memory they take.
  public let place: String
  private let memory: SharedMemory

  /// The data of a configuration. Collective.
  ///
  /// - Parameter releases: is told what to free at the end.
  init(
    _ configuration: Configuration, at location: DatasetLocation, world: Communicator, _ releases: Releases
  ) throws {
    try self.init(world: world, releases, task: location.task, limit: configuration.datasetBytes) {
      switch location {
      case .generated(let task): try recordedDataset(task, validation: false)
      case .path(let path, let task): try openDataset(path, task: task)
      }
    }
    if let expected = configuration.datasetDigest, expected != digest {
      throw Failure(
        .configuration, "the dataset has digest \(digest), not \(expected) as --dataset-digest asks")
    }
  }

  /// The validation data that belong to a configuration's data, if there are any. Collective.
  static func validation(
    _ configuration: Configuration, at location: DatasetLocation, world: Communicator, _ releases: Releases
  ) throws -> SharedDataset? {
    let limit = configuration.datasetBytes
    switch location {
    case .generated(let task):
      return try SharedDataset(world: world, releases, task: task, limit: limit) {
        try recordedDataset(task, validation: true)
      }
    case .path(let path, let task):
      let companion = validationPath(of: path)
      // The first rank decides whether there is one, in case the others look at another disk.
      guard try world.broadcast([companion == nil ? 0 : 1])[0] == 1 else { return nil }
      return try SharedDataset(world: world, releases, task: task, limit: limit) {
        try openDataset(companion ?? path, task: task)
      }
    }
  }

  /// Opens a dataset and shares it. Collective; a failure on one rank is thrown by all.
  ///
  /// - Parameters:
  ///   - releases: is told what to free at the end.
  ///   - task: the task that the data must fit.
  ///   - limit: bytes that a node spends on a dataset; those of a larger dataset directory stay in its files.
  ///   - open: opens the data; called on the first rank of each node only, unless they stay in their files.
  private init(
    world: Communicator, _ releases: Releases, task: PointMazeTask?, limit: Int,
    open: () throws -> any DatasetSource
  ) throws {
    let node = try world.splitByNode()
    let source = try world.together {
      let source = node.rank == 0 ? try open() : nil
      if let source, let task { try requireFit(source, task) }
      return source
    }
    provenance = source?.provenance ?? [:]
    var words = source?.plan.words ?? [Int64](repeating: 0, count: DatasetPlan.wordCount)
    try node.broadcast(&words, count: words.count * MemoryLayout<Int64>.stride)
    let plan = DatasetPlan(words: words)
    // The same choice everywhere, also if nodes see different data, which is found out below.
    let staysInFiles = source is DatasetDirectory && plan.byteCount > limit
    if try world.allReduce(Int64(staysInFiles ? 1 : 0), .max) == 1 {
      let directory = try world.together { try requireDirectory(source ?? open(), plan) }
      memory = try SharedMemory(node, byteCount: directory.indexByteCount)
      releases.add(memory.free)
      let index = UnsafeMutableRawBufferPointer(start: memory.base, count: directory.indexByteCount)
      try world.together { if node.rank == 0 { try directory.loadIndex(into: index) } }
      statistics = node.rank == 0 ? directory.survey() : nil
      transitions = directory.transitions(index: memory.base)
      place =
        "data (\(decimals(Double(plan.byteCount) / 1e9, 2)) GB) stay in their files and are read as they are needed"
    } else {
      memory = try SharedMemory(node, byteCount: plan.byteCount)
      releases.add(memory.free)
      let block = UnsafeMutableRawBufferPointer(start: memory.base, count: plan.byteCount)
      statistics = try world.together { try source?.load(into: block) }
      transitions = TransitionMemory(plan: plan, base: memory.base)
      place = "data \(decimals(Double(plan.byteCount / node.size) / 1e6, 1)) MB per rank"
    }
    try memory.synchronise()
    let spread = statistics?.reward
    var rewards = SIMD2(spread?.minimum ?? 0, spread?.maximum ?? 0)
    try node.broadcast(&rewards, count: MemoryLayout.size(ofValue: rewards))
    spec = DataSpec(
      observation: plan.observation, actionSize: plan.actionSize, rewards: rewards.x...rewards.y)
    digest = String(decoding: try node.broadcast(Array((statistics?.digest ?? "").utf8)), as: UTF8.self)
    try world.requireAgreement(
      on: "the dataset", UInt64(digest, radix: 16) ?? 0, advice: "give all nodes the same data")
  }
}

private func requireDirectory(_ source: any DatasetSource, _ plan: DatasetPlan) throws -> DatasetDirectory {
  guard let directory = source as? DatasetDirectory, directory.plan == plan else {
    throw Failure(.configuration, "\(source.path): the ranks see different data under this name")
  }
  return directory
}
