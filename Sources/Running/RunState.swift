import Agents
import ArrayFiles
import Basics
import Checkpoints
import Learning
import MPI
import Settings
import TrainingData

/// The state of a run, which changes with every update: what has been learned, and in how many updates. Checkpoints
/// and snapshots are copies of it.
final class RunState {
  let learner: Learner
  /// Updates done.
  var step = 0

  private let configuration: Configuration
  private let datasetDigest: String
  private let validationDigest: String?
  private let spec: DataSpec
  /// What to do when the parameters are not finite.
  var remedy = SharedDataset.usualRemedy
  /// Updates done when the groups of ranks were last compared.
  private var comparedStep: Int?
  /// The state of the online phase that the run continues with, if it has begun; on rank 0.
  private(set) var online: OnlineState?
  /// The order of the entries of an observation in the environment, for data that do not say theirs.
  var environmentOrder: [String]?

  /// The state before the first update.
  init(
    _ learner: Learner, _ configuration: Configuration, datasetDigest: String, validationDigest: String?,
    _ spec: DataSpec
  ) {
    self.learner = learner
    self.configuration = configuration
    (self.datasetDigest, self.validationDigest) = (datasetDigest, validationDigest)
    self.spec = spec
  }

  // MARK: Start

  /// Starts on all ranks, from the newest whole checkpoint in the run's directory, from the checkpoint that the request
  /// names, or from the seed. Returns whether there was a checkpoint in the directory. Collective.
  ///
  /// - Parameter say: is told on rank 0 what goes on; warnings are about checkpoints that are passed over.
  func start(
    _ request: RunRequest, world: Communicator, say: (_ line: String, _ isWarning: Bool) -> Void
  ) throws -> Bool {
    let start: Start = try world.workTogether {
      guard world.rank == 0 else { return .seed }
      let rejected = { (line: String) in say("passed over a checkpoint: \(line)", true) }
      if request.resumes, let checkpoint = try request.directory.newestCheckpoint(rejected: rejected) {
        try restore(checkpoint, from: request.directory)
        say("continuing \(request.directory.path) after update \(step)", false)
        let before = try checkpoint.configuration()
        if let change = changedMeasure(since: checkpoint.state, before, configuration, validationDigest) {
          say("\(change): what is measured before update \(step) and after it does not compare", true)
        }
        return .resumed
      }
      if request.resumes {
        let first = request.origin == nil ? 0 : configuration.steps
        try request.directory.requireNothingSaved(configuration, from: first) { say($0, true) }
      }
      guard let origin = request.origin else { return .seed }
      let hasCollected = try begin(with: origin)
      say("beginning with \(origin), after its update \(step)", false)
      if hasCollected { say("\(origin): what its run had collected online is not taken along", true) }
      return .origin
    }
    var position = Int64(step)
    try world.broadcast(&position, count: MemoryLayout.size(ofValue: position))
    step = Int(position)
    let first = Start(rawValue: try world.broadcast([start.rawValue])[0])
    if first == .seed {
      try learner.start(seed: configuration.seed)
    } else {
      try learner.distribute()
    }
    try requireSameReplicas(world)
    return first == .resumed
  }

  /// What a run starts with.
  private enum Start: UInt8 { case seed, origin, resumed }

  /// Takes over what another run has learned. Returns whether that run had collected transitions.
  private func begin(with origin: String) throws -> Bool {
    let checkpoint = try Checkpoint(path: origin)
    let state = checkpoint.state
    guard state.datasetDigest == datasetDigest else {
      throw Failure(
        .configuration,
        "\(origin): was trained on data with digest \(state.datasetDigest), not \(datasetDigest); name its data with --dataset"
      )
    }
    guard state.step == configuration.steps else {
      throw Failure(
        .configuration,
        "\(origin): has done \(state.step) updates; leave out --steps, or give --steps \(state.step)")
    }
    do { try checkpoint.read(into: NamedTensors(of: learner)) } catch {
      throw try networkDifference(checkpoint).map {
        Failure(.configuration, "\(origin): its networks were trained \($0); leave that out")
      } ?? error
    }
    learner.optimiserSteps = state.optimiserSteps
    step = state.step
    return state.online != nil
  }

  /// The first setting on which the sizes of networks depend and that is another one in a checkpoint; nil if there is none.
  private func networkDifference(_ checkpoint: Checkpoint) throws -> String? {
    let shaping: Set = [
      "agent", "actor-hidden-dims", "value-hidden-dims", "layer-norm", "actor-layer-norm", "encoder",
      "num-ensembles", "num-cosines", "embedding-dim",
    ]
    func settings(_ all: [Setting]) -> [Setting] { all.filter { shaping.contains($0.name) } }
    return difference(settings(try checkpoint.configuration().identity), settings(configuration.identity))
  }

