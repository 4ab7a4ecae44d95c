import Basics
import Foundation
import Logging
import MPI
import Running
import Settings

/// Whole runs in one process: two at the same time, each on half of the ranks; then both continued; then one on all
/// ranks. They leave nothing behind but their files.
func checkTrainingsInOneProcess(_ world: Communicator) throws {
  let before = MPI.holdings
  let folder = try sharedPath("\(NSTemporaryDirectory())/mpi-checks-\(getpid())", world)
  do {
    let half = try world.split(colour: world.rank % 2)
    let path = "\(folder)/half-\(world.rank % 2)"
    try train(path, updates: 4, seed: world.rank % 2, half)
    try train(path, updates: 6, seed: world.rank % 2, resumes: true, half)
  }
  try train("\(folder)/all", updates: 4, seed: 2, world)
  try expectRefusal("\(folder)/all", world)
  try expect(MPI.holdings == before, "\(MPI.holdings) are held instead of \(before)")
  try world.barrier()
  if world.rank == 0 { try FileManager.default.removeItem(atPath: folder) }
}

private func train(
  _ path: String, updates: Int, seed: Int, resumes: Bool = false, _ world: Communicator
) throws {
  let configuration = try Configuration.layered([
    "--steps=\(updates)", "--seed=\(seed)", "--actor-hidden-dims=8", "--value-hidden-dims=8",
    "--log-interval=2", "--eval-interval=2", "--eval-episodes=2", "--save-interval=3",
  ])
  let request = RunRequest(
    configuration, workers: try RunWorkerOptions.parse([]), directory: RunDirectory(path: path),
    resumes: resumes)
  let host = RunHost(
    logger: Logger(label: "mpi-checks") { _ in SwiftLogNoOpLogHandler() }, watch: { _ in },
    shouldStop: { false }, watchdog: try Watchdog(seconds: 600) { fatalError($0) })
  let summary = try Trainer.run(request, world: world, host: host)
  try expect(summary.steps == updates && !summary.wasStopped, "\(path): \(summary)")
  try expect((summary.policy != nil) == (world.rank == 0), "\(path): evaluated \(summary)")
}

/// Starts a run that fails on all ranks, which must give back what it takes, too.
private func expectRefusal(_ path: String, _ world: Communicator) throws {
  do {
    try train(path, updates: 4, seed: 2, world)
    throw Problem(description: "two runs write to \(path)")
  } catch let failure as Failure {
    try expect(failure.code == .cannotCreate, "\(failure)")
  }
}

/// Rank 0's path.
private func sharedPath(_ path: String, _ world: Communicator) throws -> String {
  String(decoding: try world.broadcast(Array(path.utf8)), as: UTF8.self)
}
