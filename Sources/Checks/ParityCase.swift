import Agents
import ArrayFiles
import Basics
import Foundation
import Kernels

/// A case computed in double precision with the published implementation: `CASE.json` says what, `CASE.npz`
/// holds initial parameters and, for each step k, `stepK/batch/*`, `stepK/noise/*` and the results
/// `stepK/info/*`, `stepK/grads/*`, `stepK/params/*`.
public struct ParityCase {
  /// The files' name without extension.
  public let name: String
  /// The agent, such as `fan`.
  public let agent: String
  /// Rows of the batch.
  public let batchSize: Int
  /// Sizes, and the rewards that the case says its dataset has.
  public let spec: DataSpec
  /// Number of updates.
  public let steps: Int
  /// The agent's settings; nil when there is no such agent here.
  public let hyperparameters: Hyperparameters?
  /// The arrays.
  public let arrays: NpzFile

  private struct Header: Decodable {
    let agent: String
    let batchSize: Int
    let observationSize: Int?
    let observationShape: [Int]?
    let actionSize: Int
    let steps: Int
    let config: [String: Value]

    enum CodingKeys: String, CodingKey {
      case agent, steps, config
      case batchSize = "batch_size"
      case observationSize = "observation_dim"
      case observationShape = "observation_shape"
      case actionSize = "action_dim"
    }
  }

  /// A value of `config`.
  private enum Value: Decodable {
    case switched(Bool)
    case text(String)

    var number: Double? {
      if case .text(let text) = self { Double(text) } else { nil }
    }

    init(from decoder: Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let value = try? container.decode(Bool.self) {
        self = .switched(value)
      } else if let value = try? container.decode(Int.self) {
        self = .text("\(value)")
      } else if let value = try? container.decode(Double.self) {
        self = .text("\(value)")
      } else if let value = try? container.decode([Int].self) {
        self = .text(value.map(String.init).joined(separator: ","))
      } else {
        self = .text((try? container.decode(String.self)) ?? "")
      }
    }
  }

  /// Reads the case whose `.json` file is given.
  public init(json: URL) throws {
    let header = try JSONDecoder().decode(Header.self, from: Data(contentsOf: json))
    name = json.deletingPathExtension().lastPathComponent
    agent = header.agent
    batchSize = header.batchSize
    let lowest = header.config["min_reward"]?.number ?? 0
    spec = DataSpec(
      observation: try Self.observation(header), actionSize: header.actionSize,
      rewards: lowest...max(lowest, header.config["max_reward"]?.number ?? 0))
    steps = header.steps
    hyperparameters = try AgentKind(rawValue: agent).map { try Self.hyperparameters($0, header.config) }
    arrays = try NpzFile(path: json.deletingPathExtension().appendingPathExtension("npz").path)
  }

  /// What an observation is: `observation_dim` numbers, or an image of `observation_shape`.
  private static func observation(_ header: Header) throws -> ObservationSpace {
    let sizes = header.observationShape ?? header.observationSize.map { [$0] } ?? []
    guard sizes.allSatisfy({ (1...100_000).contains($0) }) else { throw ParityError.noObservation }
    switch sizes.count {
    case 1: return .vector(sizes[0])
    case 3: return .image(height: sizes[0], width: sizes[1], channels: sizes[2])
    default: throw ParityError.noObservation
    }
  }

  private enum ParityError: Error, CustomStringConvertible {
    case noObservation
    var description: String { "needs observation_dim, or observation_shape of height, width and channels" }
  }

  /// The case's settings as arguments of our command; what the agent does not read here is passed over.
  private static func hyperparameters(
    _ agent: AgentKind, _ config: [String: Value]
  ) throws -> Hyperparameters {
    var arguments = ["--agent", agent.rawValue] + agent.defaults
    // What some of the published codes call otherwise.
    let synonyms = ["num-flow-steps": "flow-steps", "value-layer-norm": "layer-norm"]
    for (key, value) in config.sorted(by: { $0.key < $1.key }) {
      let name = key.replacing("_", with: "-")
      let flag = synonyms[name] ?? name
      guard agent.reads(flag) else { continue }
      switch value {
      case .switched(let on): arguments.append(on ? "--\(flag)" : "--no-\(flag)")
      // Nothing, as for the encoder of vectors.
      case .text(""): continue
      case .text(let text): arguments += ["--\(flag)", text]
      }
    }
    return try Hyperparameters.parse(arguments)
  }
}
