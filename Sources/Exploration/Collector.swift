import Agents
import Basics
import Checkpoints
import Environments
import MPI
import Settings
import TrainingData

/// Collects what the online phase of a run learns from. The first rank acts and steps; all ranks receive the transitions
/// and append them to their node's buffer, in the same order and before a batch can hold them. Every method is called by
/// all ranks, unless it says otherwise.
///
///     rank 0       acts at the present parameters and steps the environments
///     == all ====  broadcast of the transitions
///     each node    its first rank writes them into the node's memory
///     == node ===  barrier: they are there
public final class Collector {
  /// How collecting ended.
  public enum Outcome {
    /// All that the next update needs is there.
    case done
    /// Somebody asked to stop while the environment was waited for.
    case stopped
    /// The environment failed twice without an episode between.
    case failed(Failure)
  }

  /// What the first rank sends in front of the transitions.
  private enum Status: Float { case done, again, stopped, failed }

  /// Seconds that this rank has spent acting, stepping, and waiting for that.
  public private(set) var seconds = 0.0

  private let online: OnlineSettings
  private let replay: SharedReplayBuffer
  private let world: Communicator
  /// On rank 0.
  private let explorer: Explorer?
  private let isStopped: () -> Bool
  private let warn: (String) -> Void
  /// The status and the transitions of a round.
  private let frame: UnsafeMutablePointer<Float>
  private let frameCount: Int
  private var isOpen = false
  private var opening: Result<Void, any Error> = .success(())
  private var problem = ""
  private var beginning: Result<Void, any Error> = .success(())

  /// A collector for a run, whose environment is looked at and not used yet.
  ///
  /// - Parameters:
  ///   - data: names the data that the environment must fit.
  ///   - rewards: what makes the environment's rewards like the data's.
  ///   - isStopped: asked on the first rank while the environment is waited for.
  ///   - warn: is told on the first rank of environments that fail.
  /// - Throws: `Failure` on all ranks when the environment cannot be used, or does not fit the data.
  public init(
    _ configuration: Configuration, _ task: NamedTask, _ workers: WorkerOptions, _ spec: DataSpec,
    data: String?, _ replay: SharedReplayBuffer, rewards: DataScales.Rewards, cores: SpareCores,
    world: Communicator,
    isStopped: @escaping () -> Bool, warn: @escaping (String) -> Void
  ) throws {
    let (online, plan) = (configuration.online, replay.buffer.plan)
    (self.online, self.replay, self.world, self.isStopped, self.warn) = (
      online, replay, world, isStopped, warn
    )
    frameCount = 1 + online.onlineEnvironments * plan.rowWidth
    frame = .allocate(capacity: frameCount)
    frame.initialize(repeating: 0, count: frameCount)
    explorer = try world.together {
      guard world.rank == 0 else { return nil }
      var options = workers.forEnvironment(freeCores: cores.count)
      options.workers = online.onlineEnvironments
      // The other ranks wait meanwhile, and must not take that for the end of this one.
      options.timeout = .seconds(min(workers.evalTimeout, configuration.stallTimeout / 2))
      let environment = task.environment(
        seed: Explorer.seed(of: configuration), episodes: online.onlineEnvironments, frames: 1,
        scales: spec.scales, workers: options,
        isCancelled: isStopped)
      return try Explorer(environment, configuration, spec, rewards: rewards, cores: cores)
    }
    try world.workTogether { [explorer] in
      do { try explorer?.requireFit(spec, task: configuration.env, data: data) } catch let failure as Failure
      {
        throw failure
      } catch {
        // Whoever was asked to stop has not seen the environment fail. The run ends with its first update.
        guard !isStopped() else { return }
        throw Failure(
          .unavailable,
          "\(configuration.env) cannot be stepped; repair that, or train with --online-steps 0: \(error)")
      }
    }
  }

  deinit { frame.deallocate() }

  // MARK: Collecting

  private var rounds: Int { replay.buffer.collected / online.onlineEnvironments }

