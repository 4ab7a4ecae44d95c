import ArrayFiles
import Basics
import Foundation
import Kernels
import Learning
import MPI
import Settings
import TrainingData

/// Facts about a run that are known before its first update, in words for people: for the log and for config.yaml.
struct RunFacts {
  private let configuration: Configuration
  private let data: SharedDataset
  private let program: String
  private let ranks: String
  /// Nil for a run of a job that has said it already.
  private let nodes: NodeFacts?
  private let memory: String
  private let batch: String
  private let buffer: String?

  /// The facts of a run. Collective.
  ///
  /// - Parameter isAlone: whether the run has the job to itself.
  init(
    _ configuration: Configuration, _ training: BatchSource, _ learner: Learner, world: Communicator,
    isAlone: Bool
  ) throws {
    self.configuration = configuration
    data = training.data
    program = "fan-dist \(version), \(MPI.libraryVersion), \(BLAS.description)"
    ranks =
      "\(world.size) rank(s) on \(try world.nodeCount()) node(s), \(configuration.threads) thread(s) each"
    nodes = isAlone ? try NodeFacts(world, threads: configuration.threads) : nil
    let share = megabytes(learner.memory.byteCount / learner.groupSize)
    memory = "\(data.place); parameters and gradients \(share) MB per rank"
    buffer = training.replay?.place
    let parameters = learner.layout.slots.reduce(0) { $0 + $1.count }
    batch =
      "batch \(configuration.hyperparameters.batchSize), up to \(training.sampler.batch.capacity) on a rank; "
      + "\(parameters) trained parameters; seed \(configuration.seed)"
  }

  /// The facts in the log, on rank 0.
  func say(to host: RunHost, _ directory: RunDirectory) {
    let lines =
      [program, ranks] + (nodes?.lines ?? []) + data.statistics.lines + scaleLines(data.spec.scales)
      + provenanceLines(data.provenance) + [
        memory
      ]
    for line in lines { host.logger.info("\(line)") }
    for warning in nodes?.warnings ?? [] { host.logger.warning("\(warning)") }
    for warning in data.statistics.warnings(areClipped: true) { host.logger.warning("dataset: \(warning)") }
    host.logger.info("\(batch)")
    if let buffer { host.logger.info("\(buffer)") }
    host.logger.info("writing to \(directory.path)")
  }

  /// Writes config.yaml, which repeats the run from any directory, with the facts as comments.
  func write(to directory: RunDirectory) throws {
    var repeated = configuration
    repeated.dataset = configuration.dataset.map { URL(fileURLWithPath: $0).path }
    repeated.valDataset = configuration.valDataset.map { URL(fileURLWithPath: $0).path }
    repeated.datasetDigest = data.digest
    let statistics =
      data.statistics.lines + scaleLines(data.spec.scales)
      + data.statistics.warnings(areClipped: true).map { "warning: \($0)" }
    let facts = ["\(program), \(ranks)"] + statistics
    let text = facts.map { "# \(printable($0, limit: .max))\n" }.joined() + repeated.yaml
    try writeFile(Array(text.utf8), path: directory.configuration)
  }
}
