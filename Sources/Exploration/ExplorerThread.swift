import Basics
import Foundation
import MPI

/// A thread of its own for the environments of an explorer, on cores that no rank is bound to. It lives as long as this
/// object: the system ends the processes that a thread has started when that thread ends.
final class ExplorerThread: Sendable {
  private let state: State

  /// Starts the thread.
  init(on cores: SpareCores) throws(Failure) {
    let state = State()
    self.state = state
    try startThread("environments") {
      cores.moveHere(withLessPriority: false)
      while let work = state.next() { state.finish(Result { try work() }) }
    }
  }

  deinit { state.end() }

  /// Begins work, while no other is being done.
  func begin(_ work: @escaping @Sendable () throws -> Void) { state.begin(work) }

  /// Waits for the end of the work that was begun and throws what it threw.
  func wait() throws { try state.wait() }

  /// Does work and waits for its end.
  func run(_ work: @escaping @Sendable () throws -> Void) throws {
    begin(work)
    try wait()
  }
}

/// What the two threads tell each other.
private final class State: @unchecked Sendable {
  // All of it is guarded by `condition`.
  private let condition = NSCondition()
  private var work: (@Sendable () throws -> Void)?
  private var result: Result<Void, any Error>?
  private var isOver = false

  func begin(_ work: @escaping @Sendable () throws -> Void) {
    condition.withLock {
      self.work = work
      condition.broadcast()
    }
  }

  func wait() throws {
    let result = condition.withLock {
      while self.result == nil { condition.wait() }
      defer { self.result = nil }
      return self.result
    }
    try result?.get()
  }

  func end() {
    condition.withLock {
      isOver = true
      condition.broadcast()
    }
  }

  /// The next work, when there is some; nil at the end.
  func next() -> (@Sendable () throws -> Void)? {
    condition.withLock {
      while work == nil && !isOver { condition.wait() }
      defer { work = nil }
      return work
    }
  }

  func finish(_ result: Result<Void, any Error>) {
    condition.withLock {
      self.result = result
      condition.broadcast()
    }
  }
}
