import Agents
import ArrayFiles
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
  /// Observation size.
  public let observationSize: Int
  /// Action size.
  public let actionSize: Int
  /// Number of updates.
  public let steps: Int
  /// The agent's settings.
  public let hyperparameters: Hyperparameters
  /// The arrays.
  public let arrays: NpzFile

  private struct Header: Decodable {
    let agent: String
    let batchSize: Int
    let observationSize: Int
    let actionSize: Int
    let steps: Int
    let config: [String: Value]

    enum CodingKeys: String, CodingKey {
      case agent, steps, config
      case batchSize = "batch_size"
      case observationSize = "observation_dim"
      case actionSize = "action_dim"
    }
  }

  /// A value of `config`.
  private enum Value: Decodable {
    case switched(Bool)
    case text(String)

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
    observationSize = header.observationSize
    actionSize = header.actionSize
    steps = header.steps
    hyperparameters = try Self.hyperparameters(header.config)
    arrays = try NpzFile(path: json.deletingPathExtension().appendingPathExtension("npz").path)
  }

  /// The case's settings as arguments of our command; what is no hyperparameter here is passed over.
  private static func hyperparameters(_ config: [String: Value]) throws -> Hyperparameters {
    let names = Set(Hyperparameters.settingNames)
    var arguments: [String] = []
    for (key, value) in config.sorted(by: { $0.key < $1.key }) {
      let flag = key.replacing("_", with: "-")
      guard names.contains(flag) else { continue }
      switch value {
      case .switched(let on): arguments.append(on ? "--\(flag)" : "--no-\(flag)")
      case .text(let text): arguments += ["--\(flag)", text]
      }
    }
    return try Hyperparameters.parse(arguments)
  }
}
