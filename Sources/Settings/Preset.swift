import Agents
import Environments
import Glibc

/// Settings that a task comes with, by agent, applied before configuration file and flags.
public struct Preset: Sendable {
  /// The tasks it is for: a shell pattern for their names.
  public let tasks: String
  /// Settings for all agents: `NAME=VALUE NAME=VALUE`.
  private let common: String
  /// Settings of single agents, written likewise.
  private let particular: [AgentKind: String]
  /// Other published settings, as a text for people.
  private let alternative: String?

  private init(
    _ tasks: String, common: String = "", _ particular: [AgentKind: String], alternative: String? = nil
  ) {
    self.tasks = tasks
    self.common = common
    self.particular = particular
    self.alternative = alternative
  }

  /// All presets; the first one that fits counts.
  ///
  /// All but those of the mazes are the settings that FAN's authors publish for their runs (github.com/brianlsy98/FAN,
  /// `bash_scripts`), where they differ from an agent's defaults. For the ablations, the authors give settings of one
  /// task of each environment.
  public static let all: [Preset] = [
    // A short horizon that small networks learn in minutes.
    Preset(
      PointMazeTask.defaultName,
      common:
        "steps=30000 actor-hidden-dims=64,64 value-hidden-dims=64,64 lr=0.001 discount=0.97 tau=0.02 log-interval=500 eval-interval=5000 save-interval=5000",
      [
        .fan: "alpha1=3 alpha2=0.1", .faql: "alpha1=3 alpha2=0.1", .rebrac: "alpha-actor=0.03",
        .nfql: "alpha=1", .fql: "alpha=1",
        // Fewer than published; they suffice for actions of two numbers.
        .iqn: "num-quantiles=8 num-samples=8 embedding-dim=64", .codac: "num-quantiles=8 embedding-dim=64",
        .valueFlows: "num-samples=8",
      ]),

    // The mazes as images.
    Preset(
      "visual-pointmaze-u-*",
      common:
        "steps=10000 encoder=impala_debug actor-hidden-dims=64,64 value-hidden-dims=64,64 lr=0.001 discount=0.97 tau=0.02 log-interval=500 eval-interval=2000 save-interval=2000",
      [.fan: "alpha1=3 alpha2=0.1", .faql: "alpha1=3 alpha2=0.1", .rebrac: "alpha-actor=0.03"]),
    Preset("visual-pointmaze-*", common: "encoder=impala_debug", [:]),

    // OGBench as images.
    Preset(
      "visual-antmaze-medium-navigate-singletask*", common: ogbenchImages, [.fan: "alpha1=10 alpha2=0.1"]),
    Preset(
      "visual-antmaze-teleport-navigate-singletask*", common: ogbenchImages,
      [.fan: "z-agg=min alpha1=10 alpha2=0.3"]),
    Preset(
      "visual-{cube-double,puzzle-4x4}-play-singletask*", common: ogbenchImages,
      [.fan: "z-agg=min alpha1=100 alpha2=0.1"]),
    Preset("visual-*-singletask*", common: ogbenchImages, [:]),

    // OGBench.
    Preset(
      "antsoccer-arena-navigate-singletask*",
      [
        .fan: "alpha1=10 alpha2=0.1", .faql: "alpha1=10 alpha2=0.1", .nbrac: "alpha1=10 alpha2=0.1",
        .nfql: "alpha=30",
      ]),
    Preset(
      "cube-double-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=0", .faql: "alpha1=100 alpha2=0", .nbrac: "alpha1=100 alpha2=0",
        .nfql: "alpha=300",
      ]),
    Preset(
      "scene-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=100 alpha2=3", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=300",
      ]),
    Preset(
      "puzzle-3x3-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=100 alpha2=3", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=1000",
      ]),
    Preset(
      "puzzle-4x4-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=1000 alpha2=0", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=1000",
      ]),

    // D4RL, whose datasets Minari has. Where two values were published, all variants were run with both.
    Preset(
      "minari:D4RL/antmaze/{medium,large}-{play,diverse}-v*",
      [.fan: "steps=500000 discount=0.99 z-agg=min alpha1=3 alpha2=0.03"]),
    Preset(
      "minari:D4RL/pen/{human,cloned,expert}-v*",
      [.fan: "steps=500000 discount=0.99 z-agg=min alpha1=1000 alpha2=0"], alternative: "alpha2=1"),
    Preset(
      "minari:D4RL/door/{human,cloned,expert}-v*",
      [.fan: "steps=500000 discount=0.99 z-agg=min alpha1=3000 alpha2=10"], alternative: "alpha1=10000"),
    Preset(
      "minari:D4RL/hammer/{human,cloned,expert}-v*",
      [.fan: "steps=500000 discount=0.99 z-agg=min alpha1=10000 alpha2=0.3"], alternative: "alpha2=1"),
    Preset(
      "minari:D4RL/relocate/{human,cloned,expert}-v*",
      [.fan: "steps=500000 discount=0.99 z-agg=min alpha1=10000 alpha2=10"], alternative: "alpha1=30000"),
  ]

  /// What all published runs on OGBench's images have in common.
  private static let ogbenchImages =
    "steps=500000 discount=0.995 encoder=impala_small frame-stack=3 p-aug=0.5"

  /// The preset of a task, if it has one.
  public static func named(_ task: String) -> Preset? {
    let name = task.hasPrefix("ogbench:") ? String(task.dropFirst("ogbench:".count)) : task
    return all.first { preset in alternatives(preset.tasks).contains { fnmatch($0, name, 0) == 0 } }
  }

  /// The patterns without braces that a pattern with `{A,B}` stands for.
  private static func alternatives(_ pattern: String) -> [String] {
    guard let opening = pattern.firstIndex(of: "{"), let closing = pattern[opening...].firstIndex(of: "}")
    else { return [pattern] }
    let (before, after) = (pattern[..<opening], pattern[pattern.index(after: closing)...])
    return pattern[pattern.index(after: opening)..<closing].split(separator: ",").flatMap {
      alternatives("\(before)\($0)\(after)")
    }
  }

  /// The settings for an agent, as arguments.
  public func arguments(for agent: AgentKind) -> [String] {
    (common + " " + (particular[agent] ?? "")).split(separator: " ").map { "--\($0)" }
  }

  /// Says which settings of the preset apply beside what arguments set, nil if none does.
  public func applied(to agent: AgentKind, beside given: [String]) -> String? {
    func name(_ argument: String) -> Substring { argument.prefix { $0 != "=" } }
    let set = Set(given.map(name))
    let applied = arguments(for: agent).filter { !set.contains(name($0)) }
    guard !applied.isEmpty else { return nil }
    let also = particular[agent] == nil ? nil : alternative.map { " (published as well: \($0))" }
    return "preset of \(tasks): \(applied.joined(separator: " "))\(also ?? "")"
  }
}

extension Configuration {
  /// The agent's defaults, the preset of the task and some arguments, each overriding those before; and a line for the
  /// log that says what the preset gave.
  ///
  /// Called on the configuration that the arguments alone give.
  public func layered(under arguments: [String]) -> (arguments: [String], preset: String?) {
    let (agent, preset) = (hyperparameters.agent, Preset.named(env))
    return (
      agent.defaults + (preset?.arguments(for: agent) ?? []) + arguments,
      preset?.applied(to: agent, beside: arguments)
    )
  }

  /// The settings that arguments give, over the agent's defaults and the preset of the task.
  ///
  /// - Throws: what the parser throws, and `Failure` for a setting that the agent does not read.
  public static func layered(_ arguments: [String]) throws -> Configuration {
    let named = try parse(arguments)
    try named.hyperparameters.agent.requireReads(arguments)
    return try parse(named.layered(under: arguments).arguments)
  }
}
