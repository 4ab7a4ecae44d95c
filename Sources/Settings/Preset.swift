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
  /// Where settings were published.
  public enum Source: String, Sendable {
    case fan = "github.com/brianlsy98/FAN, bash_scripts"
    case fanOnline = "github.com/brianlsy98/FAN, offline-to-online"
    case fql = "github.com/seohongpark/fql, README.md"
    case fqlPaper = "FQL's paper (arXiv 2502.02538)"
    case rebrac = "github.com/tinkoff-ai/CORL, configs/offline/rebrac"
    case valueFlows = "github.com/chongyi-zheng/value-flows, README.md"
  }

  private static let usualSources: [AgentKind: Source] = [
    .fan: .fan, .faql: .fan, .nfql: .fan, .nbrac: .fan, .fql: .fql, .rebrac: .fqlPaper,
    .iqn: .valueFlows, .codac: .valueFlows, .valueFlows: .valueFlows,
  ]
  private static let usualOnlineSources: [AgentKind: Source] = [
    .fan: .fanOnline, .faql: .fanOnline, .fql: .fql, .iqn: .valueFlows,
  ]

  /// The tasks it is for: a shell pattern for their names.
  public let tasks: String
  /// Settings for all agents: `NAME=VALUE NAME=VALUE`.
  private let common: String
  /// Settings of single agents, written likewise.
  private let particular: [AgentKind: String]
  /// Settings of single agents for training that goes on online, on top of those; nil if there is no such preset. Agents
  /// whose published settings are the same have an empty text.
  private let online: [AgentKind: String]?
  /// Settings of all agents for the same.
  private let onlineCommon: String
  /// Where they are from, of agents whose settings are not from their usual source.
  private let sources: [AgentKind: Source]
  /// The same of settings for training that goes on online.
  private let onlineSources: [AgentKind: Source]
  /// What people should know about them, by agent.
  public let notes: [AgentKind: String]

  private init(
    _ tasks: String, common: String = "", _ particular: [AgentKind: String],
    online: [AgentKind: String]? = nil, onlineCommon: String = publishedOnline,
    sources: [AgentKind: Source] = [:], onlineSources: [AgentKind: Source] = [:],
    notes: [AgentKind: String] = [:]
  ) {
    self.tasks = tasks
    self.common = common
    self.particular = particular
    self.online = online
    self.onlineCommon = onlineCommon
    self.sources = sources
    self.onlineSources = onlineSources
    self.notes = notes
  }

  /// Networks and intervals for the small maze.
  private static let smallMaze =
    "actor-hidden-dims=64,64 value-hidden-dims=64,64 lr=0.001 discount=0.97 tau=0.02 log-interval=500 eval-interval=5000 save-interval=5000"

  /// Settings of single agents for the small maze.
  private static let smallMazeAgents: [AgentKind: String] = [
    .fan: "alpha1=3 alpha2=0.1", .faql: "alpha1=3 alpha2=0.1", .rebrac: "alpha-actor=0.03",
    .nfql: "alpha=1", .fql: "alpha=1",
    // Fewer quantiles and candidates than published; they suffice for actions of two numbers.
    .iqn: "num-quantiles=8 num-samples=8 embedding-dim=64",
    .codac: "alpha=1 num-quantiles=8 embedding-dim=64",
    .valueFlows: "num-samples=8",
  ]

  /// The length of the published runs that go on online.
  private static let publishedOnline = "steps=1000000 online-steps=1000000"

  /// All presets; the first one that fits counts.
  ///
  /// All but those of the mazes are published settings, where they differ from an agent's defaults. For FAN's ablations
  /// and for most tasks of FAN itself, its authors give settings of one task of each environment.
  public static let all: [Preset] = [
    // A short horizon that small networks learn in minutes.
    Preset(
      PointMazeTask.defaultName, common: "steps=30000 \(smallMaze)", smallMazeAgents),
    // The same with few data.
    Preset(
      PointMazeTask.scarceName, common: "steps=5000 \(smallMaze)", smallMazeAgents,
      online: [.fan: "online-alpha1=0.5 online-alpha2=0", .faql: "online-alpha1=0.5 online-alpha2=0"],
      onlineCommon: "online-steps=5000 log-interval=250 eval-interval=1000 save-interval=2500"),

    // The mazes as images.
    Preset(
      "visual-pointmaze-u-*",
      common:
        "steps=5000 encoder=impala_debug actor-hidden-dims=64,64 value-hidden-dims=64,64 lr=0.001 discount=0.97 tau=0.02 log-interval=250 eval-interval=1000 save-interval=1000",
      [.fan: "alpha1=3 alpha2=0.1", .faql: "alpha1=3 alpha2=0.1", .rebrac: "alpha-actor=0.03"]),
    Preset("visual-pointmaze-*", common: "encoder=impala_debug", [:]),

    // OGBench as images.
    visual(
      "antmaze-medium-navigate", fan: "alpha1=10 alpha2=0.1", fql: "alpha=100",
      rebrac: "alpha-actor=0.01 alpha-critic=0.003", iqn: "",
      valueFlows: "bcfm-lambda=0.3 confidence-weight-temp=0.03"),
    visual(
      "antmaze-teleport-navigate", fan: "z-agg=min alpha1=10 alpha2=0.3", fql: "alpha=100",
      rebrac: "alpha-actor=0.01 alpha-critic=0.003", iqn: "kappa=0.8",
      valueFlows: "bcfm-lambda=0.3 confidence-weight-temp=0.03"),
    visual(
      "cube-single-play", fql: "alpha=300", rebrac: "alpha-actor=1 alpha-critic=0",
      sources: [.fql: .fql, .rebrac: .fql]),
    visual(
      "cube-double-play", fan: "z-agg=min alpha1=100 alpha2=0.1", fql: "alpha=100",
      rebrac: "discount=0.995 alpha-actor=0.1 alpha-critic=0", iqn: "", valueFlows: "discount=0.995",
      sources: [.fql: .fql], notes: [.fql: "published as well: discount=0.995"]),
    visual(
      "scene-play", fql: "alpha=100", rebrac: "alpha-actor=0.3 alpha-critic=0.01", iqn: "kappa=0.95",
      valueFlows: "ret-agg=min", sources: [.fql: .fql]),
    visual(
      "puzzle-3x3-play", fql: "alpha=300", rebrac: "alpha-actor=0.1 alpha-critic=0.003", iqn: "kappa=0.8",
      valueFlows: "bcfm-lambda=0.3 ret-agg=min", sources: [.fql: .fql]),
    visual(
      "puzzle-4x4-play", fan: "z-agg=min alpha1=100 alpha2=0.1", fql: "alpha=300", sources: [.fql: .fql]),
    visual("*"),

    // OGBench.
    Preset(
      "antmaze-large-navigate-singletask*",
      [.fql: "q-agg=min alpha=10", .rebrac: "alpha-actor=0.003 alpha-critic=0.01"],
      online: [.fql: "q-agg=mean alpha=10", .iqn: "kappa=0.7"], onlineSources: [.fql: .valueFlows]),
    Preset(
      "antmaze-giant-navigate-singletask*",
      [
        .fql: "discount=0.995 q-agg=min alpha=10",
        .rebrac: "discount=0.995 alpha-actor=0.003 alpha-critic=0.01",
      ]),
    Preset(
      "humanoidmaze-medium-navigate-singletask*", humanoidMaze,
      online: [.fql: "discount=0.995 alpha=100", .iqn: "discount=0.995 kappa=0.7"]),
    Preset("humanoidmaze-large-navigate-singletask*", humanoidMaze),
    Preset(
      "antsoccer-arena-navigate-singletask*",
      [
        .fan: "alpha1=10 alpha2=0.1", .faql: "alpha1=10 alpha2=0.1", .nbrac: "alpha1=10 alpha2=0.1",
        .nfql: "alpha=30", .fql: "discount=0.995 alpha=10",
        .rebrac: "discount=0.995 alpha-actor=0.01 alpha-critic=0.01",
      ],
      online: [.fan: "alpha1=10 alpha2=0 online-alpha1=10 online-alpha2=0", .fql: "alpha=30"]),
    Preset("cube-single-play-singletask*", [.fql: "alpha=300", .rebrac: "alpha-actor=1 alpha-critic=0"]),
    Preset(
      "cube-double-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=0", .faql: "alpha1=100 alpha2=0", .nbrac: "alpha1=100 alpha2=0",
        .nfql: "alpha=300", .fql: "alpha=300", .rebrac: "alpha-actor=0.1 alpha-critic=0",
        .iqn: "discount=0.995", .codac: "discount=0.995 kappa=0.95 alpha=300",
        .valueFlows: "discount=0.995 confidence-weight-temp=3",
      ],
      online: [
        .fan: "alpha1=100 alpha2=0 online-alpha1=30 online-alpha2=0",
        .faql: "alpha1=100 alpha2=0 online-alpha1=30 online-alpha2=0", .fql: "", .iqn: "",
      ]),
    Preset(
      "cube-triple-play-singletask*",
      [
        .fql: "discount=0.995 alpha=300", .rebrac: "discount=0.995 alpha-actor=0.03 alpha-critic=0",
        .iqn: "discount=0.995 kappa=0.8", .codac: "discount=0.995 kappa=0.95 alpha=100",
        .valueFlows: "discount=0.995 bcfm-lambda=3 confidence-weight-temp=0.03",
      ],
      online: [.fql: "", .iqn: ""], sources: [.fql: .valueFlows, .rebrac: .valueFlows],
      onlineSources: [.fql: .valueFlows]),
    Preset(
      "scene-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=100 alpha2=3", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=300", .fql: "alpha=300", .rebrac: "alpha-actor=0.1 alpha-critic=0.01",
        .iqn: "kappa=0.95", .codac: "kappa=0.95 alpha=100", .valueFlows: "ret-agg=min",
      ],
      online: [.fan: "alpha1=100 alpha2=3 online-alpha1=10 online-alpha2=0", .fql: "", .iqn: ""]),
    Preset(
      "puzzle-3x3-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=100 alpha2=3", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=1000", .fql: "alpha=1000", .rebrac: "alpha-actor=0.3 alpha-critic=0.01",
        .iqn: "discount=0.995 kappa=0.8", .codac: "discount=0.995 kappa=0.95 alpha=1000",
        .valueFlows: "bcfm-lambda=0.5 ret-agg=min",
      ],
      online: [.fan: "alpha1=100 alpha2=3 online-alpha1=10 online-alpha2=0"]),
    Preset(
      "puzzle-4x4-play-singletask*",
      [
        .fan: "alpha1=100 alpha2=3", .faql: "alpha1=1000 alpha2=0", .nbrac: "alpha1=100 alpha2=3",
        .nfql: "alpha=1000", .fql: "alpha=1000", .rebrac: "alpha-actor=0.3 alpha-critic=0.01",
        .iqn: "kappa=0.95", .codac: "kappa=0.95 alpha=1000",
        .valueFlows: "bcfm-lambda=3 confidence-weight-temp=100 q-agg=min",
      ],
      online: [
        .fan: "alpha1=100 alpha2=3 online-alpha1=100 online-alpha2=0", .fql: "", .iqn: "kappa=0.8",
      ]),

    // D4RL.
    antmaze("umaze", fql: "alpha=10", rebrac: "alpha-actor=0.003 alpha-critic=0.002"),
    antmaze("umaze-diverse", fql: "alpha=10", rebrac: "alpha-actor=0.003 alpha-critic=0.001"),
    antmaze("medium-play", fan: true, fql: "alpha=10", rebrac: "alpha-actor=0.001 alpha-critic=0.0005"),
    antmaze("medium-diverse", fan: true, fql: "alpha=10", rebrac: "alpha-actor=0.001 alpha-critic=0"),
    antmaze("large-play", fan: true, fql: "alpha=3", rebrac: "alpha-actor=0.002 alpha-critic=0.001"),
    antmaze("large-diverse", fan: true, fql: "alpha=3", rebrac: "alpha-actor=0.002 alpha-critic=0.002"),

    adroit(
      "pen", "human", fan: "alpha1=1000 alpha2=0", also: "alpha2=1", fql: 10_000, rebrac: (0.1, 0.5),
      iqn: "kappa=0.8 quantile-agg=min", codac: "kappa=0.8 alpha=10000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=3 ret-agg=min q-agg=min"),
    adroit(
      "pen", "cloned", fan: "alpha1=1000 alpha2=0", also: "alpha2=1", fql: 10_000, rebrac: (0.05, 0.5),
      iqn: "kappa=0.8 quantile-agg=min", codac: "kappa=0.8 alpha=10000",
      valueFlows: "bcfm-lambda=3 q-agg=min", online: [.fql: "alpha=1000"]),
    adroit(
      "pen", "expert", fan: "alpha1=1000 alpha2=0", also: "alpha2=1", fql: 3000, rebrac: (0.01, 0.01),
      iqn: "kappa=0.8 quantile-agg=min", codac: "kappa=0.8 alpha=10000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=3 q-agg=min"),
    adroit(
      "door", "human", fan: "alpha1=3000 alpha2=10", also: "alpha1=10000", fql: 30_000, rebrac: (0.1, 0.1),
      iqn: "quantile-agg=min", codac: "alpha=10000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=3 q-agg=min"),
    adroit(
      "door", "cloned", fan: "alpha1=3000 alpha2=10", also: "alpha1=10000", fql: 30_000, rebrac: (0.01, 0.1),
      iqn: "quantile-agg=min", codac: "alpha=30000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=10 ret-agg=min q-agg=min", online: [.fql: "alpha=1000"]),
    adroit(
      "door", "expert", fan: "alpha1=3000 alpha2=10", also: "alpha1=10000", fql: 30_000, rebrac: (0.05, 0.01),
      iqn: "", codac: "alpha=10000 alpha-penalty=0.01", valueFlows: "bcfm-lambda=10 ret-agg=min q-agg=min"),
    adroit(
      "hammer", "human", fan: "alpha1=10000 alpha2=0.3", also: "alpha2=1", fql: 30_000, rebrac: (0.01, 0.5),
      iqn: "kappa=0.7", codac: "kappa=0.8 alpha=30000", valueFlows: "bcfm-lambda=3 q-agg=min"),
    adroit(
      "hammer", "cloned", fan: "alpha1=10000 alpha2=0.3", also: "alpha2=1", fql: 10_000, rebrac: (0.1, 0.5),
      iqn: "kappa=0.7 quantile-agg=min", codac: "kappa=0.8 alpha=10000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=3 q-agg=min", online: [.fql: "alpha=1000"]),
    adroit(
      "hammer", "expert", fan: "alpha1=10000 alpha2=0.3", also: "alpha2=1", fql: 30_000, rebrac: (0.01, 0.01),
      iqn: "kappa=0.7", codac: "kappa=0.8 alpha=10000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=10 ret-agg=min q-agg=min"),
    adroit(
      "relocate", "human", fan: "alpha1=10000 alpha2=10", also: "alpha1=30000", fql: 10_000,
      rebrac: (0.1, 0.01), iqn: "", codac: "alpha=30000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=10 ret-agg=min q-agg=min"),
    adroit(
      "relocate", "cloned", fan: "alpha1=10000 alpha2=10", also: "alpha1=30000", fql: 30_000,
      rebrac: (0.1, 0.01), iqn: "", codac: "alpha=30000 alpha-penalty=0.01",
      valueFlows: "bcfm-lambda=3 q-agg=min", online: [.fql: "alpha=10000"]),
    adroit(
      "relocate", "expert", fan: "alpha1=10000 alpha2=10", also: "alpha1=30000", fql: 30_000,
      rebrac: (0.05, 0.01), iqn: "quantile-agg=min", codac: "alpha=10000",
      valueFlows: "bcfm-lambda=3 ret-agg=min q-agg=min"),
  ]

  private static let humanoidMaze: [AgentKind: String] = [
    .fql: "discount=0.995 alpha=30", .rebrac: "discount=0.995 alpha-actor=0.01 alpha-critic=0.01",
  ]

  // MARK: Images

  /// What all published runs on OGBench's images have in common.
  private static let ogbenchImages = "steps=500000 encoder=impala_small frame-stack=3 p-aug=0.5"

  private static func visual(
    _ task: String, fan: String? = nil, fql: String? = nil, rebrac: String? = nil, iqn: String? = nil,
    valueFlows: String? = nil, sources: [AgentKind: Source] = [:], notes: [AgentKind: String] = [:]
  ) -> Preset {
    let published = [AgentKind.fan: fan, .fql: fql, .rebrac: rebrac, .iqn: iqn, .valueFlows: valueFlows]
    return Preset(
      "visual-\(task)-singletask*", common: ogbenchImages, published.compactMapValues { $0 },
      sources: [.fql: .valueFlows, .rebrac: .valueFlows].merging(sources) { $1 }, notes: notes)
  }

  // MARK: D4RL

  // Tasks are D4RL's own, such as pen-human-v1, and Minari's, minari:D4RL/pen/human-v2.

  private static let updatesInD4RL = "steps=500000"
  private static let fanInD4RL = "discount=0.99 z-agg=min"
  private static let rebracInD4RL =
    "steps=1000000 actor-hidden-dims=256,256,256 value-hidden-dims=256,256,256"

  private static func antmaze(_ name: String, fan: Bool = false, fql: String, rebrac: String) -> Preset {
    var particular: [AgentKind: String] = [.fql: fql, .rebrac: "\(rebracInD4RL) discount=0.999 \(rebrac)"]
    if fan { particular[.fan] = "\(fanInD4RL) alpha1=3 alpha2=0.03" }
    return Preset(
      "{antmaze-\(name),minari:D4RL/antmaze/\(name)}-v*", common: updatesInD4RL, particular,
      online: [.fql: ""], sources: [.rebrac: .rebrac],
      notes: [
        .rebrac:
          "published with networks of ReLU, a learning rate of 0.00005 for the critics, and data imported with --reward-rule antmaze-rebrac"
      ])
  }

  private static func adroit(
    _ task: String, _ data: String, fan: String, also: String, fql alpha: Int,
    rebrac: (actor: Double, critic: Double), iqn: String, codac: String, valueFlows: String,
    online: [AgentKind: String]? = nil
  ) -> Preset {
    Preset(
      "{\(task)-\(data),minari:D4RL/\(task)/\(data)}-v*", common: updatesInD4RL,
      [
        .fan: "\(fanInD4RL) \(fan)", .fql: "q-agg=min alpha=\(alpha)",
        .rebrac: "\(rebracInD4RL) alpha-actor=\(rebrac.actor) alpha-critic=\(rebrac.critic)",
        .iqn: iqn, .codac: codac, .valueFlows: valueFlows,
      ],
      online: online, sources: [.rebrac: .rebrac],
      notes: [.fan: "published as well: \(also)", .rebrac: "published with networks of ReLU"])
  }

  /// The preset of a task, if it has one.
  public static func named(_ task: String) -> Preset? { all.first { isTask(task, like: $0.tasks) } }

  /// Whether there is a preset for training that goes on online.
  public var hasOnline: Bool { online != nil }

  /// The settings for an agent, as arguments, each of them once: those of the agent take the place of those for all,
  /// and those of online training the place of both.
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

  /// Where an agent's settings for these tasks were published; nil if they were not.
  public func source(for agent: AgentKind, _ kind: PresetKind = .offline) -> Source? {
    // The settings for the mazes are this project's.
    guard !tasks.contains("pointmaze") else { return nil }
    if kind == .online, online?[agent] != nil {
      return onlineSources[agent] ?? Self.usualOnlineSources[agent]
    }
    return particular[agent] == nil ? nil : sources[agent] ?? Self.usualSources[agent]
  }

  /// Says which settings of the preset apply beside what arguments set, and where they are from; nil if none does.
  public func applied(
    to agent: AgentKind, _ kind: PresetKind = .offline, beside given: [String]
  ) -> String? {
    let set = Set(given.map(Self.name))
    let applied = arguments(for: agent, kind).filter { !set.contains(Self.name($0)) }
    guard !applied.isEmpty else { return nil }
    let words = kind == .online && hasOnline ? "online preset" : "preset"
    let origin = source(for: agent, kind).map { " from \($0.rawValue)" } ?? ""
    let isForDataAlone =
      kind == .online && hasOnline && online?[agent] == nil && source(for: agent) != nil
    let remarks = [notes[agent], isForDataAlone ? "published for training on the dataset alone" : nil]
      .compactMap(\.self)
    let note = remarks.isEmpty ? "" : " (\(remarks.joined(separator: "; ")))"
    return "\(words) of \(tasks)\(origin): \(applied.joined(separator: " "))\(note)"
  }
}

