import Agents
import Basics
import Datasets
import MPI
import TestSupport
import TrainingData

private let batchSize = 24
private let parts = 10
private let updates = [0, 1, 2, 77, 1 << 33]
private let draws = [Draw("noise", .normal, width: 3), Draw("shared", .uniform, width: 2, sharedRows: 4)]

/// What a rank loads of batches, on any number of ranks.
let samplerChecks: [(name: String, body: @Sendable (Communicator) throws -> Void)] = [
  ("all ranks' rows together are the batch", checkRanks),
  ("rows hold a transition of the data", checkTransitions),
  ("a batch depends on its update, not on those before", checkOrder),
  ("other updates and seeds give other batches", checkDifferences),
  ("data in files give the same batches", checkFiles),
  ("shared draws are the same on all ranks", checkSharedDraws),
  ("more ranks than parts are refused", checkTooManyRanks),
  ("collected transitions take the oldest places", checkPlaces),
  ("a buffer without collected transitions gives the dataset's batches", checkEmptyBuffer),
  ("a grown buffer gives the same batch on any number of ranks", checkGrownBuffer),
  ("a share of each batch is the dataset's", checkShare),
]

/// A small dataset in memory and in files: row r has the observation (r, −r), the action r / 200, the reward 2 r and
/// the mask r mod 2. Its episodes have 40, 30 and 31 rows.
private final class Data {
  let memory: TransitionMemory
  let files: TransitionFiles
  private let folder = TemporaryDirectory()
  private let block: UnsafeMutableRawBufferPointer
  private let index: UnsafeMutableRawBufferPointer

  init() throws {
    let rows = RowBlock(capacity: 101, observation: .vector(2), actionSize: 1)
    rows.rows = 101
    for r in 0..<101 {
      (rows.observations[2 * r], rows.observations[2 * r + 1]) = (Float(r), -Float(r))
      rows.actions[r] = Float(r) / 200
      (rows.rewards[r], rows.masks[r]) = (Float(2 * r), Float(r % 2))
      rows.terminals[r] = [39, 69, 100].contains(r) ? 1 : 0
    }
    let writer = try DatasetWriter(
      directory: folder.path, observation: .vector(2), actionSize: 1, source: "checks", bounds: .clip)
    try writer.append(rows)
    _ = try writer.finish(provenance: [:])
    let directory = try DatasetDirectory(path: folder.path)
    block = .allocate(byteCount: directory.plan.byteCount, alignment: 64)
    _ = try directory.load(into: block)
    memory = TransitionMemory(plan: directory.plan, base: UnsafeRawPointer(block.baseAddress!))
    index = .allocate(byteCount: directory.indexByteCount, alignment: 64)
    try directory.loadIndex(into: index)
    files = directory.transitions(index: UnsafeRawPointer(index.baseAddress!))
  }

  deinit {
    block.deallocate()
    index.deallocate()
  }
}

/// A rank's sampler, and what it has loaded as lists of numbers.
private struct Rows {
  private let sampler: BatchSampler

  init(
    _ source: any TransitionSource, _ world: Communicator, seed: UInt32 = 5, parts: Int = parts
  ) throws {
    let spec = DataSpec(observationSize: 2, actionSize: 1, rewards: 0...200)
    sampler = try BatchSampler(
      source, spec, draws: draws, batchSize: batchSize, virtualShards: parts, seed: seed, world: world)
  }

  /// The rows of an update: both observations, both actions, reward, mask and noise.
  func load(_ step: Int) throws -> [[Float]] {
    try sampler.load(step: step)
    let batch = sampler.batch
    try expect(batch.globalRows == batchSize, "\(batch.globalRows) rows over all ranks")
    return (0..<batch.rows).map { r in
      [
        batch.observations.vectors[r, 0], batch.observations.vectors[r, 1],
        batch.nextObservations.vectors[r, 0],
        batch.nextObservations.vectors[r, 1], batch.actions[r, 0], batch.nextActions[r, 0], batch.rewards[r],
        batch.masks[r],
      ] + (0..<3).map { batch.noise[0][r, $0] }
    }
  }

