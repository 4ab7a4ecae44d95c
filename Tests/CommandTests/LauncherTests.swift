import Foundation
import TestSupport
import Testing

/// `fan-dist launcher`, and ranks whose launcher belongs to another MPI library.
@Suite struct LauncherTests {
  private func launcher(_ arguments: [String], environment: [String: String] = [:]) throws -> [String] {
    let result = try run(built("fan-dist"), ["launcher"] + arguments, environment: environment)
    #expect(result.code == 0, "\(result)")
    return result.output.split(whereSeparator: \.isWhitespace).map(String.init)
  }

  @Test func printsTheCommandThatStartsRanks() throws {
    #expect(try launcher(["-n", "3", "--unbound"]).prefix(3) == [mpirun, "-n", "3"])
    #expect(try launcher(["-n", "3"], environment: ["FAN_DIST_MPIRUN": "/my/mpirun"])[0] == "/my/mpirun")
  }

  @Test func moreThreadsThanCoresAreNotBound() throws {
    #expect(try launcher(["-n", "9999", "-t", "9"]) == launcher(["-n", "9999", "-t", "9", "--unbound"]))
  }

  @Test(arguments: [["-n", "0"], ["-t", "0"]]) func numbersAreAtLeastOne(arguments: [String]) throws {
    expectFailure(try run(built("fan-dist"), ["launcher"] + arguments), 64, [arguments[0]])
  }

  /// As under the launcher of another MPI: it has started three ranks, and each of them is alone.
  @Test(arguments: [0, 1]) func ranksThatDoNotFindEachOtherEnd(rank: Int) throws {
    let result = try run(
      built("fan-dist"), ["--steps", "1"],
      environment: ["PMI_SIZE": "3", "PMI_RANK": "\(rank)"])
    if rank == 0 {
      expectFailure(result, 64, ["3 ranks that cannot find each other", mpirun])
    } else {
      #expect(result.code == 64 && result.errors == "", "\(result)")
    }
  }

  /// A program in a rank of one job may start a job of another MPI.
  @Test func oneRankInsideAnotherJobIsNoMistake() throws {
    let runs = Runs()
    let line = runs.command("run", ["--steps", "5"])
    let result = try run(
      line[0], Array(line.dropFirst()),
      environment: ["PMI_SIZE": "1", "PMI_RANK": "0", "SLURM_STEP_NUM_TASKS": "4"])
    #expect(result.code == 0 && result.errors == "", "\(result)")
  }
}
