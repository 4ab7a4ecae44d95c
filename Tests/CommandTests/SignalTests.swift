import Foundation
import TestSupport
import Testing

/// A run that is asked to stop saves and can go on.
@Suite(.serialized) struct SignalTests {
  @Test(arguments: [(SIGUSR1, nil), (SIGTERM, nil), (SIGINT, nil), (SIGUSR1, 2)])
  func aStoppedRunGoesOn(signal: Int32, ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let runs = Runs()
    let line = runs.command("run", ["--steps", "1000000000", "--log-interval", "50"])
    let command =
      if let ranks { try Command("mpirun", mpirunArguments([(ranks, line)])) } else {
        try Command(line[0], Array(line.dropFirst()))
      }
    let hasBegun = command.wait(30) { command.output.contains("\n100/") }
    command.send(signal)
    let result = command.finish()
    #expect(hasBegun)
    expectFailure(result, 75, ["stopped by a signal after update ", "--resume auto"])
    let words = result.errors.split(separator: "after update ").last ?? ""
    let step = try #require(Int(words.prefix { $0.isNumber }), "\(result.errors)")
    #expect(try !runs.tensors("run", step).isEmpty)
    let steps = (step / 50 + 2) * 50
    let resumed = try runs.complete(
      "run", ranks: ranks, "--steps", "\(steps)", "--log-interval", "50", "--resume", "auto")
    #expect(resumed.output.contains("after update \(step)\n"), "\(resumed.output)")
    #expect(try runs.table("run").steps == Array(stride(from: 50, through: steps, by: 50)))
  }

  /// MPI does not notice a rank that no longer runs.
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)"))
  func aRankThatNoLongerRunsEndsTheJob() throws {
    let runs = Runs()
    let line = runs.command(
      "run", ["--steps", "1000000000", "--log-interval", "50", "--stall-timeout", "1"])
    let command = try Command("mpirun", mpirunArguments([(2, line)]))
    #expect(command.wait(30) { command.output.contains("\n100/") })
    let second = try #require(processes(of: line).max())
    kill(second, SIGSTOP)
    let result = command.finish()
    // On a slow machine the stopped rank wakes up when the launcher ends it, and says the same.
    #expect(result.code == 76 && !result.timedOut && !result.errorLines.isEmpty, "\(result)")
    for line in result.errorLines {
      #expect(line.contains("] an update has not ended after ") && line.hasSuffix("--resume auto"))
    }
  }

  /// The processes that run a command line.
  private func processes(of line: [String]) throws -> [pid_t] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }.filter {
      let arguments = FileManager.default.contents(atPath: "/proc/\($0)/cmdline") ?? Data()
      return arguments == Data((line.joined(separator: "\0") + "\0").utf8)
    }
  }
}
