import Agents
import ArgumentParser
import Basics
import Checks
import Foundation
import Kernels
import MPI
import Settings

/// `fan-parity DIR …`: compares the update with cases computed by the published implementations.
@main
struct FanParity: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fan-parity",
    abstract: "Compares the update with published results, case by case.",
    discussion: """
      Each DIR holds pairs CASE.json and CASE.npz. One line a case gives the worst relative error of figures, \
      gradients and parameters over all updates. Runs on one rank, or under mpirun with the batch split over \
      the ranks. Exit code: 0 when every case of a known agent is within the tolerance, 1 when not, 64 \
      when there are more ranks than a case has rows, 65 or 66 when a case cannot be read.
      """)

  @Argument(help: ArgumentHelp("Directories with cases.", valueName: "dir"))
  var directories: [String]

  @Option(help: "Largest relative error that passes.")
  var tolerance = 1e-4

  @Option(help: "Ranks that share memory; 1 exchanges by messages alone. All of a node by default.")
  var ranksPerNode: Int?

  @Option(help: "Kernels of the products; the fastest by default.")
  var products: ProductKernels?

  @Option(help: "Chunks of the batch for reproducible updates.")
  var reproducibleChunks: Int?

  func validate() throws {
    try require(
      reproducibleChunks.map(BatchChunks.isPossible) ?? true,
      "--reproducible-chunks must be a power of two between 1 and 65536")
  }

  func run() throws {
    BLAS.restartWithFittingKernels()
    try MPI.initialise()
    let world = try Communicator.world()
    do { try Launcher.requireTogether(world) } catch {
      if Launcher.rank ?? 0 == 0 { StandardStream.error.attempt("fan-parity: \(error.message)\n") }
      throw ExitCode(error.code.rawValue)
    }
    products?.use()
    do { try ProductKernels.reproduce(reproducibleChunks != nil) } catch {
      StandardStream.error.attempt("fan-parity: \(error.message)\n")
      throw ExitCode(error.code.rawValue)
    }
    var lost: Failure?
    var code = try report(world) { line in
      guard world.rank == 0, lost == nil else { return }
      do throws(Failure) { try StandardStream.output.say(line) } catch { lost = error }
    }
    if let lost {
      StandardStream.error.attempt("fan-parity: \(lost.message)\n")
      code = lost.code.rawValue
    }
    try MPI.finalise()
    throw ExitCode(code)
  }

  /// Runs all cases and returns the exit code.
  private func report(_ world: Communicator, print: (String) -> Void) throws -> Int32 {
    var cases: [URL] = []
    for directory in directories {
      let url = URL(fileURLWithPath: directory)
      guard let files = try? FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil)
      else {
        print("fan-parity: \(directory): cannot read this directory")
        return 66
      }
      let found = files.filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }
      guard !found.isEmpty else {
        print("fan-parity: \(directory): holds no case (CASE.json with CASE.npz)")
        return 66
      }
      cases += found
    }
    var (passed, failed, unknown) = (0, 0, 0)
    for file in cases {
      do {
        let parityCase = try ParityCase(json: file)
        guard let hyperparameters = parityCase.hyperparameters else {
          print("\(pad(parityCase.name)) agent '\(parityCase.agent)' is not built yet")
          unknown += 1
          continue
        }
        let result = try parityCase.run(
          hyperparameters, world: world, ranksPerNode: ranksPerNode, chunks: reproducibleChunks)
        let passes = result.largest <= tolerance
        print(line(parityCase.name, result, passes))
        if passes { passed += 1 } else { failed += 1 }
      } catch {
        print("fan-parity: \(file.lastPathComponent): \(error)")
        return (error as? Failure)?.code.rawValue ?? 65
      }
    }
    print("\(world.size) rank(s): \(passed) passed, \(failed) failed, \(unknown) of agents not built yet")
    return failed == 0 ? 0 : 1
  }

  private func line(_ name: String, _ result: ParityResult, _ passes: Bool) -> String {
    let errors = [
      ("figures", result.figures), ("gradients", result.gradients), ("parameters", result.parameters),
    ]
    let text = errors.map { "\($0) \(scientific($1))" }.joined(separator: "  ")
    guard !passes else { return "\(pad(name)) \(text)  ok" }
    let places = errors.filter { !($0.1 <= tolerance) }.compactMap { result.worst[$0.0] }
    return "\(pad(name)) \(text)  FAILED at \(places.joined(separator: ", "))"
  }

  private func pad(_ name: String) -> String { name.padding(toLength: 24, withPad: " ", startingAt: 0) }
}
