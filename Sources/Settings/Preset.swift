import Agents
import ArgumentParser
import Basics
import Environments
import Glibc

/// What a preset is for.
public enum PresetKind: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// Training on the dataset alone.
  case offline
  /// Training on the dataset and then in the environment.
  case online
}

/// Settings that a task comes with, by agent, applied before configuration file and flags.
public struct Preset: Sendable {
  /// The tasks it is for: a shell pattern for their names.
  public let tasks: String
  /// Settings for all agents: `NAME=VALUE NAME=VALUE`.
  private let common: String
  /// Settings of single agents, written likewise.
  private let particular: [AgentKind: String]
  /// Settings of single agents for training that goes on online, on top of those; nil if there is no such preset.
  private let online: [AgentKind: String]?
  /// Settings of all agents for the same.
  private let onlineCommon: String
  /// Other published settings, as a text for people.
  private let alternative: String?

  private init(
    _ tasks: String, common: String = "", _ particular: [AgentKind: String],
    online: [AgentKind: String]? = nil, onlineCommon: String = publishedOnline, alternative: String? = nil
  ) {
    self.tasks = tasks
    self.common = common
    self.particular = particular
    self.online = online
    self.onlineCommon = onlineCommon
    self.alternative = alternative
  }

  /// Networks and intervals for the small maze.
  private static let smallMaze =
    "actor-hidden-dims=64,64 value-hidden-dims=64,64 lr=0.001 discount=0.97 tau=0.02 log-interval=500 eval-interval=5000 save-interval=5000"

  /// Settings of single agents for the small maze.
  private static let smallMazeAgents: [AgentKind: String] = [
    .fan: "alpha1=3 alpha2=0.1", .faql: "alpha1=3 alpha2=0.1", .rebrac: "alpha-actor=0.03",
    .nfql: "alpha=1", .fql: "alpha=1",
    // Fewer than published; they suffice for actions of two numbers.
    .iqn: "num-quantiles=8 num-samples=8 embedding-dim=64", .codac: "num-quantiles=8 embedding-dim=64",
    .valueFlows: "num-samples=8",
  ]

  /// The length of the published runs that go on online.
  private static let publishedOnline = "steps=1000000 online-steps=1000000"

  /// All presets; the first one that fits counts.
  ///
  /// All but the first two are the settings that FAN's authors publish for their runs (github.com/brianlsy98/FAN,
  /// `bash_scripts`), where they differ from an agent's defaults. For the ablations, the authors give settings of one
  /// task of each environment.
  public static let all: [Preset] = [
    // A short horizon that small networks learn in minutes.
    Preset(
      PointMazeTask.defaultName, common: "steps=30000 \(smallMaze)", smallMazeAgents),
    // The same with few data.
    Preset(
      PointMazeTask.scarceName, common: "steps=5000 \(smallMaze)", smallMazeAgents,
      online: [.fan: "online-alpha1=0.5 online-alpha2=0", .faql: "online-alpha1=0.5 online-alpha2=0"],
      onlineCommon: "online-steps=5000 log-interval=250 eval-interval=1000 save-interval=2500"),

    // OGBench.
    Preset(
      "antsoccer-arena-navigate-singletask*",
      [
        .fan: "alpha1=10 alpha2=0.1", .faql: "alpha1=10 alpha2=0.1", .nbrac: "alpha1=10 alpha2=0.1",
        .nfql: "alpha=30",
      ],
      online: [.fan: "alpha1=10 alpha2=0 online-alpha1=10 online-alpha2=0"]),
    Preset(
      "cube-double-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=0", .faql: "alpha1=100 alpha2=0", .nbrac: "alpha1=100 alpha2=0",
        .nfql: "alpha=300",
      ],
      online: [
        .fan: "alpha1=100 alpha2=0 online-alpha1=30 online-alpha2=0",
        .faql: "alpha1=100 alpha2=0 online-alpha1=30 online-alpha2=0",
      ]),
    Preset(
      "scene-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=100 alpha2=3", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=300",
      ],
      online: [.fan: "alpha1=100 alpha2=3 online-alpha1=10 online-alpha2=0"]),
    Preset(
      "puzzle-3x3-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=100 alpha2=3", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=1000",
      ],
      online: [.fan: "alpha1=100 alpha2=3 online-alpha1=10 online-alpha2=0"]),
    Preset(
      "puzzle-4x4-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=1000 alpha2=0", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=1000",
      ],
      online: [.fan: "alpha1=100 alpha2=3 online-alpha1=100 online-alpha2=0"]),

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

  /// Whether there is a preset for training that goes on online.
  public var hasOnline: Bool { online != nil }

  /// The settings for an agent, as arguments, each of them once.
  public func arguments(for agent: AgentKind, _ kind: PresetKind = .offline) -> [String] {
    var texts = [common, particular[agent] ?? ""]
    if kind == .online, let online { texts += [onlineCommon, online[agent] ?? ""] }
    var arguments: [String] = []
    for argument in texts.flatMap({ $0.split(separator: " ") }).map({ "--\($0)" }) {
      arguments.removeAll { Self.name($0) == Self.name(argument) }
      arguments.append(argument)
    }
    return arguments
  }

  private static func name(_ argument: String) -> Substring { argument.prefix { $0 != "=" } }

  /// Says which settings of the preset apply beside what arguments set, nil if none does.
  public func applied(
    to agent: AgentKind, _ kind: PresetKind = .offline, beside given: [String]
  ) -> String? {
    let set = Set(given.map(Self.name))
    let applied = arguments(for: agent, kind).filter { !set.contains(Self.name($0)) }
    guard !applied.isEmpty else { return nil }
    let also = particular[agent] == nil ? nil : alternative.map { " (published as well: \($0))" }
    let words = kind == .online && hasOnline ? "online preset" : "preset"
    return "\(words) of \(tasks): \(applied.joined(separator: " "))\(also ?? "")"
  }
}

extension Configuration {
  /// The agent's defaults, the preset of the task and some arguments, each overriding those before; and a line for the
  /// log that says what the preset gave.
  ///
  /// Called on the configuration that the arguments alone give.
  ///
  /// - Throws: `Failure` when an online preset is asked for and the task has none.
  public func layered(under arguments: [String]) throws(Failure) -> (arguments: [String], preset: String?) {
    let (agent, task) = (hyperparameters.agent, Preset.named(env))
    if preset == .online && task?.hasOnline != true {
      let tasks = Preset.all.filter(\.hasOnline).map(\.tasks).joined(separator: ", ")
      throw Failure(
        .usage,
        "--preset online: \(env) has no such preset; give --online-steps instead. The presets are of \(tasks)"
      )
    }
    let kind = preset ?? (online.onlineSteps > 0 ? .online : .offline)
    return (
      agent.defaults + (task?.arguments(for: agent, kind) ?? []) + arguments,
      task?.applied(to: agent, kind, beside: arguments)
    )
  }

  /// The settings that arguments give, over the agent's defaults and the preset of the task.
  ///
  /// - Throws: what the parser throws, and `Failure` for a setting that the agent does not read.
  public static func layered(_ arguments: [String]) throws -> Configuration {
    let named = try parse(arguments)
    try named.hyperparameters.agent.requireReads(arguments)
    return try parse(try named.layered(under: arguments).arguments)
  }
}
