import Basics
import Foundation
import Kernels
import Randomness

/// Plays episodes of a Gymnasium environment in Python workers: separate processes with several environments
/// each.
///
/// Workers are started when they are first needed. After a failure all workers are ended, and the next use
/// starts new ones.
public final class GymnasiumEnvironment: VectorEnvironment {
  /// How to run workers.
  public struct Options: Sendable {
    /// The Python interpreter.
    public var python: String
    /// The number of worker processes.
    public var workers: Int
    /// The longest time that a worker may take to answer.
    public var timeout: Duration
    /// The path for a video of the first episode; nil for no video.
    public var video: String?

    /// Makes options with the given values.
    public init(python: String, workers: Int, timeout: Duration, video: String? = nil) {
      self.python = python
      self.workers = workers
      self.timeout = timeout
      self.video = video
    }
  }

  /// The least number of environments that are played at once, even with fewer workers: policies act faster
  /// in batches, and results have the same bits for 1, 2 and 4 workers.
  private static let batch = 4

  public let capacity: Int
  private let task: GymnasiumTask
  private let options: Options
  private let seed: UInt32
  private let isCancelled: () -> Bool
  private var description: EnvironmentDescription?
  /// The workers. Slot s is environment ⌊s / workers⌋ of worker s mod workers.
  private var workers: [WorkerProcess] = []

  /// Makes an environment whose slots are a multiple of the number of workers, at least 4, but no more than
  /// `episodes`. No worker is started yet.
  ///
  /// - Parameters:
  ///   - seed: determines all episodes.
  ///   - episodes: the number of episodes that will be played.
  ///   - isCancelled: polled while waiting for workers; true ends the wait with a failure.
  public init(
    _ task: GymnasiumTask, _ options: Options, seed: UInt32, episodes: Int,
    isCancelled: @escaping () -> Bool = { false }
  ) {
    self.task = task
    self.seed = seed
    self.isCancelled = isCancelled
    let each = (Self.batch + options.workers - 1) / options.workers
    capacity = min(episodes, each * options.workers)
    self.options = options
  }

  deinit { stop() }

  public func describe() throws -> EnvironmentDescription {
    if workers.isEmpty { try launch(1) }
    return description!
  }

  public func start(_ episodes: [Int], in slots: [Int], _ place: ObservationPlace) throws {
    try launch(min(options.workers, capacity))
    try exchange(.reset, slots, length: description!.observation.byteCount) { rows in
      rows.flatMap { row in
        var random = RandomSequence(seed: seed, stream: .reset, index: UInt64(episodes[row]))
        return WorkerFrame.bytes(environment(of: slots[row])) + WorkerFrame.bytes(random.word() >> 1)
      }
    } unpack: { rows, bytes in
      try unpack(bytes, rows, place)
    }
  }

  public func step(
    _ slots: [Int], _ actions: Matrix<Float>, _ place: ObservationPlace
  ) throws -> [StepOutcome] {
    let size = try describe().observation.byteCount
    var outcomes = [StepOutcome?](repeating: nil, count: slots.count)
    try exchange(.step, slots, length: size + 8 + 1) { rows in
      rows.flatMap { WorkerFrame.bytes(environment(of: slots[$0])) }
        + rows.flatMap { row in
          (0..<actions.columns).flatMap { WorkerFrame.bytes(actions[row, $0].bitPattern) }
        }
    } unpack: { rows, bytes in
      try unpack(bytes, rows, place)
      let rewards = rows.count * size
      for (i, row) in rows.enumerated() {
        let reward = Double(bitPattern: WorkerFrame.word(bytes, at: rewards + 8 * i))
        guard reward.isFinite else { throw WorkerFailure("gave a reward that is not finite") }
        outcomes[row] = StepOutcome(reward: reward, flags: bytes[rewards + 8 * rows.count + i])
      }
    }
    return outcomes.map { $0! }
  }

  public func stop() {
    // All at once, so that they close their environments at the same time.
    for worker in workers { worker.endInput() }
    for worker in workers { worker.stop() }
    workers = []
  }

  // MARK: Workers

  /// The payload of a request to open environments.
  private struct Opening: Encodable {
    let source, name: String
    let environments: Int
    let video, arguments, wrapper: String?
    let limit: Int?
    let takesOwnUnits, scored: Bool

    enum CodingKeys: String, CodingKey {
      case source, name, environments, video, arguments, wrapper, limit, scored
      case takesOwnUnits = "own_units"
    }
  }

  /// The payload of the answer to ``Opening``.
  private struct Opened: Decodable {
    let observationShape: [Int]
    let actionSize: Int
    let observationOrder: [String]?
    let referenceReturns: [Double]?
    let actionBounds: [[Double?]]
  }

