import Basics
import Foundation
import Glibc

/// A worker as a process: started, asked, and ended without leaving anything behind.
///
/// Everything that it does is awaited with a limit: a worker that hangs, ends or writes nonsense is a
/// `WorkerFailure`, never a hang of ours. The program ignores SIGPIPE, so that writing to one that has ended fails.
final class WorkerProcess {
  private let process = Process()
  private let (input, output, errors) = (Pipe(), Pipe(), Pipe())
  private let timeout: Duration
  private let isCancelled: () -> Bool
  private var isStarted = false

  /// The end of what it wrote to standard error.
  private var tail: [UInt8] = []
  /// What it still has to be sent.
  private var unsent: ArraySlice<UInt8> = []
  private var outputEnded = false
  private var errorsEnded = false

  /// A worker that has not been started.
  ///
  /// - Parameters:
  ///   - timeout: how long it may take to answer.
  ///   - isCancelled: asked while waiting; yes ends the wait with a failure.
  init(timeout: Duration, isCancelled: @escaping () -> Bool) {
    self.timeout = timeout
    self.isCancelled = isCancelled
  }

  deinit { stop() }

  /// Starts Python, found in the path unless it has a slash, with a program behind the part that all share.
  func start(python: String, _ program: [UInt8]) throws(WorkerFailure) {
    let program = PackageResources.frames_py + program
    // The program itself comes first on standard input, so that it needs no file and no long command line.
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

  /// Ours, without what would make the worker a rank of the job, and with one thread for arithmetic: the cores
  /// belong to the ranks.
  private static var environment: [String: String] {
    let launchers = ["OMPI_", "OPAL_", "PRTE_", "PMIX_", "PMI_"]
    let threads = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
    return variables.filter { variable in !launchers.contains { variable.key.hasPrefix($0) } }
      .merging(threads.map { ($0, "1") }) { $1 }
  }

  // MARK: Frames

  /// Sends a request. It is on its way when this returns, not necessarily read.
  func send(_ kind: WorkerFrame.Kind, _ payload: [UInt8]) {
    unsent += WorkerFrame.encode(kind, payload)
    flush()
  }

  /// The answer to the request that was sent.
  ///
  /// - Parameter length: how many bytes it must have; nil for any number up to the protocol's limit.
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

  /// The next `count` bytes of its output.
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

  /// Writes what the pipe takes. When nobody reads it any more, what the worker wrote last says more than that.
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

  /// Waits until something can be read or written.
  private func wait(until deadline: ContinuousClock.Instant) throws(WorkerFailure) {
    guard !isCancelled() else { throw WorkerFailure("was not needed any more") }
    let left = deadline - .now
    guard left > .zero else {
      throw WorkerFailure("did not answer for \(timeout.seconds.formatted()) s")
    }
    var waits = [pollfd(fd: fromWorker, events: Int16(POLLIN), revents: 0)]
    if !errorsEnded { waits.append(pollfd(fd: fromWorkerErrors, events: Int16(POLLIN), revents: 0)) }
    if !unsent.isEmpty { waits.append(pollfd(fd: toWorker, events: Int16(POLLOUT), revents: 0)) }
    // Short, so that it is noticed soon when the result is not wanted any more.
    poll(&waits, nfds_t(waits.count), Int32(min(left.seconds, 0.1) * 1000) + 1)
    readErrors()
    flush()
  }

  /// Reads what is there, up to a limit; notes the end of the stream.
  private func take(from descriptor: Int32, atMost limit: Int, _ hasEnded: inout Bool) -> [UInt8] {
    let count = min(limit, 1 << 16)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      let received = Glibc.read(descriptor, buffer.baseAddress, count)
      hasEnded = received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR)
      filled = max(received, 0)
    }
  }

  // MARK: Errors

  /// The last lines that it wrote to standard error.
  var lastLines: [String] {
    guard isStarted else { return [] }
    readErrors()
    return tail.split(separator: UInt8(ascii: "\n")).map { WorkerFrame.shown($0) }
      .filter { !$0.allSatisfy { $0 == " " } }.suffix(5)
  }

  private func readErrors() {
    // Not without end, if it never stops writing.
    for _ in 0..<16 where !errorsEnded {
      let bytes = take(from: fromWorkerErrors, atMost: 1 << 16, &errorsEnded)
      if bytes.isEmpty { return }
      tail = Array((tail + bytes).suffix(1 << 13))
    }
  }

  // MARK: End

  /// How it ended, once its output has.
  private func ending() -> String {
    // Its output ends a moment before itself.
    for _ in 0..<100 where process.isRunning { usleep(10_000) }
    readErrors()
    guard !process.isRunning else { return "closed its output" }
    let status = process.terminationStatus
    return process.terminationReason == .exit
      ? "ended with exit code \(status)" : "was ended by signal \(status)"
  }

  /// Ends it, with everything that it may have started.
  func stop() {
    guard isStarted else { return }
    isStarted = false
    // It leads a process group.
    if process.isRunning { kill(-process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }
}
