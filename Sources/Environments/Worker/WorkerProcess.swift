import Basics
import Foundation
import Glibc

/// The process of a worker: starts it, exchanges frames with it, and ends it with everything that it has
/// started.
///
/// Every wait has a time limit. If a worker hangs, ends or writes something other than frames, the caller
/// gets a `WorkerFailure`. Writing to a worker that has ended returns an error, because the program ignores
/// SIGPIPE.
final class WorkerProcess {
  private let process = Process()
  private let (input, output, errors) = (Pipe(), Pipe(), Pipe())
  private let timeout: Duration
  private let isCancelled: () -> Bool
  private var isStarted = false
  /// When its input was ended; nil before that.
  private var end: ContinuousClock.Instant?
  /// The time that it has to close its environments.
  private static let grace = Duration.seconds(1)

  /// The last bytes that the worker wrote to standard error.
  private var tail: [UInt8] = []
  /// The bytes that are still to be sent to the worker.
  private var unsent: ArraySlice<UInt8> = []
  private var outputEnded = false
  private var errorsEnded = false

  /// Prepares a worker without starting it.
  ///
  /// - Parameters:
  ///   - timeout: the longest time that the worker may take to answer.
  ///   - isCancelled: polled while waiting; true ends the wait with a failure.
  init(timeout: Duration, isCancelled: @escaping () -> Bool) {
    self.timeout = timeout
    self.isCancelled = isCancelled
  }

  deinit { stop() }

  /// Starts Python with `frames.py` followed by `program`. An interpreter without a slash in its name is
  /// looked up in PATH.
  func start(python: String, _ program: [UInt8]) throws(WorkerFailure) {
    let program = PackageResources.frames_py + program
    // The program is sent first on standard input, so that it needs neither a file nor a long command line.
    let start =
      "import sys; exec(compile(sys.stdin.buffer.read(\(program.count)), 'fan-dist worker', 'exec'))"
    guard let interpreter = Self.path(of: python) else {
      throw WorkerFailure("cannot be started: there is no program \(python)")
    }
    process.executableURL = URL(fileURLWithPath: interpreter)
    process.arguments = ["-c", start, "\(getpid())"]
    process.environment = Self.environment
    (process.standardInput, process.standardOutput, process.standardError) = (input, output, errors)
    do { try process.run() } catch {
      throw WorkerFailure("cannot be started: \(interpreter): \(error.localizedDescription)")
    }
    for descriptor in [toWorker, fromWorker, fromWorkerErrors] {
      _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }
    unsent = program[...]
    isStarted = true
  }

  private var toWorker: Int32 { input.fileHandleForWriting.fileDescriptor }
  private var fromWorker: Int32 { output.fileHandleForReading.fileDescriptor }
  private var fromWorkerErrors: Int32 { errors.fileHandleForReading.fileDescriptor }

  // MARK: Start

  private static func path(of program: String) -> String? {
    let folders =
      program.contains("/") ? [] : (variables["PATH"] ?? "").split(separator: ":").map(String.init)
    let candidates = program.contains("/") ? [program] : folders.map { "\($0)/\(program)" }
    return candidates.first { access($0, X_OK) == 0 }
  }

  private static var variables: [String: String] { ProcessInfo.processInfo.environment }

  /// The worker's environment variables: those of this process, without the ones that would make the worker a
  /// rank of the MPI job, and with one thread for arithmetic, because the cores belong to the ranks.
  private static var environment: [String: String] {
    let launchers = ["OMPI_", "OPAL_", "PRTE_", "PMIX_", "PMI_"]
    let threads = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    return variables.filter { variable in !launchers.contains { variable.key.hasPrefix($0) } }
      .merging(threads.map { ($0, "1") }) { $1 }
  }

  // MARK: Frames

  /// Sends a request. The worker may not have read it when this function returns.
  func send(_ kind: WorkerFrame.Kind, _ payload: [UInt8]) {
    unsent += WorkerFrame.encode(kind, payload)
    flush()
  }

  /// Waits for the answer to the request that was sent, and returns its payload.
  ///
  /// - Parameter length: the number of bytes that the payload must have; nil for any number up to the
  ///   protocol's limit.
  func receive(_ kind: WorkerFrame.Kind, length: Int? = nil) throws(WorkerFailure) -> [UInt8] {
    let deadline = ContinuousClock.now + timeout
    let header = try WorkerFrame.Header(
      try read(WorkerFrame.headerLength, until: deadline), expecting: kind)
    let payload = try read(header.length, until: deadline)
    guard header.kind != .error else {
      throw WorkerFailure(
        "reports: \(WorkerFrame.shown(payload))", report: WorkerFrame.shown(payload, limit: 600))
    }
    guard payload.count == length ?? payload.count else {
      throw WorkerFailure("answered with \(payload.count) bytes, not \(length ?? 0)")
    }
    return payload
  }