/// Whether a task's name, with or without `ogbench:`, fits a shell pattern, in which `{A,B}` stands for A and for B.
public func isTask(_ task: String, like pattern: String) -> Bool {
  let name = task.hasPrefix("ogbench:") ? String(task.dropFirst("ogbench:".count)) : task
  return alternatives(pattern).contains { fnmatch($0, name, 0) == 0 }
}

/// The patterns without braces that a pattern with `{A,B}` stands for.
private func alternatives(_ pattern: String) -> [String] {
  guard let opening = pattern.firstIndex(of: "{"), let closing = pattern[opening...].firstIndex(of: "}")
  else { return [pattern] }
  let (before, after) = (pattern[..<opening], pattern[pattern.index(after: closing)...])
  return pattern[pattern.index(after: opening)..<closing].split(
    separator: ",", omittingEmptySubsequences: false
  )
  .flatMap { alternatives("\(before)\($0)\(after)") }
}

extension Configuration {
  /// The agent's defaults, the preset of the task and some arguments, each overriding those before; and a line for the
  /// log that says what the preset gave.
  ///
  /// Called on the configuration that the arguments alone give.
  ///
  /// - Throws: `Failure` when an online preset is asked for and the task has none.
  public func layered(under arguments: [String]) throws(Failure) -> (arguments: [String], preset: String?) {
    let (agent, task) = (hyperparameters.agent, Preset.named(benchmarkTask))
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