  /// Starts workers until there are `count`. All start at once, because making an environment takes seconds.
  private func launch(_ count: Int) throws {
    let fresh = workers.count..<max(count, workers.count)
    for i in fresh {
      workers.append(WorkerProcess(timeout: options.timeout, isCancelled: isCancelled))
      let opening = Opening(
        source: task.source.rawValue, name: task.name,
        environments: (capacity + options.workers - 1) / options.workers,
        video: i == 0 ? options.video : nil, arguments: task.arguments, wrapper: task.wrapper,
        limit: task.limit, takesOwnUnits: task.takesOwnUnits, scored: task.hasGivenReferences)
      try with(i) { worker in
        try worker.start(python: options.python, PackageResources.worker_py)
        // Strings and numbers can always be encoded.
        worker.send(.open, [UInt8](try! JSONEncoder().encode(opening)))
      }
    }
    for i in fresh {
      let bytes = try with(i) { worker in try worker.receive(.open) }
      try with(i) { _ in description = try described(bytes) }
    }
  }

  /// Decodes a worker's description of its environments, which must be the same for all workers.
  private func described(_ bytes: [UInt8]) throws -> EnvironmentDescription {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard bytes.count < 1 << 20, let opened = try? decoder.decode(Opened.self, from: Data(bytes)),
      let observation = ObservationSpace(shape: opened.observationShape),
      (1...100_000).contains(opened.actionSize), opened.actionBounds.count == opened.actionSize
    else { throw WorkerFailure("does not describe its environment: '\(WorkerFrame.shown(bytes))'") }
    let returns = opened.referenceReturns
    guard returns.map({ $0.count == 2 && $0.allSatisfy(\.isFinite) && $0[0] != $0[1] }) ?? true else {
      throw WorkerFailure("gives reference returns that define no score: '\(WorkerFrame.shown(bytes))'")
    }
    let new = EnvironmentDescription(
      observation: observation, actionSize: opened.actionSize, referenceReturns: returns,
      observationOrder: opened.observationOrder,
      actionBounds: opened.actionBounds.map(bounds))
    guard description ?? new == new else { throw WorkerFailure("opened another environment than before") }
    return new
  }

  /// The bounds of a number of an action; nil if it has none.
  private func bounds(_ pair: [Double?]) -> ClosedRange<Float>? {
    guard pair.count == 2, let low = pair[0], let high = pair[1], Float(low).isFinite, Float(high).isFinite,
      low <= high
    else { return nil }
    return Float(low)...Float(high)
  }

  /// Runs `body` with worker `index`. On failure, ends all workers and throws a `WorkerFailure` with the
  /// worker's index and the last lines that it wrote.
  private func with<Result>(
    _ index: Int, _ body: (WorkerProcess) throws -> Result
  ) throws -> Result {
    do {
      return try body(workers[index])
    } catch {
      let lines = workers[index].lastLines
      stop()
      let last = lines.isEmpty ? "" : "; its last lines: " + lines.joined(separator: " | ")
      throw WorkerFailure("worker \(index) (\(options.python)) \(error)\(last)")
    }
  }

  // MARK: Exchange

  private func environment(of slot: Int) -> UInt32 { UInt32(slot / workers.count) }

  /// Sends requests to all workers that play any of `slots`, then receives their answers in turn, so that the
  /// workers compute at the same time.
  ///
  /// - Parameters:
  ///   - length: the bytes of an answer for each slot.
  ///   - pack: makes the payload, without the number of rows, for the given indices of `slots`.
  ///   - unpack: reads the answer for the given indices of `slots`.
  private func exchange(
    _ kind: WorkerFrame.Kind, _ slots: [Int], length: Int, pack: ([Int]) -> [UInt8],
    unpack: ([Int], [UInt8]) throws -> Void
  ) throws {
    let rows = Dictionary(grouping: slots.indices) { slots[$0] % workers.count }.sorted { $0.key < $1.key }
    for (index, rows) in rows {
      workers[index].send(kind, WorkerFrame.bytes(UInt32(rows.count)) + pack(rows))
    }
    for (index, rows) in rows {
      try with(index) { worker in
        try unpack(rows, worker.receive(kind, length: rows.count * length))
      }
    }
  }

  /// Copies the observations at the beginning of an answer to the places of the given rows.
  private func unpack(_ bytes: [UInt8], _ rows: [Int], _ place: ObservationPlace) throws {
    let space = description!.observation
    for (i, row) in rows.enumerated() {
      bytes.withUnsafeBytes { bytes in
        place(row).copyMemory(from: bytes.baseAddress! + i * space.byteCount, byteCount: space.byteCount)
      }
      guard case .vector(let size) = space else { continue }
      let values = UnsafeBufferPointer(start: place(row).assumingMemoryBound(to: Float.self), count: size)
      guard values.allSatisfy(\.isFinite) else {
        throw WorkerFailure("gave an observation that is not finite")
      }
    }
  }
}

extension StepOutcome {
  /// Makes an outcome from the flags that a worker sends; `worker.py` lists them.
  fileprivate init(reward: Double, flags: UInt8) {
    self.init(
      reward: reward, terminated: flags & 1 != 0, truncated: flags & 2 != 0,
      success: flags & 4 != 0 ? flags & 8 != 0 : nil, isUnclear: flags & 16 != 0)
  }
}