  private func restore(_ checkpoint: Checkpoint, from directory: RunDirectory) throws {
    let state = checkpoint.state
    let trained = try checkpoint.configuration()
    guard (trained.online.onlineSteps > 0) == (configuration.online.onlineSteps > 0) else {
      throw Failure(
        .configuration,
        "\(directory.path): was trained with --online-steps \(trained.online.onlineSteps), not \(configuration.online.onlineSteps); to go on online from an offline run, give its checkpoint to a new one with --from"
      )
    }
    if let difference = difference(trained.identity, configuration.identity) {
      throw Failure(
        .configuration,
        "\(directory.path): was trained \(difference); give the same settings to resume, or another --run-dir"
      )
    }
    guard state.datasetDigest == datasetDigest else {
      throw Failure(
        .configuration,
        "\(directory.path): was trained on data with digest \(state.datasetDigest), not \(datasetDigest)"
      )
    }
    guard state.step <= configuration.updates else {
      let isOnline = configuration.online.onlineSteps > 0
      let (name, given) =
        isOnline ? ("online-steps", configuration.online.onlineSteps) : ("steps", configuration.steps)
      let done = isOnline ? state.step - configuration.steps : state.step
      throw Failure(
        .configuration,
        "\(directory.path): has done \(done) updates, more than --\(name) \(given); give --\(name) \(done) or more to resume, or another --run-dir"
      )
    }
    let environments = configuration.online.onlineEnvironments
    if let online = state.online {
      guard online.episodes.count == environments, online.collected == online.rounds * environments else {
        throw Failure(.data, "\(directory.path): the state of the online phase contradicts the settings")
      }
    } else if state.step > configuration.steps {
      throw Failure(.data, "\(directory.path): has begun its online phase and does not say what it collected")
    }
    online = state.online
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
  ///
  /// - Parameters:
  ///   - online: the state of the online phase, if it has begun.
  ///   - judgedValue: the value of the policy, if it is saved because that is the best.
  func save(to path: String, online: OnlineState?, judgedValue: Double? = nil) throws {
    var state = checkpointState
    (state.online, state.judgedValue) = (online, judgedValue)
    try Checkpoint.write(path, state, NamedTensors(of: learner))
  }

  private var checkpointState: CheckpointState {
    var state = CheckpointState(
      step: step, optimiserSteps: learner.optimiserSteps, configuration: configuration.yaml,
      datasetDigest: datasetDigest, spec: spec.ordered(environmentOrder))
    state.validationDigest = validationDigest
    return state
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
  /// A hash of all bits of parameters, targets and moments, and of the number of Adam's steps.
  var digest: Digest {
    var digest = Digest()
    digest.update(UnsafeRawBufferPointer(memory.carried))
    withUnsafeBytes(of: optimiserSteps.littleEndian) { digest.update($0) }
    return digest
  }

  /// Throws on all ranks unless all groups of ranks hold the same bits of all that a checkpoint holds: parameters,
  /// targets and moments. Collective.
  package func requireSameReplicas(_ world: Communicator, after update: Int) throws {
    try world.requireAgreement(
      on: "the parameters or Adam's moments after update \(update)", digest.value,
      advice: "memory or network is unreliable; continue from the last checkpoint with --resume auto")
  }
}

/// What has changed, since a checkpoint of the same run, in how its policies are judged without an environment; nil if
/// nothing has. Values before and after such a change do not compare.
///
/// - Parameters:
///   - before: the configuration of the checkpoint.
///   - validationDigest: that of the validation data now; nil if they are left out.
func changedMeasure(
  since state: CheckpointState, _ before: Configuration, _ configuration: Configuration,
  _ validationDigest: String?
) -> String? {
  if let now = validationDigest, let before = state.validationDigest, before != now {
    return "the validation data had digest \(before) and have \(now)"
  }
  guard before.fqeInterval != nil, configuration.fqeInterval != nil else { return nil }
  return difference(before.fittedQ.settings, configuration.fittedQ.settings).map { "judged \($0)" }
}

/// The first setting that is another one than before, in words; nil if all are the same.
private func difference(_ before: [Setting], _ now: [Setting]) -> String? {
  func value(_ name: String, in settings: [Setting]) -> String? { settings.first { $0.name == name }?.value }
  for then in before where value(then.name, in: now) != then.value {
    return "with --\(then.name) \(then.value), not \(value(then.name, in: now) ?? "without it")"
  }
  return now.first { value($0.name, in: before) == nil }.map { "without --\($0.name) \($0.value)" }
}

extension Failure {
  /// The parameters after an update cannot be saved.
  static func notFinite(step: Int, _ remedy: String = SharedDataset.usualRemedy) -> Failure {
    Failure(
      .software,
      "update \(step): the parameters are not finite and are not saved; checkpoints before it are kept. \(remedy)"
    )
  }
}