  /// The shared draw of the last update.
  var shared: [Float] { (0..<8).map { sampler.batch.noise[1][$0 / 2, $0 % 2] } }
}

/// A communicator of this rank alone.
private func alone(_ world: Communicator) throws -> Communicator { try world.split(colour: world.rank) }

private func checkRanks(_ world: Communicator) throws {
  let data = try Data()
  let (whole, own) = (try Rows(data.memory, alone(world)), try Rows(data.memory, world))
  for step in updates {
    let (batch, rows) = (try whole.load(step), try own.load(step))
    try expect(batch.count == batchSize, "update \(step): \(batch.count) rows on one rank")
    // Rows are told apart by their noise.
    var owners = batch.map { row in Int64(rows.count { $0 == row }) }
    try expect(owners.reduce(0, +) == rows.count, "update \(step): rows that are not in the batch")
    try world.allReduce(&owners, count: owners.count)
    try expect(owners.allSatisfy { $0 == 1 }, "update \(step): ranks with each row: \(owners)")
  }
}

private func checkTransitions(_ world: Communicator) throws {
  let data = try Data()
  let own = try Rows(data.memory, world)
  for step in updates {
    for row in try own.load(step) {
      let r = row[0]
      let expected = [
        r, -r, r + 1, -r - 1, r / 200, (r + 1) / 200, 2 * r, r.truncatingRemainder(dividingBy: 2),
      ]
      try expect(Array(row.prefix(8)) == expected, "update \(step): \(row)")
      try expect(![39, 69, 100].contains(r), "update \(step): the last row of an episode")
    }
  }
}

private func checkOrder(_ world: Communicator) throws {
  let data = try Data()
  let (long, fresh) = (try Rows(data.memory, world), try Rows(data.memory, world))
  for step in 0..<9 { _ = try long.load(step) }
  try expect(try long.load(9) == fresh.load(9), "the batch depends on what was loaded before")
  _ = try long.load(3)
  try expect(try long.load(9) == fresh.load(9), "the batch changes after an earlier one")
}

private func checkDifferences(_ world: Communicator) throws {
  let data = try Data()
  let (own, other) = (try Rows(data.memory, world), try Rows(data.memory, world, seed: 6))
  let rows = try own.load(7)
  for (name, others) in [("seed", try other.load(7)), ("update", try own.load(8))] {
    // Transitions are few, so some are drawn again, but noise is not.
    try expect(Set(rows.map { $0.suffix(3) }).isDisjoint(with: others.map { $0.suffix(3) }), "\(name): noise")
    try expect(rows.map { $0[0] } != others.map { $0[0] }, "\(name): transitions")
  }
}

/// Loading from files asks the system for the next update's rows, which must not change this one's.
private func checkFiles(_ world: Communicator) throws {
  let data = try Data()
  let (memory, files) = (try Rows(data.memory, world), try Rows(data.files, world))
  for step in updates + [3, 4, 5] {
    try expect(try memory.load(step) == files.load(step), "update \(step)")
  }
}

private func checkSharedDraws(_ world: Communicator) throws {
  let data = try Data()
  let (whole, own) = (try Rows(data.memory, alone(world)), try Rows(data.memory, world))
  var last: [Float] = []
  for step in updates {
    _ = (try whole.load(step), try own.load(step))
    try expect(whole.shared == own.shared, "update \(step): \(own.shared)")
    try expect(own.shared != last, "update \(step): the same as before")
    last = own.shared
  }
}

private func checkTooManyRanks(_ world: Communicator) throws {
  let data = try Data()
  _ = try Rows(data.memory, world, parts: world.size)
  guard world.size > 1 else { return }
  do {
    _ = try Rows(data.memory, world, parts: world.size - 1)
  } catch let failure as Failure {
    try expect(failure.code == .usage && failure.message.contains("--virtual-shards"), failure.message)
    return
  }
  throw Problem(description: "accepted")
}

