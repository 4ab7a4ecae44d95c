import Basics
import CMPI
import Dispatch
import Glibc

extension Communicator {
  /// Like `together`, for work that takes long on some ranks. Meanwhile all ranks keep showing each other that they run,
  /// and `whenAllRun` is called each time that they have; they also tell each other whether one of them was asked to stop.
  /// Collective; `body` makes no collective calls.
  ///
  /// The ranks that have nothing to do sleep most of the time, so that others can use their cores.
  public func workTogether<Result>(_ body: () throws -> Result) throws -> Result {
    let signs = SignsOfLife(self)
    signs.begin()
    let result = Swift.Result { try body() }
    try signs.end()
    return try together { try result.get() }
  }
}

/// Rounds in which all ranks take part, one every half second. A thread of its own takes part for a rank whose main
/// thread works; MPI allows that because the main thread makes no calls meanwhile (`MPI_THREAD_SERIALIZED`). It does so
/// only if the main thread has used its processor since the last round: a rank that hangs in its work shows no life.
private final class SignsOfLife: @unchecked Sendable {
  // `error` is written by the thread and read after its end.
  private let communicator: Communicator
  private let works = DispatchSemaphore(value: 0)
  private let ended = DispatchSemaphore(value: 0)
  private var clock = clockid_t()
  private var used: Int64 = 0
  private var error: MPIError?

  /// Milliseconds between rounds.
  private static let interval = 500

  init(_ communicator: Communicator) { self.communicator = communicator }

  /// Begins to show life while the calling thread works.
  func begin() {
    pthread_getcpuclockid(pthread_self(), &clock)
    guard MPI.allowsOtherThreads else { return }
    DispatchQueue.global().async { [self] in run() }
  }

  /// The work is done: waits until that of all ranks is.
  func end() throws(MPIError) {
    works.signal()
    if MPI.allowsOtherThreads { ended.wait() } else { run() }
    if let error { throw error }
  }

  private func run() {
    defer { ended.signal() }
    var isDone = false
    do throws(MPIError) {
      while true {
        isDone = isDone || works.wait(timeout: .now() + .milliseconds(Self.interval)) == .success
        guard isDone || hasWorked() else { continue }
        let asked = communicator.wasAskedToStop?() ?? false
        let least = try communicator.minimumAsleep([isDone ? 1 : 0, asked ? 0 : 1])
        if least[1] == 0 { communicator.someRankWasAskedToStop = true }
        communicator.whenAllRun?()
        if least[0] == 1 { return }
      }
    } catch { self.error = error }
  }

  /// Whether the working thread has used its processor since the last call.
  private func hasWorked() -> Bool {
    var time = timespec()
    clock_gettime(clock, &time)
    let now = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    defer { used = now }
    return now != used
  }
}

extension Communicator {
  /// The smallest of all ranks' values at each place, asleep most of the time. Collective.
  fileprivate func minimumAsleep(_ own: [Int64]) throws(MPIError) -> [Int64] {
    guard size > 1 else { return own }
    // Memory that stays where it is until MPI has finished with it.
    let values = UnsafeMutableBufferPointer<Int64>.allocate(capacity: 2 * own.count)
    defer { values.deallocate() }
    _ = values.initialize(from: own + own)
    let base = values.baseAddress!
    var request = cmpi_request_null()
    try check(
      "MPI_Iallreduce",
      cmpi_iallreduce(
        base, base + own.count, Int32(own.count), Int64.datatype, Reduction.min.handle, handle, &request))
    var isDone: Int32 = 0
    var pause = 500.0
    while true {
      try check("MPI_Test", cmpi_test(&request, &isDone))
      if isDone != 0 { return Array(values[own.count...]) }
      usleep(useconds_t(pause))
      // Ranks that wait for minutes, such as those of a sweep that have no run, are not to wake 2,000 times a second.
      pause = min(pause * 1.06, 5_000)
    }
  }
}
