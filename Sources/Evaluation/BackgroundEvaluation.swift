import Agents
import Basics
import Checkpoints
import Environments
import Foundation
import Kernels
import MPI
import Synchronization

/// Tells work on another thread that it is not needed any more.
public final class Cancellation: Sendable {
  private let flag = Atomic(false)

  /// A cancellation that nobody has requested.
  public init() {}

  /// Whether somebody has requested it.
  public var isRequested: Bool { flag.load(ordering: .relaxed) }

  /// Requests it, for good.
  public func request() { flag.store(true, ordering: .relaxed) }
}

/// Evaluations of snapshots, one at a time, on a thread of their own, so that training goes on meanwhile.
///
/// While one snapshot is evaluated others wait for their turn, as many as fit into some memory. So all are evaluated, in
/// their order, and results do not depend on how long evaluations take; only when these take much longer than the
/// updates between them are some left out.
public final class BackgroundEvaluation: @unchecked Sendable {
  // Two threads use it: what both do is guarded by `condition`; the rest is used by the evaluating thread only.

  /// What happened on the thread.
  public enum Event: Sendable {
    /// Episodes have been played.
    case played(Snapshot, Evaluator.Actor, EvaluationResult, seconds: Double, isBest: Bool)
    /// They could not be played and are tried once more.
    case repeating(Snapshot, problem: String)
    /// They could not be played.
    case failed(Snapshot, Evaluator.Actor, problem: String)
    /// The best policy could not be saved.
    case unsaved(Failure)
  }

  /// A snapshot and who plays with it.
  private struct Request: Sendable {
    let snapshot: Snapshot
    let actors: [Evaluator.Actor]
  }

  /// How far an evaluation has come.
  public struct Progress: Sendable {
    /// The update of its snapshot.
    public let step: Int
    /// Episodes that have ended.
    public internal(set) var episodes: Int
  }

  private let environment: any VectorEnvironment
  private let evaluator: Evaluator
  private let cancellation: Cancellation
  private let save: (Snapshot, EvaluationScore) throws -> Void
  private var best: EvaluationScore?

  private let condition = NSCondition()
  private var description: Result<EnvironmentDescription, any Error>?
  private var current: Request?
  private var waiting: [Request] = []
  private var events: [Event] = []
  private var episodes = 0
  private var hasEnded = false
  /// Bytes that the snapshots that wait may take together.
  private static let room = 512 << 20

  /// Starts the thread, which looks at the environment first.
  ///
  /// - Parameters:
  ///   - cancellation: ends the environment's waits.
  ///   - cores: where the thread and its processes run.
  ///   - best: the best evaluation so far.
  ///   - save: saves the policy of a better evaluation.
  public init(
    _ evaluator: Evaluator, in environment: any VectorEnvironment, cancellation: Cancellation,
    on cores: SpareCores, best: EvaluationScore?, save: @escaping (Snapshot, EvaluationScore) throws -> Void
  ) throws(Failure) {
    self.environment = environment
    self.evaluator = evaluator
    self.cancellation = cancellation
    self.best = best
    self.save = save
    try startThread("evaluation") { [self] in
      cores.moveHere()
      work()
    }
  }

  // MARK: For the thread that trains

  /// What the environment is like, as soon as that is known; nil when it is not after `seconds`, or when `isUrgent`
  /// says that there is no time.
  public func describe(atMost seconds: Double, isUrgent: () -> Bool) throws -> EnvironmentDescription? {
    wait(seconds) { description != nil || isUrgent() }
    return try condition.withLock { try description?.get() }
  }

  /// Waits until something is true, for some time at most. That is by the steady clock: the one that tells the time of day
  /// may be set back, and a wait that ends when it shows some time would last as much longer.
  private func wait(_ seconds: Double, until isTrue: () -> Bool) {
    let end = ContinuousClock.now + .seconds(seconds)
    while !condition.withLock(isTrue) && ContinuousClock.now < end { usleep(5000) }
  }