// MARK: - Images

/// A dataset of images of 5 × 4 pixels in episodes of 40, 30 and 31 rows, each with other bytes.
private final class Images {
  static let space = ObservationSpace.image(height: 5, width: 4, channels: 3)
  private let block: UnsafeMutableRawBufferPointer
  private let plan: DatasetPlan

  init() throws {
    let folder = TemporaryDirectory()
    let rows = RowBlock(capacity: 101, observation: Self.space, actionSize: 1)
    rows.rows = 101
    for r in 0..<101 {
      for i in 0..<Self.space.count { rows.images[r * Self.space.count + i] = UInt8((r * 7 + i * 4) % 256) }
      rows.actions[r] = Float(r) / 200
      rows.terminals[r] = [39, 69, 100].contains(r) ? 1 : 0
    }
    let writer = try DatasetWriter(
      directory: folder.path, observation: Self.space, actionSize: 1, source: "checks", bounds: .clip)
    try writer.append(rows)
    _ = try writer.finish(provenance: [:])
    let directory = try DatasetDirectory(path: folder.path)
    plan = directory.plan
    block = .allocate(byteCount: plan.byteCount, alignment: 64)
    _ = try directory.load(into: block)
  }

  deinit { block.deallocate() }

  func transitions(frames: Int) -> TransitionMemory {
    TransitionMemory(plan: plan, base: UnsafeRawPointer(block.baseAddress!), frames: frames)
  }
}

/// A rank's sampler of images.
private struct ImageRows {
  /// What a row of a batch holds.
  struct Row: Equatable {
    let action: Float
    let observation, next: [UInt8]
  }

  private let sampler: BatchSampler

  init(_ source: TransitionMemory, _ world: Communicator, moving: Double, seed: UInt32 = 5) throws {
    let spec = DataSpec(observation: source.observation, actionSize: 1, rewards: 0...0)
    sampler = try BatchSampler(
      source, spec, draws: [], batchSize: batchSize, virtualShards: parts, moving: moving, seed: seed,
      world: world)
  }

  func load(_ step: Int) throws -> [Row] {
    try sampler.load(step: step)
    let batch = sampler.batch
    func bytes(_ observations: Observations<Float>, _ row: Int) -> [UInt8] {
      Array(UnsafeRawBufferPointer(start: observations.row(row), count: observations.space.count))
    }
    return (0..<batch.rows).map {
      Row(
        action: batch.actions[$0, 0], observation: bytes(batch.observations, $0),
        next: bytes(batch.nextObservations, $0))
    }
  }
}

/// An image of some channels whose pixels come from so far away, or from the nearest edge.
private func moved(_ image: [UInt8], _ down: Int, _ right: Int, channels: Int) -> [UInt8] {
  (0..<5).flatMap { y in
    (0..<4).flatMap { x in
      let first = (min(max(y + down, 0), 4) * 4 + min(max(x + right, 0), 3)) * channels
      return image[first..<first + channels]
    }
  }
}

let imageChecks: [(name: String, body: @Sendable (Communicator) throws -> Void)] = [
  ("images of a batch are the same on any number of ranks", checkImageRanks),
  ("a sample's images move together, by up to three pixels", checkMoves),
  ("about half of the batches move, all of them or none", checkCoins),
  ("vectors do not move", checkVectorsDoNotMove),
]

private func checkImageRanks(_ world: Communicator) throws {
  let images = try Images()
  let data = images.transitions(frames: 3)
  let (whole, own) = (
    try ImageRows(data, alone(world), moving: 0.5), try ImageRows(data, world, moving: 0.5)
  )
  defer { withExtendedLifetime(images) {} }
  for step in updates {
    let (batch, rows) = (try whole.load(step), try own.load(step))
    try expect(rows.allSatisfy(batch.contains), "update \(step): rows that are not in the batch")
    let count = try world.allReduce(Int64(rows.count), .sum)
    try expect(count == batchSize, "update \(step): \(count) rows")
  }
}

