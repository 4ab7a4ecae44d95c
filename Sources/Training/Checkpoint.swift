import Agents
import ArrayFiles
import Foundation
import Networks

/// The tensors of a run in memory: what a checkpoint holds.
struct NamedTensors {
  let tensors: [(name: String, shape: [Int], base: UnsafeMutablePointer<Float>, count: Int)]

  /// Parameters and moments of every trained tensor, and the targets' parameters.
  init(_ layout: ParameterLayout, _ exchange: ParameterExchange) {
    var all: [(name: String, shape: [Int], base: UnsafeMutablePointer<Float>, count: Int)] = []
    for slot in layout.slots {
      all.append((slot.name, slot.shape, exchange.parameters + slot.offset, slot.count))
      all.append(("adam/first/\(slot.name)", slot.shape, exchange.moments.first + slot.offset, slot.count))
      all.append(("adam/second/\(slot.name)", slot.shape, exchange.moments.second + slot.offset, slot.count))
    }
    for slot in layout.targetSlots {
      all.append((slot.name, slot.shape, exchange.target + slot.offset, slot.count))
    }
    tensors = all
  }

  private init(_ tensors: [(name: String, shape: [Int], base: UnsafeMutablePointer<Float>, count: Int)]) {
    self.tensors = tensors
  }

  /// The same tensors in a copy of the memory they lie in.
  func moved(from old: UnsafeMutablePointer<Float>, to new: UnsafeMutablePointer<Float>) -> NamedTensors {
    NamedTensors(tensors.map { ($0.name, $0.shape, new + ($0.base - old), $0.count) })
  }
}

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
  /// What the agent knows about the dataset.
  public var spec: DataSpec
  /// What the evaluation of its policy came to, for which it was saved; nil when it was saved for another reason.
  var score: EvaluationScore?

  /// It as strings by name.
  public var metadata: [String: String] {
    var metadata = [
      "format": format.rawValue, "version": version, "step": "\(step)",
      "optimiser_steps": "\(optimiserSteps)",
      "configuration": configuration, "dataset_digest": datasetDigest,
      "observation_size": "\(spec.observationSize)", "action_size": "\(spec.actionSize)",
      "smallest_reward": "\(spec.rewards.lowerBound)", "largest_reward": "\(spec.rewards.upperBound)",
    ]
    if let score {
      metadata["success"] = "\(score.success)"
      metadata["return"] = "\(score.totalReward)"
    }
    return metadata
  }

  package init(
    step: Int, optimiserSteps: Int, configuration: String, datasetDigest: String, spec: DataSpec
  ) {
    self.step = step
    self.optimiserSteps = optimiserSteps
    self.configuration = configuration
    self.datasetDigest = datasetDigest
    self.spec = spec
  }

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
    let rewards = (try reward("smallest_reward"), try reward("largest_reward"))
    guard rewards.0 <= rewards.1 else {
      throw FileError(.malformed, file: file.path, reason: "the smallest reward is larger than the largest")
    }
    spec = DataSpec(
      observationSize: try number("observation_size"), actionSize: try number("action_size"),
      rewards: rewards.0...rewards.1)
    if let success = file.metadata["success"].flatMap(Double.init),
      let totalReward = file.metadata["return"].flatMap(Double.init)
    {
      score = EvaluationScore(success: success, totalReward: totalReward)
    }
  }
}

/// A checkpoint that has been opened and whose checksums hold.
public struct Checkpoint {
  /// What it says beside its tensors.
  public let state: CheckpointState
  private let file: SafetensorsFile

  /// Opens and verifies a checkpoint.
  ///
  /// - Parameter acceptsPolicy: whether a file that holds the policy alone will do.
  public init(path: String, acceptsPolicy: Bool = false) throws {
    file = try SafetensorsFile(path: path)
    state = try CheckpointState(file)
    guard state.format == .checkpoint || acceptsPolicy else {
      throw FileError(
        .malformed, file: path, reason: "holds an exported policy alone; this needs the checkpoint")
    }
    try file.verify()
  }

  /// The settings it was trained with.
  public func configuration() throws -> Configuration {
    do {
      return try Configuration.parse(try arguments(ofConfiguration: state.configuration, file: file.path))
    } catch let failure as Failure {
      throw Failure(.data, failure.message)
    } catch {
      throw Failure(
        .data, "\(file.path): its configuration does not parse: \(Configuration.message(for: error))")
    }
  }

  /// Throws unless the checkpoint has a tensor of this shape.
  public func require(_ name: String, shape: [Int]) throws {
    guard let tensor = file.tensors[name] else {
      throw FileError(.malformed, file: file.path, member: name, reason: "this tensor is missing")
    }
    guard tensor.shape == shape else {
      throw FileError(
        .malformed, file: file.path, member: name,
        reason: "shape \(tensor.shape) does not fit the networks, which have \(shape)")
    }
  }

  /// Reads one tensor; its shape must be the expected one.
  public func read(_ name: String, shape: [Int], into base: UnsafeMutablePointer<Float>) throws {
    try require(name, shape: shape)
    try file.read(name, into: UnsafeMutableBufferPointer(start: base, count: shape.reduce(1, *)))
  }

  func read(into memory: NamedTensors) throws {
    for tensor in memory.tensors { try read(tensor.name, shape: tensor.shape, into: tensor.base) }
  }

  static func write(_ path: String, _ state: CheckpointState, _ memory: NamedTensors) throws {
    try SafetensorsWriter.write(
      path: path, metadata: state.metadata,
      tensors: memory.tensors.map {
        ($0.name, $0.shape, UnsafeBufferPointer(start: $0.base, count: $0.count))
      })
  }
}
