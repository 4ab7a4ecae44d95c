import Foundation
import TestSupport
import Testing

/// A run that is asked to stop saves and can go on.
@Suite(.serialized) struct SignalTests {
  @Test(arguments: [(SIGUSR1, nil), (SIGTERM, nil), (SIGINT, nil), (SIGHUP, nil), (SIGUSR1, 2)])
  func aStoppedRunGoesOn(signal: Int32, ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let runs = Runs()
    let line = runs.command("run", ["--steps", "1000000000", "--log-interval", "50"])
    let command =
      if let ranks { try Command(mpirun, mpirunArguments([(ranks, line)])) } else {
        try Command(line[0], Array(line.dropFirst()))
      }
    let hasBegun = command.wait(30) { command.output.contains("\n100/") }
    command.send(signal)
    let result = command.finish()
    #expect(hasBegun)
    expectStopped(result, ranks: ranks, ["stopped by a signal after update ", "--resume auto"])
    let words = result.errors.split(separator: "after update ").last ?? ""
    let step = try #require(Int(words.prefix { $0.isNumber }), "\(result.errors)")
    #expect(try !runs.tensors("run", step).isEmpty)
    let steps = (step / 50 + 2) * 50
    let resumed = try runs.complete(
      "run", ranks: ranks, "--steps", "\(steps)", "--log-interval", "50", "--resume", "auto")
    #expect(resumed.output.contains("after update \(step)\n"), "\(resumed.output)")
    #expect(try runs.table("run").steps == Array(stride(from: 50, through: steps, by: 50)))
  }

  /// A run that goes on until it is stopped.
  private func endless(_ runs: Runs, _ options: String...) -> [String] {
    runs.command("run", ["--steps", "1000000000", "--log-interval", "50"] + options)
  }

  /// A run whose last evaluation takes longer than any test.
  private func endlesslyEvaluated(_ runs: Runs, _ options: [String]) -> [String] {
    let episodes = ["--eval-episodes", "100000", "--actor-hidden-dims", "512,512"]
    return runs.command("run", ["--steps", "5"] + episodes + options)
  }

  private func start(_ line: [String]) throws -> Command { try Command(line[0], Array(line.dropFirst())) }

  @Test func manySignalsSaveAsOneDoes() throws {
    let runs = Runs()
    let command = try start(endless(runs))
    #expect(command.wait(30) { command.output.contains("\n100/") })
    for signal in [SIGTERM, SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGINT] { command.send(signal) }
    expectFailure(command.finish(), 75, ["stopped by a signal after update ", "--resume auto"])
    #expect(try runs.checkpoints("run").count == 1)
  }

  /// The signals wait from the program's first instructions until somebody can handle them.
  @Test(arguments: [0, 50_000, 150_000, 350_000]) func aSignalAtTheStart(microseconds: UInt32) throws {
    let runs = Runs()
    let line = endless(runs)
    let command = try start(line)
    #expect(command.wait(30) { (try? processes(running: line).contains(where: minds)) ?? false })
    usleep(microseconds)
    command.send(SIGUSR1)
    let result = command.finish()
    expectStopped(result)
    // How far it comes in this time depends on the machine.
    let step = try #require(result.errors.firstMatch(of: /after update (\d+);/).flatMap { Int($0.1) })
    #expect(try step >= 1 && !runs.tensors("run", step).isEmpty)
  }

  /// Whether a process holds or handles USR1: the system's loader has ended, and the program has begun.
  private func minds(_ process: pid_t) -> Bool {
    let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    return status.split(separator: "\n").contains { line in
      ["SigBlk:", "SigCgt:"].contains { line.hasPrefix($0) }
        && UInt64(line.suffix(16), radix: 16).map { $0 >> (SIGUSR1 - 1) & 1 == 1 } ?? false
    }
  }

  /// The launcher's script saves, too, when its terminal closes or its job ends, and leaves nothing behind.
  @Test(
    .enabled(if: hasMPIRun, "\(noMPIRun)"), arguments: [[SIGHUP], [SIGTERM, SIGTERM], [SIGINT], [SIGKILL]])
  func theScriptForOneMachinePassesSignalsOn(signals: [Int32]) throws {
    let runs = Runs()
    let line = endless(runs)
    let script = repository("launch/local.sh")
    let command = try Command(script, ["-n", "2", "-b", "none"] + line.dropFirst())
    #expect(command.wait(30) { command.output.contains("\n100/") })
    for signal in signals {
      command.send(signal)
      usleep(10_000)
    }
    let result = command.finish()
    #expect(result.code == (signals == [SIGKILL] ? 137 : 75), "\(result)")
    #expect(try ends { try processesNaming(runs.folder.path).isEmpty })
    #expect(try runs.checkpoints("run").count == 1)
  }

  // MARK: Ranks that stop