private func checkMoves(_ world: Communicator) throws {
  let images = try Images()
  let data = images.transitions(frames: 2)
  defer { withExtendedLifetime(images) {} }
  let (still, own) = (try ImageRows(data, world, moving: 0), try ImageRows(data, world, moving: 1))
  var seen = Set<[Int]>()
  for step in 0..<60 {
    for (before, after) in zip(try still.load(step), try own.load(step)) {
      let offsets = (-3...3).flatMap { down in (-3...3).map { [down, $0] } }.filter { offset in
        moved(before.observation, offset[0], offset[1], channels: 6) == after.observation
          && moved(before.next, offset[0], offset[1], channels: 6) == after.next
      }
      try expect(!offsets.isEmpty && before.action == after.action, "update \(step): \(after)")
      if offsets.count == 1 { seen.insert(offsets[0]) }
    }
  }
  try expect(seen.contains([0, 0]) && seen.count > 20, "\(seen.count) ways to move: \(seen)")
}

private func checkCoins(_ world: Communicator) throws {
  let images = try Images()
  let data = images.transitions(frames: 1)
  defer { withExtendedLifetime(images) {} }
  let (still, own) = (
    try ImageRows(data, alone(world), moving: 0), try ImageRows(data, alone(world), moving: 0.5)
  )
  var moving = 0
  for step in 0..<200 {
    let (before, after) = (try still.load(step), try own.load(step))
    let changed = zip(before, after).count { $0 != $1 }
    try expect(changed == 0 || changed > batchSize / 2, "update \(step): \(changed) samples moved")
    moving += changed > 0 ? 1 : 0
  }
  try expect((70...130).contains(moving), "\(moving) of 200 batches moved")
}

private func checkVectorsDoNotMove(_ world: Communicator) throws {
  let data = try Data()
  let spec = DataSpec(observationSize: 2, actionSize: 1, rewards: 0...200)
  let sampler = Result {
    try BatchSampler(
      data.memory, spec, draws: [], batchSize: batchSize, virtualShards: parts, moving: 0.5, seed: 5,
      world: world)
  }
  guard case .failure(let error) = sampler, let failure = error as? Failure else {
    throw Problem(description: "accepted")
  }
  try expect(failure.code == .usage && failure.message.contains("--p-aug"), failure.message)
}

// MARK: - Replay buffers

/// A buffer over the small dataset, in ordinary memory. Collected transition a has the state (1000 + a, 0), the action
/// a / 1000, the next state (2000 + a, 0), the reward 3000 + a and the mask 0.5.
private final class Buffer {
  let data: Data
  let buffer: ReplayBuffer
  private let memory: UnsafeMutableRawPointer

  init(size: Int, mostCollected: Int, environments: Int = 1, inFiles: Bool = false, share: Double? = nil)
    throws
  {
    data = try Data()
    let source: any TransitionSource = inFiles ? data.files : data.memory
    let plan = ReplayPlan(
      dataset: source.transitionCount, size: size, keepsDataset: share != nil, mostCollected: mostCollected,
      environments: environments, observationSize: 2, actionSize: 1)
    memory = allocateZeroed(byteCount: plan.byteCount)
    buffer = ReplayBuffer(source, plan, memory: memory, offlineRatio: share)
  }

  deinit { memory.deallocate() }

  func collect(_ count: Int) {
    for _ in 0..<count {
      let a = Float(buffer.collected)
      buffer.append([1000 + a, 0, a / 1000, 2000 + a, 0, 3000 + a, 0.5, 0], count: 1, writes: true)
    }
  }

