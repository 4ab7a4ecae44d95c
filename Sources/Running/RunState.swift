import Agents
import ArrayFiles
import Basics
import Checkpoints
import Learning
import MPI
import Settings

/// The state of a run, which changes with every update: what has been learned, and in how many updates. Checkpoints
/// and snapshots are copies of it.
final class RunState {
  let learner: Learner
  /// Updates done.
  var step = 0

  private let configuration: Configuration
  private let datasetDigest: String
  private let spec: DataSpec
  /// What to do when the parameters are not finite.
  var remedy = Failure.lowerRate
  /// Updates done when the groups of ranks were last compared.
  private var comparedStep: Int?
  /// The order of the entries of an observation in the environment, for data that do not say theirs.
  var environmentOrder: [String]?

  /// The state before the first update.
  init(_ learner: Learner, _ configuration: Configuration, datasetDigest: String, _ spec: DataSpec) {
    self.learner = learner
    self.configuration = configuration
    self.datasetDigest = datasetDigest
    self.spec = spec
  }

  // MARK: Start

  /// Starts on all ranks, from the newest whole checkpoint in the run's directory or from the seed. Returns whether
  /// there was a checkpoint. Collective.
  ///
  /// - Parameter say: is told on rank 0 what goes on; warnings are about checkpoints that are passed over.
  func start(
    _ request: RunRequest, world: Communicator, say: (_ line: String, _ isWarning: Bool) -> Void
  ) throws -> Bool {
    let isResumed = try world.workTogether {
      guard world.rank == 0, request.resumes else { return false }
      let rejected = { (line: String) in say("passed over a checkpoint: \(line)", true) }
      guard let checkpoint = try request.directory.newestCheckpoint(rejected: rejected) else { return false }
      try restore(checkpoint, from: request.directory)
      say("continuing \(request.directory.path) after update \(step)", false)
      return true
    }
    var position = Int64(step)
    try world.broadcast(&position, count: MemoryLayout.size(ofValue: position))
    step = Int(position)
    if try world.broadcast([isResumed ? 1 : 0])[0] == 1 {
      try learner.distribute()
    } else {
      try learner.start(seed: configuration.seed)
    }
    try requireSameReplicas(world)
    return isResumed
  }

  private func restore(_ checkpoint: Checkpoint, from directory: RunDirectory) throws {
    let state = checkpoint.state
    let saved = try checkpoint.configuration().identity
    if let (now, then) = zip(configuration.identity, saved).first(where: { $0 != $1 }) {
      throw Failure(
        .configuration,
        "\(directory.path): was trained with --\(then.name) \(then.value), not \(now.value); give the same settings to resume, or another --run-dir"
      )
    }
    guard state.datasetDigest == datasetDigest else {
      throw Failure(
        .configuration,
        "\(directory.path): was trained on data with digest \(state.datasetDigest), not \(datasetDigest)"
      )
    }
    guard state.step <= configuration.steps else {
      throw Failure(
        .configuration,
        "\(directory.path): has done \(state.step) updates, more than --steps \(configuration.steps); give --steps \(state.step) or more to resume, or another --run-dir"
      )
    }
    try checkpoint.read(into: NamedTensors(of: learner))
    learner.optimiserSteps = state.optimiserSteps
    step = state.step
  }

  // MARK: Checkpoints

  /// A copy to be evaluated while the run goes on. This rank may take it alone: the others change the numbers only
  /// after all ranks have computed the gradients of the next update.
  func snapshot() -> Snapshot { Snapshot(checkpointState, of: learner) }

  /// A snapshot that an earlier run has saved.
  func snapshot(_ checkpoint: Checkpoint) throws -> Snapshot { try Snapshot(checkpoint, like: learner) }

  /// Throws unless the numbers can be saved: a finite gradient can still lead to parameters that are not finite, at an
  /// absurd learning rate.
  func requireFinite() throws {
    guard learner.memory.isFinite else { throw Failure.notFinite(step: step, remedy) }
  }

  /// Writes a checkpoint.
  func save(to path: String) throws {
    try Checkpoint.write(path, checkpointState, NamedTensors(of: learner))
  }

  private var checkpointState: CheckpointState {
    CheckpointState(
      step: step, optimiserSteps: learner.optimiserSteps, configuration: configuration.yaml,
      datasetDigest: datasetDigest, spec: spec.ordered(environmentOrder))
  }

  // MARK: Replicas

  /// Throws on all ranks unless all groups of ranks hold the same bits. Once an update suffices: nothing changes them
  /// until the next one. Collective.
  func requireSameReplicas(_ world: Communicator) throws {
    guard comparedStep != step else { return }
    try learner.requireSameReplicas(world, after: step)
    comparedStep = step
  }
}

extension Learner {
  /// Throws on all ranks unless all groups of ranks hold the same bits of all that a checkpoint holds: parameters,
  /// targets and moments. Collective.
  package func requireSameReplicas(_ world: Communicator, after update: Int) throws {
    var digest = Digest()
    digest.update(UnsafeRawBufferPointer(memory.carried))
    withUnsafeBytes(of: optimiserSteps.littleEndian) { digest.update($0) }
    try world.requireAgreement(
      on: "the parameters or Adam's moments after update \(update)", digest.value,
      advice: "memory or network is unreliable; continue from the last checkpoint with --resume auto")
  }
}

extension Failure {
  /// The parameters after an update cannot be saved.
  static func notFinite(step: Int, _ remedy: String = lowerRate) -> Failure {
    Failure(
      .software,
      "update \(step): the parameters are not finite and are not saved; checkpoints before it are kept. \(remedy)"
    )
  }

  /// What to do when numbers become too large, if nothing more is known.
  static let lowerRate = "Lower --lr, or look with --check"
}