  /// MPI does not notice a rank that no longer runs. What the others waited for is said, whatever it is.
  @Test(
    .enabled(if: hasMPIRun, "\(noMPIRun)"),
    arguments: ["an update", "the last evaluation", "the start of MPI"])
  func aRankThatNoLongerRunsEndsTheJob(phase: String) throws {
    let runs = Runs()
    let options = ["--stall-timeout", "3"]
    let line =
      phase == "the last evaluation"
      ? endlesslyEvaluated(runs, options) : endless(runs, options[0], options[1])
    let command = try Command(mpirun, mpirunArguments([(2, line)]))
    if phase == "the start of MPI" {
      #expect(command.wait(30) { (try? processes(running: line).count == 2) ?? false })
    } else {
      #expect(command.wait(30) { command.output.contains(phase == "an update" ? "\n100/" : ": saved ") })
      // All ranks come as far as the first one, which has said so.
      sleep(1)
    }
    let second = try #require(processes(running: line).max())
    kill(second, SIGSTOP)
    let result = command.finish()
    // On a slow machine the stopped rank wakes up when the launcher ends it, and says the same.
    #expect(result.code == 76 && !result.timedOut && !result.errorLines.isEmpty, "\(result)")
    // The launcher adds lines of its own now and then.
    let lines = result.errorLines.filter { $0.hasPrefix("fan-dist: ") }
    #expect(!lines.isEmpty, "\(result)")
    for line in lines {
      #expect(line.contains("] \(phase) has not ended after ") && line.hasSuffix("--resume auto"), "\(line)")
    }
  }

  /// Time in which a process does not run is not time in which others are silent.
  @Test(arguments: [nil, 2]) func aSuspendedRunGoesOn(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let runs = Runs()
    let line = endless(runs, "--stall-timeout", "4")
    let command =
      if let ranks { try Command(mpirun, mpirunArguments([(ranks, line)])) } else { try start(line) }
    #expect(command.wait(30) { command.output.contains("\n100/") })
    let suspended = try processes(running: line)
    #expect(suspended.count == ranks ?? 1)
    for process in suspended { kill(process, SIGSTOP) }
    sleep(9)
    for process in suspended { kill(process, SIGCONT) }
    let before = command.output.count
    #expect(command.wait(30) { command.output.count > before + 200 }, "it does not go on")
    command.send(SIGUSR1)
    expectStopped(command.finish())
  }

  /// What takes long is no reason to end, as long as all ranks run. (On a machine that is full a rank may not
  /// run for a second or two, so the limit is longer than that.)
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func aLongEvaluationIsWaitedFor() throws {
    let runs = Runs()
    let line = endlesslyEvaluated(runs, ["--stall-timeout", "5"])
    let command = try Command(mpirun, mpirunArguments([(2, line)]))
    #expect(command.wait(30) { command.output.contains(": saved ") })
    sleep(12)
    command.send(SIGUSR1)
    expectFailure(command.finish(), 75, ["stopped by a signal after update 5;"])
  }

  /// A run that waits until another process has imported its data.
  @Test(arguments: [(SIGTERM, nil), (SIGINT, nil), (SIGUSR1, 2)])
  func aSignalEndsTheWaitForAnImport(signal: Int32, ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let runs = Runs()
    let name = "cube-single-play-singletask-v0"
    let data = runs.folder.file("data")
    let partial = "\(data)/\(name).partial"
    try FileManager.default.createDirectory(atPath: partial, withIntermediateDirectories: true)
    let lock = open(partial + "/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    defer { close(lock) }
    try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
    let line = runs.command("run", ["--env", name, "--eval-episodes", "0", "--stall-timeout", "4"])
    let words = ranks.map { [mpirun] + mpirunArguments([($0, line)]) } ?? line
    let command = try Command(words[0], Array(words.dropFirst()), environment: ["FAN_DIST_DATA": data])
    #expect(command.wait(30) { command.output.contains("waiting for another process that imports") })
    sleep(10)
    command.send(signal)
    expectFailure(command.finish(), 76, ["stopped by a signal while \(name) was imported"])
  }

  /// A signal that one rank alone gets, not the first, while the first works and the others wait for it.
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)"), arguments: [true, false])
  func aSignalToAnotherRankAlone(evaluates: Bool) throws {
    let runs = Runs()
    let name = "cube-single-play-singletask-v0"
    let partial = runs.folder.file("\(name).partial")
    try FileManager.default.createDirectory(atPath: partial, withIntermediateDirectories: true)
    let lock = open(partial + "/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    defer { close(lock) }
    try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
    let line = runs.command(
      "run",
      evaluates ? ["--steps", "5", "--eval-episodes", "100000"] : ["--env", name, "--eval-episodes", "0"])
    let command = try Command(
      "mpirun", mpirunArguments([(2, line)]), environment: ["FAN_DIST_DATA": runs.folder.path])
    #expect(
      command.wait(30) { command.output.contains(evaluates ? ": saved " : "waiting for another process") })
    kill(try #require(processes(running: line).max()), SIGUSR1)
    let result = command.finish()
    if evaluates {
      expectFailure(result, 75, ["stopped by a signal after update 5;"])
    } else {
      expectFailure(result, 76, ["stopped by a signal while \(name) was imported"])
    }
  }

  /// The processes that run a command line.
  private func processes(running line: [String]) throws -> [pid_t] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter {
      let arguments = FileManager.default.contents(atPath: "/proc/\($0)/cmdline") ?? Data()
      return arguments == Data((line.joined(separator: "\0") + "\0").utf8)
    }
  }

  /// A file of the repository.
  private func repository(_ path: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../\(path)")
      .standardized.path
  }
}
