import TestSupport
import Testing

/// The MPI programs of Tests/MPIPrograms under mpirun.
@Suite(.serialized, .enabled(if: hasMPIRun, "\(noMPIRun)"))
struct MPITests {
  @Test(arguments: 1...4) func checksHold(ranks: Int) throws {
    let result = try run(ranks: ranks, [built("mpi-checks")])
    let lines = result.output.split(separator: "\n")
    for line in lines where !line.hasSuffix(": ok") { Issue.record("\(line)") }
    #expect(result.code == 0 && lines.count == 19, "\(result)")
  }

  @Test func programsRunWithoutMpirun() throws {
    let result = try run(built("mpi-checks"), [])
    #expect(result.code == 0, "\(result)")
  }

  /// The job ends, with that rank's code, although the other ranks wait for ever. Hydra, the launcher of MPICH, passes the
  /// code of MPI_Abort on, but that of a rank that only exits may give way to the signal by which it ends the others.
  @Test(arguments: [("abort", 17), ("exit", 3)])
  func oneRanksFailureFailsTheJob(fault: String, code: Int32) throws {
    let result = try run(ranks: 3, [built("mpi-checks"), fault])
    let expected = fault == "exit" && mpirun.hasSuffix("hydra") ? [code, 9] : [code]
    #expect(!result.timedOut && expected.contains(result.code), "\(result)")
  }
}