  /// Collects what an update of the online phase, counted from 0, needs.
  public func collect(before update: Int, _ parameters: UnsafePointer<Float>) throws -> Outcome {
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start).seconds }
    // Also where no round is needed now: the next one may be stepped beside this update.
    if !isOpen { try open() }
    let needed = online.rounds(before: update)
    while rounds < needed {
      if !isOpen { try open() }
      if let explorer {
        // A single round is short, and the update after it asks all ranks.
        let stops = needed - rounds > 1 && isStopped()
        frame[0] = (stops ? .stopped : round(explorer, parameters)).rawValue
      }
      switch try deliver() {
      case .done, .again: continue
      case .stopped: return .stopped
      case .failed:
        let text = String(decoding: try world.broadcast(Array(problem.utf8)), as: UTF8.self)
        return .failed(Failure(.unavailable, text))
      }
    }
    return .done
  }

  /// Starts the environments, on rank 0. What fails there belongs to the next round.
  private func open() throws {
    try world.workTogether { opening = Result { try explorer?.open() } }
    let isReady: UInt8 = if case .success = opening { 1 } else { 0 }
    isOpen = try world.broadcast([isReady])[0] == 1
  }

  private func round(_ explorer: Explorer, _ parameters: UnsafePointer<Float>) -> Status {
    attempt {
      try opening.get()
      try explorer.act(parameters)
      try explorer.step()
    }
  }

  /// Begins to step beside an update, if the round after it may begin already. `endAhead` ends that.
  public func beginAhead(of update: Int, _ parameters: UnsafePointer<Float>) {
    guard isAhead(of: update), isOpen, let explorer else { return }
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start).seconds }
    beginning = Result { try explorer.act(parameters) }
    if case .success = beginning { explorer.beginStep() }
  }

  /// Waits for what `beginAhead` has begun and appends it. An environment that failed is tried again when the next update
  /// needs it.
  public func endAhead(of update: Int) throws {
    guard isAhead(of: update), isOpen else { return }
    let start = ContinuousClock.now
    defer { seconds += (ContinuousClock.now - start).seconds }
    if let explorer {
      frame[0] =
        attempt {
          try beginning.get()
          try explorer.endStep()
        }.rawValue
    }
    _ = try deliver()
  }

  /// Whether an update is the last one of its round, and the next round is stepped beside it.
  private func isAhead(of update: Int) -> Bool {
    online.stepsAhead && rounds < online.rounds(before: update + 1)
  }

  /// What the first rank tells the others about a round.
  private func attempt(_ body: () throws -> Void) -> Status {
    guard let explorer else { return .done }
    do {
      try body()
      explorer.conclude(into: frame + 1)
      return .done
    } catch {
      // The episodes stay in what is saved: the run that continues says that they cannot go on.
      if isStopped() { return .stopped }
      let mayRepeat = explorer.hasEndedEpisode
      explorer.abandon()
      guard mayRepeat else {
        problem = "\(error)"
        return .failed
      }
      warn("the environment failed; it is started again and begins a new episode: \(error)")
      return .again
    }
  }

  /// Gives all ranks the round of the first.
  private func deliver() throws -> Status {
    try world.broadcast(frame, count: frameCount * MemoryLayout<Float>.stride)
    guard let status = Status(rawValue: frame[0]) else { preconditionFailure("no status") }
    isOpen = status == .done
    guard status == .done else { return status }
    try replay.append(frame + 1, count: online.onlineEnvironments)
    // All ranks have taken part: many steps before the first update may take long.
    world.whenAllRun?()
    return status
  }

  // MARK: Figures

  /// Names of the figures of episodes that have ended.
  public static let figureNames = ["exploration/return", "exploration/length", "exploration/success"]

  /// The means over the episodes that have ended since the last call, on the first rank; nil where there are none, or
  /// where the environment does not say whether they are solved.
  public func takeFigures() -> [Double?] {
    guard let explorer, explorer.ended.episodes > 0 else { return Self.figureNames.map { _ in nil } }
    let ended = explorer.ended
    explorer.ended = OnlineState.Ended()
    let count = Double(ended.episodes)
    return [
      ended.total / count, Double(ended.length) / count,
      ended.told > 0 ? Double(ended.successes) / count : nil,
    ]
  }

  // MARK: Saving

  /// The state of the online phase, on the first rank alone.
  public var state: OnlineState? { explorer?.state(collected: replay.buffer.collected) }

  /// Goes on from the state and the transitions of a checkpoint, which the first rank has.
  ///
  /// - Parameters:
  ///   - state: nil on the other ranks.
  ///   - read: gives the transitions of a file, on the first rank.
  ///   - say: is told on the first rank what cannot go on.
  public func restore(
    _ state: OnlineState?, read: (CollectedFile.Entry, _ width: Int) throws -> [Float], say: (String) -> Void
  ) throws {
    let width = replay.buffer.plan.rowWidth
    var files = Int64(state?.files.count ?? 0)
    try world.broadcast(&files, count: 8)
    for index in 0..<Int(files) {
      let entry = state?.files[index]
      let rows = try world.workTogether { try entry.map { try read($0, width) } ?? [] }
      var place = SIMD2(Int64(entry?.first ?? 0), Int64(entry?.count ?? 0))
      try world.broadcast(&place, count: 16)
      replay.buffer.skip(to: Int(place.x))
      try append(rows, count: Int(place.y), width)
    }
    guard let state, let explorer else { return }
    let lost = explorer.restore(state)
    if lost > 0 {
      say(
        "\(lost) episode(s) of the environment cannot go on, because a simulator's state cannot be saved: new ones begin"
      )
    }
  }

  /// Gives all ranks the first rank's transitions, in pieces.
  private func append(_ rows: [Float], count: Int, _ width: Int) throws {
    let piece = 4096
    let buffer = UnsafeMutablePointer<Float>.allocate(capacity: piece * width)
    defer { buffer.deallocate() }
    for start in stride(from: 0, to: count, by: piece) {
      let part = min(piece, count - start)
      if !rows.isEmpty {
        rows.withUnsafeBufferPointer {
          buffer.update(from: $0.baseAddress! + start * width, count: part * width)
        }
      }
      try world.broadcast(buffer, count: part * width * MemoryLayout<Float>.stride)
      try replay.append(buffer, count: part)
    }
  }
}
