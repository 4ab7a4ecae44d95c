import Agents
import Basics
import Checkpoints
import Environments
import MPI
import Settings
import TrainingData

/// The task of a run, and its data on all ranks.
struct RunData {
  let task: NamedTask
  let training: BatchSource
  /// Where losses are computed that nothing learns from, if there are such data.
  let validation: BatchSource?
  /// Whether there are validation data, also if they are too few for this number of ranks.
  let hasValidationData: Bool

  /// The digest of the validation data for checkpoints; nil if they were left out.
  var validationDigest: String? {
    validation?.data.digest ?? (hasValidationData ? nil : CheckpointState.noValidation)
  }

  /// What an agent needs to know about the data.
  var spec: DataSpec { training.data.spec }
  /// The most rows of a batch that this rank has.
  var mostRows: Int {
    max(training.sampler.batch.capacity, validation?.sampler.batch.capacity ?? 0)
  }

  /// Finds the data, imports them if need be, and shares them. Collective.
  ///
  /// - Parameter releases: is told what to free at the end.
  init(_ request: RunRequest, world: Communicator, _ host: RunHost, _ releases: Releases) throws {
    let configuration = request.configuration
    task = try world.together { try namedTask(configuration.env, configuration.environment) }
    var isLeftOut = false
    func leaveOut(_ warning: String) {
      host.logger.warning("\(warning)")
      isLeftOut = true
    }
    if let loaded = try host.datasets?.datasets(of: configuration) {
      training = try .training(configuration, on: loaded.training, world: world, releases)
      validation = try .validation(
        configuration, on: loaded.validation, like: training.data, world: world, warn: leaveOut)
      hasValidationData = loaded.validation != nil
      try requireJudge(configuration)
      return
    }
    let importing = DatasetLocation.Import(
      python: request.workers.python, isCancelled: host.shouldStop, say: { host.logger.info("\($0)") })
    let location = try DatasetLocation(configuration, task, importing, world: world)
    training = try .training(configuration, at: location, world: world, releases)
    validation = try .validation(
      configuration, at: location, like: training.data, world: world, releases, warn: leaveOut)
    hasValidationData = validation != nil || isLeftOut
    try requireJudge(configuration)
  }

  /// Throws if the policy is to be judged by recorded episodes and cannot be.
  private func requireJudge(_ configuration: Configuration) throws(Failure) {
    guard configuration.fqeInterval != nil else { return }
    guard !spec.observation.isImage else {
      throw Failure(.usage, "--fqe-interval judges no policies that see images; leave it out")
    }
    guard validation != nil else {
      throw Failure(
        .usage,
        hasValidationData
          ? "--fqe-interval needs at least as many held-out transitions as there are ranks; use fewer ranks, or more held-out data"
          : "--fqe-interval needs held-out episodes: name them with --val-dataset PATH")
    }
  }
}
