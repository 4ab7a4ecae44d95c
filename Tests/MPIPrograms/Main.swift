import Foundation
import MPI

/// A complete MPI program: started under mpirun on any number of ranks, it checks the Swift face of MPI and what
/// is built on it. The first rank prints a line for each check; the exit code is 0 when all hold.
///
///     mpi-checks          all checks of MPI and the exchange
///     mpi-checks sampler  all checks of the sampler
///     mpi-checks abort    the last rank aborts with code 17 while the others wait for it
///     mpi-checks exit     the last rank leaves with code 3 while the others wait for it
@main
enum Main {
  static let checks: [(name: String, body: @Sendable (Communicator) throws -> Void)] = [
    ("reductions of Float", { try checkReductions(Float.self, $0) }),
    ("reductions of Double", { try checkReductions(Double.self, $0) }),
    ("reductions of Int64", { try checkReductions(Int64.self, $0) }),
    ("broadcast from every rank", checkBroadcast),
    ("split", checkSplit),
    ("split by node", checkNodes),
    ("shared window", checkWindow),
    ("what is held is freed", checkHoldings),
    ("releases", checkReleases),
    ("typed errors", checkErrors),
    ("together", checkTogether),
    ("agreement", checkAgreement),
    ("exchange, all ranks share memory", { try checkExchange($0, ranksPerNode: nil) }),
    ("exchange, messages alone", { try checkExchange($0, ranksPerNode: 1) }),
    ("exchange, two ranks a node", { try checkExchange($0, ranksPerNode: 2) }),
    ("exchange, three ranks a node", { try checkExchange($0, ranksPerNode: 3) }),
    ("a bit that differs", checkReplicas),
    ("learners in one process", checkLearnersInOneProcess),
    ("whole runs in one process", checkTrainingsInOneProcess),
  ]

  static func main() throws {
    try MPI.initialise()
    let world = try Communicator.world()
    let argument = CommandLine.arguments.dropFirst().first
    if let argument, argument != "sampler" { try fail(argument, world) }
    var failed = 0
    for check in argument == "sampler" ? samplerChecks + imageChecks : checks {
      var problem = ""
      do { try check.body(world) } catch { problem = "\(error)" }
      let failing = Int(try world.allReduce(Int64(problem.isEmpty ? world.size : world.rank), .min))
      let text = failing == world.size ? [] : try world.broadcast(Array(problem.utf8), from: failing)
      failed += text.isEmpty ? 0 : 1
      guard world.rank == 0 else { continue }
      let line = text.isEmpty ? "ok" : "FAILED on rank \(failing): \(String(decoding: text, as: UTF8.self))"
      print("\(check.name): \(line)")
    }
    try MPI.finalise()
    exit(failed == 0 ? 0 : 1)
  }

  private static func fail(_ fault: String, _ world: Communicator) throws {
    if world.rank == world.size - 1 {
      if fault == "abort" { MPI.abort(17) }
      exit(3)
    }
    try world.barrier()
  }
}

/// What a check found wrong.
struct Problem: Error, CustomStringConvertible {
  let description: String
}

func expect(_ condition: Bool, _ problem: @autoclosure () -> String) throws {
  if !condition { throw Problem(description: problem()) }
}
