import Basics
import Foundation
import MPI

/// This process as one of the ranks that a launcher started, or as the only one.
struct Job {
  /// All ranks; nil when there is no launcher and MPI has not been needed.
  private let launched: Communicator?

  /// Starts MPI when a launcher started this process, so that the ranks can end together with one message.
  init() throws(MPIError) {
    guard MPI.isLaunched else {
      launched = nil
      return
    }
    try MPI.initialise()
    launched = try Communicator.world()
  }

  /// Whether this rank speaks for all.
  var isFirst: Bool { launched?.rank ?? 0 == 0 }

  /// Whether a launcher started this process as one of its ranks.
  var isLaunched: Bool { launched != nil }

  /// All ranks; starts MPI if no launcher did.
  func world() throws(MPIError) -> Communicator {
    if let launched { return launched }
    try MPI.initialise()
    return try Communicator.world()
  }

  /// Ends the job: all ranks call this with the same code; the first one says why.
  func finish(_ code: Int32, message: String? = nil, toOutput: Bool = false) -> Never {
    if let message, isFirst {
      let stream = toOutput ? FileHandle.standardOutput : FileHandle.standardError
      stream.write(Data((message + "\n").utf8))
    }
    // Nobody leaves before the first rank has spoken: the launcher ends all as soon as one fails.
    if let launched { try? launched.barrier() }
    if MPI.isInitialised { try? MPI.finalise() }
    exit(code)
  }

  /// Ends this process, with a line, while one of its threads waits inside MPI for a rank that has stopped. The launcher
  /// ends the other ranks once one has ended.
  static func endStalled(_ line: String) -> Never {
    FileHandle.standardError.write(Data("fan-dist: \(line)\n".utf8))
    // Not exit, which runs handlers that wait for the thread inside MPI.
    _exit(Failure.Code.requeue.rawValue)
  }

  /// Ends the job when only this rank knows that something is wrong.
  func abort(_ failure: Failure) -> Never {
    let place = "[rank \(launched?.rank ?? 0) on \(MPI.processorName)]"
    FileHandle.standardError.write(Data("fan-dist: \(place) \(failure.message)\n".utf8))
    MPI.abort(failure.code.rawValue)
  }
}
