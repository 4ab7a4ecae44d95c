import Foundation

/// What a command that has ended left behind.
public struct CommandResult: Sendable {
  /// Its exit code; 128 + the signal's number when a signal ended it.
  public let code: Int32
  /// What it wrote to standard output.
  public let output: String
  /// What it wrote to standard error.
  public let errors: String
  /// Whether it ran past its time and was ended.
  public let timedOut: Bool

  /// The non-empty lines of `errors`, without what mpirun itself says about ranks that fail and about signals.
  public var errorLines: [String] {
    var lines: [String] = []
    var isReport = false
    for line in errors.split(separator: "\n").map(String.init) {
      if line.hasPrefix("-----") {
        isReport.toggle()
      } else if !isReport && !line.hasPrefix("mpirun: Forwarding signal") && !line.hasPrefix("[mpiexec@") {
        lines.append(line)
      }
    }
    return lines
  }
}

/// A command while it runs. Commands run one after the other, whatever the tests do: MPI jobs use every core.
public final class Command {
  private static let turn = DispatchSemaphore(value: 1)

  private let process = Process()
  private let directory = TemporaryDirectory()

  /// Starts `executable`, found in the path unless it has a slash, when it is its turn.
  public init(
    _ executable: String, _ arguments: [String], in workingDirectory: String? = nil,
    environment: [String: String] = [:]
  ) throws {
    process.executableURL = URL(fileURLWithPath: executable.contains("/") ? executable : "/usr/bin/env")
    process.arguments = (executable.contains("/") ? [] : [executable]) + arguments
    // What a launcher around the tests has set would make every command one of its ranks.
    process.environment = ProcessInfo.processInfo.environment.filter {
      !["OMPI_", "PMIX_", "PMI_"].contains(where: $0.key.hasPrefix)
    }.merging(environment) { $1 }
    if let workingDirectory { process.currentDirectoryURL = URL(fileURLWithPath: workingDirectory) }
    for name in ["out", "err"] {
      _ = FileManager.default.createFile(atPath: path(name), contents: nil)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: path("out"))
    process.standardError = FileHandle(forWritingAtPath: path("err"))
    Self.turn.wait()
    // Threads of test runners block signals, and what they start would inherit that.
    var (none, own) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &own)
    defer { pthread_sigmask(SIG_SETMASK, &own, nil) }
    do { try process.run() } catch {
      Self.turn.signal()
      throw error
    }
  }

  private func path(_ name: String) -> String { "\(directory.path)/\(name)" }

  /// What it has written to standard output so far.
  public var output: String { text("out") }

  private func text(_ name: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path(name)) ?? Data(), as: UTF8.self)
  }

  /// Sends it a signal.
  public func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// Waits until `condition` holds or the command has ended; false after `seconds`.
  public func wait(_ seconds: Double, until condition: () -> Bool) -> Bool {
    let end = Date() + seconds
    while Date() < end {
      if condition() { return true }
      if !process.isRunning { return condition() }
      usleep(20_000)
    }
    return false
  }

  /// Waits for its end, which comes after `timeout` seconds at the latest.
  public func finish(timeout: Double = 60) -> CommandResult {
    let ended = wait(timeout) { !process.isRunning }
    if !ended {
      // mpirun is its group's leader; its ranks end with it.
      kill(-process.processIdentifier, SIGKILL)
      kill(process.processIdentifier, SIGKILL)
    }
    process.waitUntilExit()
    Self.turn.signal()
    let status = process.terminationStatus
    return CommandResult(
      code: process.terminationReason == .exit ? status : 128 + status, output: output, errors: text("err"),
      timedOut: !ended)
  }
}

/// Runs a command to its end.
public func run(
  _ executable: String, _ arguments: [String], in directory: String? = nil,
  environment: [String: String] = [:], timeout: Double = 60
) throws -> CommandResult {
  try Command(executable, arguments, in: directory, environment: environment).finish(timeout: timeout)
}

/// A program of this package, built beside the test bundle.
public func built(_ name: String) -> String {
  let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
  return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent(name).path
}

/// The launcher of the MPI library that the programs were built with, as `fan-dist launcher` knows it: its program, -n, a
/// number of ranks, and flags for jobs on one machine, whatever its cores and whoever runs them.
private let launcher: [String] = {
  let result = try? run(built("fan-dist"), ["launcher", "-n", "1", "--unbound"])
  let words = result?.output.split(whereSeparator: \.isWhitespace).map(String.init) ?? []
  return words.count >= 3 ? words : ["mpirun", "-n", "1"]
}()

/// The launcher's program: mpirun, or what another MPI library has.
public let mpirun = launcher[0]

/// The launcher's arguments for a job. Each element of `programs` is a number of ranks with their command line; ranks of
/// several programs form one job.
public func mpirunArguments(_ programs: [(ranks: Int, command: [String])]) -> [String] {
  let job = programs.map { ["-n", "\($0.ranks)"] + $0.command }.joined(separator: [":"])
  return Array(launcher.dropFirst(3)) + job
}

/// Runs a command line on some ranks; without mpirun when that is nil.
public func run(
  ranks: Int?, _ command: [String], in directory: String? = nil, environment: [String: String] = [:],
  timeout: Double = 90
) throws -> CommandResult {
  let line = ranks.map { [mpirun] + mpirunArguments([($0, command)]) } ?? command
  return try run(
    line[0], Array(line.dropFirst()), in: directory, environment: environment, timeout: timeout)
}

/// Whether the launcher can start a job here.
public let hasMPIRun = (try? run(ranks: 1, ["/bin/true"]))?.code == 0
/// Why tests that need it are skipped.
public let noMPIRun = "\(mpirun) is not installed or cannot start a job"

/// Whether there is a C compiler.
public let hasCompiler = (try? run("cc", ["--version"]))?.code == 0

/// Whether there is Python with NumPy.
public let hasNumPy = (try? run("python3", ["-c", "import numpy"]))?.code == 0
/// Why tests that need it are skipped.
public let noNumPy = "Python 3 with NumPy is not installed"

/// The Python that has the packages of requirements.txt: FAN_DIST_PYTHON, or what launch/python-env makes in the
/// repository, where tests run; nil without either.
public let pythonWithPackages: String? = [
  ProcessInfo.processInfo.environment["FAN_DIST_PYTHON"],
  FileManager.default.currentDirectoryPath + "/.python-env/bin/python",
].compactMap(\.self).first { FileManager.default.isExecutableFile(atPath: $0) }
/// Why tests that need it are skipped.
public let noPythonWithPackages =
  "the packages of requirements.txt are not installed: launch/python-env does it"