  /// The next `count` bytes of the worker's output.
  private func read(_ count: Int, until deadline: ContinuousClock.Instant) throws(WorkerFailure) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      bytes += take(from: fromWorker, atMost: count - bytes.count, &outputEnded)
      if bytes.count == count { break }
      if outputEnded {
        throw WorkerFailure(bytes.isEmpty ? ending() : "wrote '\(WorkerFrame.shown(bytes))' and \(ending())")
      }
      try wait(until: deadline)
    }
    return bytes
  }

  /// Writes as much as the pipe takes. An error is not reported: if the worker has ended,
  /// ``receive(_:length:)`` will say how.
  private func flush() {
    while !unsent.isEmpty {
      let written = unsent.withUnsafeBytes { Glibc.write(toWorker, $0.baseAddress, $0.count) }
      if written > 0 {
        unsent = unsent.dropFirst(written)
      } else if errno == EINTR {
        continue
      } else {
        if errno != EAGAIN { unsent = [] }
        return
      }
    }
  }

  /// Waits until something can be read or written, for at most 0.1 s.
  private func wait(until deadline: ContinuousClock.Instant) throws(WorkerFailure) {
    guard !isCancelled() else { throw WorkerFailure("was cancelled: its result is not needed any more") }
    let left = deadline - .now
    guard left > .zero else {
      throw WorkerFailure("did not answer for \(timeout.seconds.formatted()) s")
    }
    var waits = [pollfd(fd: fromWorker, events: Int16(POLLIN), revents: 0)]
    if !errorsEnded { waits.append(pollfd(fd: fromWorkerErrors, events: Int16(POLLIN), revents: 0)) }
    if !unsent.isEmpty { waits.append(pollfd(fd: toWorker, events: Int16(POLLOUT), revents: 0)) }
    // The wait is short so that a cancellation is noticed soon.
    poll(&waits, nfds_t(waits.count), Int32(min(left.seconds, 0.1) * 1000) + 1)
    readErrors()
    flush()
  }

  /// Reads the bytes that are available, at most `limit`, and notes the end of the stream.
  private func take(from descriptor: Int32, atMost limit: Int, _ hasEnded: inout Bool) -> [UInt8] {
    let count = min(limit, 1 << 16)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      let received = Glibc.read(descriptor, buffer.baseAddress, count)
      hasEnded = received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR)
      filled = max(received, 0)
    }
  }

  // MARK: Errors

  /// The last lines that the worker wrote to standard error.
  var lastLines: [String] {
    guard isStarted else { return [] }
    readErrors()
    return tail.split(separator: UInt8(ascii: "\n")).map { WorkerFrame.shown($0) }
      .filter { !$0.allSatisfy { $0 == " " } }.suffix(5)
  }

  private func readErrors() {
    // The number of reads is limited in case the worker never stops writing.
    for _ in 0..<16 where !errorsEnded {
      let bytes = take(from: fromWorkerErrors, atMost: 1 << 16, &errorsEnded)
      if bytes.isEmpty { return }
      tail = Array((tail + bytes).suffix(1 << 13))
    }
  }

  // MARK: End

  /// Says how the worker ended. Call it once the worker's output has ended.
  private func ending() -> String {
    // The worker's output ends a moment before the process does.
    for _ in 0..<100 where process.isRunning { usleep(10_000) }
    readErrors()
    guard !process.isRunning else { return "closed its output" }
    let status = process.terminationStatus
    return process.terminationReason == .exit
      ? "ended with exit code \(status)" : "was ended by signal \(status)"
  }

  /// Tells the worker that no request follows: it closes its environments and ends.
  func endInput() {
    guard isStarted, end == nil else { return }
    unsent = []
    try? input.fileHandleForWriting.close()
    end = ContinuousClock.now
  }

  /// Ends the worker and all processes that it has started. It has a moment to do so itself.
  func stop() {
    guard isStarted else { return }
    endInput()
    while process.isRunning, let end, ContinuousClock.now < end + Self.grace {
      // A worker that writes its last lines must not wait for a reader.
      readErrors()
      usleep(2000)
    }
    isStarted = false
    // The worker leads a process group, which contains the processes that it has started: they are there although the
    // worker may have ended.
    kill(-process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }
}