  /// Hands over a snapshot. False if there is no room for it; there is always room for one that is needed.
  public func submit(_ snapshot: Snapshot, for actors: [Evaluator.Actor], isNeeded: Bool) -> Bool {
    condition.withLock {
      let used = waiting.reduce(snapshot.byteCount) { $0 + $1.snapshot.byteCount }
      guard isNeeded || waiting.isEmpty || used <= Self.room else { return false }
      waiting.append(Request(snapshot: snapshot, actors: actors))
      condition.broadcast()
      return true
    }
  }

  /// What has happened since the last call.
  public func takeEvents() -> [Event] {
    condition.withLock {
      defer { events = [] }
      return events
    }
  }

  /// Snapshots that have been handed over and whose evaluation is not finished, in their order.
  public var outstanding: [Snapshot] {
    condition.withLock { (current.map { [$0] } ?? []).map(\.snapshot) + waiting.map(\.snapshot) }
  }

  /// How far the present evaluation is; nil when there is nothing to do.
  public var progress: Progress? {
    condition.withLock {
      (current ?? waiting.first).map { Progress(step: $0.snapshot.state.step, episodes: episodes) }
    }
  }

  /// Waits until nothing is left to do, for `seconds` at most.
  public func wait(atMost seconds: Double) {
    wait(seconds) { current == nil && waiting.isEmpty }
  }

  /// Ends the thread and all it has started. Snapshots that wait are dropped.
  public func cancel() {
    cancellation.request()
    condition.withLock {
      condition.broadcast()
      while !hasEnded { condition.wait() }
    }
  }

  // MARK: The thread that evaluates

  private func work() {
    let description = Result { try environment.describe() }
    condition.withLock {
      self.description = description
      condition.broadcast()
    }
    while let request = next() {
      evaluate(request)
      condition.withLock {
        current = nil
        condition.broadcast()
      }
    }
    environment.stop()
    condition.withLock {
      hasEnded = true
      condition.broadcast()
    }
  }

  /// The next snapshot, when there is one; nil when no more are wanted.
  private func next() -> Request? {
    condition.withLock {
      while waiting.isEmpty && !cancellation.isRequested { condition.wait() }
      guard !cancellation.isRequested else { return nil }
      current = waiting.removeFirst()
      episodes = 0
      condition.broadcast()
      return current
    }
  }

  private func post(_ event: Event) { condition.withLock { events.append(event) } }

  /// Plays the episodes of all actors, until some cannot be played.
  private func evaluate(_ request: Request) {
    for actor in request.actors {
      let start = ContinuousClock.now
      let result: EvaluationResult?
      do { result = try play(request.snapshot, actor) } catch {
        if !cancellation.isRequested { post(.failed(request.snapshot, actor, problem: "\(error)")) }
        return
      }
      guard let result else { continue }
      let seconds = (ContinuousClock.now - start).seconds
      let isBest = actor == .policy && best.map { EvaluationScore(result) > $0 } ?? true
      do {
        if isBest { try keep(request.snapshot, EvaluationScore(result)) }
      } catch {
        return post(.unsaved(Failure(error)))
      }
      post(.played(request.snapshot, actor, result, seconds: seconds, isBest: isBest))
    }
  }

  /// Plays the episodes, at the second attempt if need be, which starts fresh workers.
  private func play(_ snapshot: Snapshot, _ actor: Evaluator.Actor) throws -> EvaluationResult? {
    func attempt() throws -> EvaluationResult? {
      try evaluator.run(snapshot.parameters, actor: actor) { episodes in
        guard !cancellation.isRequested else { throw CancellationError() }
        condition.withLock { self.episodes = episodes }
      }
    }
    do { return try attempt() } catch {
      guard !cancellation.isRequested else { throw error }
      post(.repeating(snapshot, problem: "\(error)"))
      return try attempt()
    }
  }

  private func keep(_ snapshot: Snapshot, _ score: EvaluationScore) throws {
    try save(snapshot, score)
    best = score
  }
}
