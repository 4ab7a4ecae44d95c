import Agents
import Environments

/// Settings that a task comes with, applied before configuration file and flags.
public struct Preset: Sendable {
  /// What it is, for the log.
  public let name: String
  /// Settings for all agents, as arguments.
  private let common: [String]
  /// Settings that only some agents read, or that mean something else to each.
  private let particular: [AgentKind: [String]]

  /// The settings for an agent, as arguments.
  public func arguments(for agent: AgentKind) -> [String] { common + (particular[agent] ?? []) }

  /// The preset of a task, if it has one.
  public static func named(_ task: String) -> Preset? {
    // The small embedded task: a short horizon that small networks learn in minutes.
    guard task == PointMazeTask.defaultName else { return nil }
    return Preset(
      name: task,
      common: [
        "--steps", "30000", "--actor-hidden-dims", "64,64", "--value-hidden-dims", "64,64", "--lr", "0.001",
        "--discount", "0.97", "--tau", "0.02", "--log-interval", "500", "--eval-interval", "5000",
        "--save-interval", "5000",
      ],
      particular: [
        .fan: ["--alpha1", "3", "--alpha2", "0.1"], .faql: ["--alpha1", "3", "--alpha2", "0.1"],
        .fql: ["--alpha", "0.1"], .rebrac: ["--alpha-actor", "0.03"],
        // Fewer than published: enough for two numbers an action.
        .iqn: ["--num-quantiles", "8", "--num-samples", "8", "--embedding-dim", "64"],
        .codac: ["--num-quantiles", "8", "--embedding-dim", "64"], .valueFlows: ["--num-samples", "8"],
      ])
  }
}

extension Configuration {
  /// The settings that arguments give, over the agent's defaults and the preset of the task.
  ///
  /// - Throws: what the parser throws, and `Failure` for a setting that the agent does not read.
  public static func layered(_ arguments: [String]) throws -> Configuration {
    let named = try parse(arguments)
    let agent = named.hyperparameters.agent
    try agent.requireReads(arguments)
    return try parse(agent.defaults + (Preset.named(named.env)?.arguments(for: agent) ?? []) + arguments)
  }
}
