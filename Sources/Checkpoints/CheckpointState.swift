import Agents
import ArrayFiles
import Basics
import Foundation

/// What a checkpoint says beside its tensors.
public struct CheckpointState: Sendable {
  /// What a file holds.
  public enum Format: String, Sendable {
    /// Everything that a run needs to continue.
    case checkpoint = "fan-dist checkpoint 2"
    /// The tensors that the policy needs to act.
    case policy = "fan-dist policy 1"
  }

  /// What the file holds.
  public var format = Format.checkpoint
  /// Updates done.
  public var step: Int
  /// Adam steps done.
  public var optimiserSteps: Int
  /// The run's settings as a configuration file.
  public var configuration: String
  /// Digest of the dataset, hexadecimal.
  public var datasetDigest: String
  /// Digest of the validation data, or ``noValidation``; nil if they were not read, or the file is of a version that did
  /// not write it.
  public var validationDigest: String?
  /// What the agent knows about the dataset.
  public var spec: DataSpec
  /// The score of its policy, if it was saved because that was the best; nil when it was saved for another reason.
  public var score: EvaluationScore?
  /// The value of its policy by recorded episodes, if it was saved because that was the best.
  public var judgedValue: Double?
  /// Where the online phase of the run is, if it has one and has begun it.
  public var online: OnlineState?

  /// What stands for the digest of validation data where there are none.
  public static let noValidation = "none"

  /// The state as a file's metadata: texts by name.
  public var metadata: [String: String] {
    var metadata = [
      "format": format.rawValue, "version": version, "step": "\(step)",
      "optimiser_steps": "\(optimiserSteps)",
      "configuration": configuration, "dataset_digest": datasetDigest,
      "observation_size": "\(spec.observationSize)", "action_size": "\(spec.actionSize)",
      "smallest_reward": "\(spec.rewards.lowerBound)", "largest_reward": "\(spec.rewards.upperBound)",
    ]
    if spec.observation.isImage {
      metadata["observation_shape"] = spec.observation.shape.map(String.init).joined(separator: ",")
    }
    if let order = spec.observationOrder, let text = try? JSONEncoder().encode(order) {
      metadata["observation_order"] = String(decoding: text, as: UTF8.self)
    }
    if let scales = spec.scales, let text = try? Self.encoder.encode(scales) {
      metadata["scales"] = String(decoding: text, as: UTF8.self)
    }
    if let validationDigest { metadata["validation_digest"] = validationDigest }
    if let online { metadata["online"] = online.text }
    if let judgedValue { metadata["value"] = "\(judgedValue)" }
    if let score {
      metadata["success"] = "\(score.success)"
      metadata["return"] = "\(score.totalReward)"
    }
    return metadata
  }

  private static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return encoder
  }

  /// The state of a checkpoint from which a run continues.
  public init(
    step: Int, optimiserSteps: Int, configuration: String, datasetDigest: String, spec: DataSpec
  ) {
    self.step = step
    self.optimiserSteps = optimiserSteps
    self.configuration = configuration
    self.datasetDigest = datasetDigest
    self.spec = spec
  }

  /// Reads a file's metadata.
  init(_ file: SafetensorsFile) throws {
    func text(_ key: String) throws -> String {
      guard let value = file.metadata[key] else {
        throw FileError(.malformed, file: file.path, reason: "not a checkpoint of fan-dist: no '\(key)'")
      }
      return value
    }
    func number(_ key: String) throws -> Int {
      guard let value = Int(try text(key)), value >= 0, value <= 1 << 40 else {
        throw FileError(.malformed, file: file.path, reason: "'\(key)' is not a count")
      }
      return value
    }
    func reward(_ key: String) throws -> Double {
      guard let value = Double(try text(key)), value.isFinite else {
        throw FileError(.malformed, file: file.path, reason: "'\(key)' is not a number")
      }
      return value
    }
    guard let format = Format(rawValue: try text("format")) else {
      throw FileError(.malformed, file: file.path, reason: "not a checkpoint of this version of fan-dist")
    }
    self.format = format
    step = try number("step")
    optimiserSteps = try number("optimiser_steps")
    configuration = try text("configuration")
    datasetDigest = try text("dataset_digest")
    validationDigest = file.metadata["validation_digest"]
    let rewards = (try reward("smallest_reward"), try reward("largest_reward"))
    guard rewards.0 <= rewards.1 else {
      throw FileError(.malformed, file: file.path, reason: "the smallest reward is larger than the largest")
    }
    let order = try file.metadata["observation_order"].map { text in
      guard let order = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) else {
        throw FileError(.malformed, file: file.path, reason: "'observation_order' is not a list of names")
      }
      return order
    }
    let shape = file.metadata["observation_shape"].map { text in
      text.split(separator: ",").map { Int($0) ?? 0 }
    }
    guard let observation = ObservationSpace(shape: try shape ?? [number("observation_size")]) else {
      throw FileError(
        .malformed, file: file.path, reason: "'observation_shape' or 'observation_size' cannot be")
    }
    let actionSize = try number("action_size")
    let scales = try file.metadata["scales"].map { text in
      guard let scales = try? JSONDecoder().decode(DataScales.self, from: Data(text.utf8)),
        scales.fit(observation, actionSize: actionSize)
      else {
        throw FileError(.malformed, file: file.path, reason: "'scales' do not fit the sizes of the data")
      }
      return scales
    }
    spec = DataSpec(
      observation: observation, actionSize: actionSize, rewards: rewards.0...rewards.1,
      observationOrder: order, scales: scales)
    online = try file.metadata["online"].map { try OnlineState($0, file.path) }
    judgedValue = file.metadata["value"].flatMap(Double.init)
    if let success = file.metadata["success"].flatMap(Double.init),
      let totalReward = file.metadata["return"].flatMap(Double.init)
    {
      score = EvaluationScore(success: success, totalReward: totalReward)
    }
  }
}