  /// What a place holds: state, action, next state, next action, reward and mask.
  func place(_ number: Int) throws -> [Float] {
    var (s, a, r, m, next, nextAction) = (
      [Float](repeating: 0, count: 2), Float(0), Float(0), Float(0), [Float](repeating: 0, count: 2), Float(0)
    )
    try buffer.gather(
      number, observation: &s, action: &a, reward: &r, mask: &m, nextObservation: &next,
      nextAction: &nextAction)
    return [s[0], a, next[0], nextAction, r, m]
  }
}

/// The published ring: an array of the dataset's transitions, which each collected one is appended to or, once it is
/// full, overwrites from its beginning on.
private func checkPlaces(_ world: Communicator) throws {
  for (size, mostCollected, environments, inFiles) in [
    (100, 250, 1, false), (100, 500, 3, true), (50, 250, 1, false), (1000, 250, 2, false),
  ] {
    let subject = try Buffer(
      size: size, mostCollected: mostCollected, environments: environments, inFiles: inFiles)
    let capacity = max(size, 99)
    var ring = try (0..<98).map { try subject.place($0) }
    for a in 0..<250 {
      subject.collect(1)
      let taken: [Float] = [1000 + Float(a), Float(a) / 1000, 2000 + Float(a), 0, 3000 + Float(a), 0.5]
      if ring.count < capacity { ring.append(taken) } else { ring[(98 + a) % capacity] = taken }
      try expect(subject.buffer.transitionCount == ring.count, "\(subject.buffer.transitionCount) places")
    }
    for (place, expected) in ring.enumerated() {
      var expected = expected
      if expected[4] >= 3000 {
        let next = Int(expected[4]) - 3000 + environments
        expected[3] = Float(next < 250 ? next : next - environments) / 1000
      }
      let held = try subject.place(place)
      try expect(held == expected, "place \(place) of \(capacity): \(held)")
    }
  }
}

private func checkEmptyBuffer(_ world: Communicator) throws {
  let subject = try Buffer(size: 500, mostCollected: 100)
  let (dataset, buffer) = (try Rows(subject.data.memory, world), try Rows(subject.buffer, world))
  for step in updates { try expect(try dataset.load(step) == buffer.load(step), "update \(step)") }
}

private func checkGrownBuffer(_ world: Communicator) throws {
  let subject = try Buffer(size: 120, mostCollected: 300, inFiles: true)
  let (whole, own) = (try Rows(subject.buffer, alone(world)), try Rows(subject.buffer, world))
  var drawn: Set<Float> = []
  for step in 0..<60 {
    subject.collect(1)
    let (batch, rows) = (try whole.load(step), try own.load(step))
    var owners = batch.map { row in Int64(rows.count { $0 == row }) }
    try expect(owners.reduce(0, +) == rows.count, "update \(step): rows that are not in the batch")
    try world.allReduce(&owners, count: owners.count)
    try expect(owners.allSatisfy { $0 == 1 }, "update \(step): ranks with each row: \(owners)")
    drawn.formUnion(batch.map { $0[0] }.filter { $0 >= 1000 })
  }
  try expect(
    drawn.contains(1059) || drawn.count > 30, "collected transitions that were drawn: \(drawn.sorted())")
}

private func checkShare(_ world: Communicator) throws {
  let subject = try Buffer(size: 40, mostCollected: 300, share: 0.25)
  let whole = try Rows(subject.buffer, alone(world))
  var places: Set<Float> = []
  for step in 0..<300 {
    subject.collect(1)
    let states = try whole.load(step).map { $0[0] }
    try expect(states.count { $0 < 1000 } == batchSize / 4, "update \(step): \(states)")
    // What is collected overwrites itself alone.
    let oldest = Float(1000 + max(0, step + 1 - 40))
    try expect(states.allSatisfy { $0 < 1000 || $0 >= oldest }, "update \(step): \(states.sorted())")
    places.formUnion(states.filter { $0 < 1000 })
  }
  try expect(places.count == 98, "\(places.count) transitions of the dataset were drawn")
}
