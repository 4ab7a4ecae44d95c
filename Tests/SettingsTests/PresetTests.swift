import Agents
import Settings
import Testing

/// Settings that tasks come with.
struct PresetTests {
  private func settings(_ arguments: String...) throws -> [String: String] {
    let configuration = try Configuration.layered(arguments)
    return Dictionary(uniqueKeysWithValues: configuration.allSettings.map { ($0.name, $0.value) })
  }

  @Test(arguments: Preset.all.map(\.tasks)) func allSettingsAreRead(tasks: String) throws {
    let preset = try #require(Preset.all.first { $0.tasks == tasks })
    for agent in AgentKind.allCases {
      for kind in PresetKind.allCases {
        let arguments = preset.arguments(for: agent, kind)
        try agent.requireReads(arguments)
        _ = try Configuration.parse(agent.defaults + arguments)
      }
    }
  }

  @Test(arguments: [
    ("antsoccer-arena-navigate-singletask-task4-v0", "fan", "10.0", "0.1"),
    ("cube-double-play-singletask-v0", "fan", "100.0", "0.0"),
    ("ogbench:cube-double-play-singletask-task2-v0", "faql", "100.0", "0.0"),
    ("puzzle-4x4-play-singletask-task4-v0", "faql", "1000.0", "0.0"),
    ("visual-antmaze-teleport-navigate-singletask-v0", "fan", "10.0", "0.3"),
    ("visual-cube-double-play-singletask-task1-v0", "fan", "100.0", "0.1"),
    ("minari:D4RL/antmaze/large-diverse-v1", "fan", "3.0", "0.03"),
    ("minari:D4RL/pen/cloned-v2", "fan", "1000.0", "0.0"),
    ("pen-cloned-v1", "fan", "1000.0", "0.0"),
    // Others have the agent's defaults.
    ("cube-single-play-singletask-v0", "fan", "10.0", "10.0"),
    ("cube-double-noisy-singletask-v0", "fan", "10.0", "10.0"),
    ("minari:D4RL/pen/cloned-v2", "faql", "10.0", "0.1"),
  ]) func byName(task: String, agent: String, alpha1: String, alpha2: String) throws {
    let settings = try settings("--env", task, "--agent", agent)
    #expect(settings["alpha1"] == alpha1 && settings["alpha2"] == alpha2, "\(settings)")
  }

  @Test func tasksWithImagesHaveAnEncoder() throws {
    for task in ["visual-scene-play-singletask-v0", "ogbench:visual-antmaze-medium-navigate-singletask-v0"] {
      let settings = try settings("--env", task, "--agent", "rebrac")
      #expect(settings["encoder"] == "impala_small" && settings["frame-stack"] == "3", "\(settings)")
      #expect(settings["p-aug"] == "0.5" && settings["steps"] == "500000", "\(settings)")
    }
    for maze in ["u-stitch", "giant-navigate"] {
      let settings = try settings("--env", "visual-pointmaze-\(maze)-singletask-v0")
      #expect(settings["encoder"] == "impala_debug" && settings["frame-stack"] == "1", "\(settings)")
    }
  }

  @Test func theRestOfD4RL() throws {
    let settings = try settings("--env", "minari:D4RL/relocate/expert-v2")
    #expect(settings["steps"] == "500000" && settings["discount"] == "0.99" && settings["z-agg"] == "min")
  }

  /// One line of each source's list.
  @Test(arguments: [
    ("fql", "antmaze-giant-navigate-singletask-task3-v0", ["discount=0.995", "q-agg=min", "alpha=10.0"]),
    ("fql", "minari:D4RL/antmaze/large-play-v1", ["alpha=3.0", "steps=500000", "q-agg=mean"]),
    ("rebrac", "humanoidmaze-medium-navigate-singletask-v0", ["alpha-actor=0.01", "alpha-critic=0.01"]),
    ("rebrac", "door-cloned-v1", ["alpha-critic=0.1", "steps=1000000", "value-hidden-dims=256,256,256"]),
    ("iqn", "minari:D4RL/hammer/cloned-v2", ["kappa=0.7", "quantile-agg=min"]),
    ("codac", "scene-play-singletask-task1-v0", ["kappa=0.95", "alpha=100.0", "discount=0.99"]),
    ("value-flows", "puzzle-4x4-play-singletask-v0", ["confidence-weight-temp=100.0", "q-agg=min"]),
    ("fan", "visual-puzzle-4x4-play-singletask-task1-v0", ["discount=0.995", "z-agg=min", "alpha2=0.1"]),
    ("fql", "visual-puzzle-3x3-play-singletask-v0", ["alpha=300.0", "discount=0.99", "frame-stack=3"]),
    ("rebrac", "visual-cube-double-play-singletask-v0", ["discount=0.995", "alpha-actor=0.1"]),
    ("rebrac", "visual-cube-single-play-singletask-v0", ["alpha-actor=1.0", "alpha-critic=0.0"]),
    ("iqn", "visual-antmaze-teleport-navigate-singletask-v0", ["kappa=0.8", "discount=0.99"]),
    ("value-flows", "visual-scene-play-singletask-task2-v0", ["ret-agg=min", "bcfm-lambda=1.0"]),
  ]) func ofEverySource(agent: String, task: String, expected: [String]) throws {
    let settings = try settings("--env", task, "--agent", agent)
    let all = settings.map { "\($0)=\($1)" }
    #expect(expected.allSatisfy(all.contains), "\(settings)")
  }

  @Test func theSourceIsSaid() throws {
    let cube = try #require(Preset.named("cube-double-play-singletask-v0"))
    #expect(
      cube.applied(to: .valueFlows, beside: [])
        == "preset of cube-double-play-singletask* from github.com/chongyi-zheng/value-flows, README.md: --discount=0.995 --confidence-weight-temp=3"
    )
    let visualCube = try #require(Preset.named("visual-cube-single-play-singletask-v0"))
    #expect(visualCube.source(for: .rebrac) == .fql && visualCube.source(for: .iqn) == nil)
    let door = try #require(Preset.named("minari:D4RL/door/human-v2"))
    #expect(door.applied(to: .fan, beside: [])?.hasSuffix("(published as well: alpha1=10000)") == true)
    // The number of updates is the benchmark's; settings of this agent were not published.
    #expect(door.source(for: .faql) == nil && door.applied(to: .faql, beside: [])?.contains("from") == false)
  }

  /// Published for FAN's runs that go on online.
  @Test(arguments: [
    ("antsoccer-arena-navigate-singletask-v0", "fan", ["10.0", "0.0", "10.0", "0.0"]),
    ("cube-double-play-singletask-v0", "fan", ["100.0", "0.0", "30.0", "0.0"]),
    ("cube-double-play-singletask-v0", "faql", ["100.0", "0.0", "30.0", "0.0"]),
    ("puzzle-3x3-play-singletask-v0", "fan", ["100.0", "3.0", "10.0", "0.0"]),
    ("puzzle-4x4-play-singletask-v0", "fan", ["100.0", "3.0", "100.0", "0.0"]),
    ("ogbench:scene-play-singletask-v0", "fan", ["100.0", "3.0", "10.0", "0.0"]),
  ]) func online(task: String, agent: String, weights: [String]) throws {
    for asked in [["--preset", "online"], ["--online-steps", "1000000"]] {
      let configuration = try Configuration.layered(["--env", task, "--agent", agent] + asked)
      let settings = Dictionary(uniqueKeysWithValues: configuration.allSettings.map { ($0.name, $0.value) })
      let names = ["alpha1", "alpha2", "online-alpha1", "online-alpha2"]
      #expect(names.map { settings[$0] } == weights, "\(settings)")
      #expect(configuration.steps == 1_000_000 && configuration.online.onlineSteps == 1_000_000)
      #expect(settings["discount"] == "0.995" && settings["updates-per-step"] == "1.0")
    }
  }

  /// Published for others' runs that go on online; where nothing was, the settings for the dataset alone stay.
  @Test(arguments: [
    ("antmaze-large-navigate-singletask-v0", "fql", ["10.0", "mean"], "chongyi-zheng/value-flows"),
    ("humanoidmaze-medium-navigate-singletask-v0", "fql", ["100.0", "mean"], "seohongpark/fql"),
    ("antsoccer-arena-navigate-singletask-v0", "fql", ["30.0", "mean"], "seohongpark/fql"),
    ("door-cloned-v1", "fql", ["1000.0", "min"], "seohongpark/fql"),
    ("minari:D4RL/relocate/cloned-v2", "fql", ["10000.0", "min"], "seohongpark/fql"),
    ("antmaze-large-play-v2", "fql", ["3.0", "mean"], "seohongpark/fql"),
    ("puzzle-4x4-play-singletask-v0", "iqn", ["0.8"], "chongyi-zheng/value-flows"),
    ("humanoidmaze-medium-navigate-singletask-v0", "iqn", ["0.7"], "chongyi-zheng/value-flows"),
    ("scene-play-singletask-v0", "nfql", ["300.0"], "published for training on the dataset alone"),
  ]) func onlineOfOthers(task: String, agent: String, values: [String], said: String) throws {
    let asked = ["--env", task, "--agent", agent, "--preset", "online"]
    let configuration = try Configuration.layered(asked)
    let settings = Dictionary(uniqueKeysWithValues: configuration.allSettings.map { ($0.name, $0.value) })
    let names = agent == "iqn" ? ["kappa"] : ["alpha", "q-agg"]
    #expect(zip(names, values).allSatisfy { settings[$0] == $1 }, "\(settings)")
    #expect(configuration.steps == 1_000_000 && configuration.online.onlineSteps == 1_000_000)
    let line = try #require(Preset.named(task)?.applied(to: AgentKind(rawValue: agent)!, .online, beside: []))
    #expect(line.contains(said), "\(line)")
  }

  @Test func anOnlinePresetCanBeLeftOut() throws {
    let settings = try settings(
      "--env", "scene-play-singletask-v0", "--preset", "offline", "--online-steps", "5")
    #expect(
      settings["alpha1"] == "100.0" && settings["online-alpha1"] == nil && settings["online-steps"] == "5")
  }

  @Test func flagsWin() throws {
    let task = "cube-double-play-singletask-v0"
    let settings = try settings("--env", task, "--alpha1", "7")
    #expect(settings["alpha1"] == "7.0" && settings["alpha2"] == "0.0")
    let preset = try #require(Preset.named(task))
    #expect(
      preset.applied(to: .fan, beside: ["--alpha1", "7"])
        == "preset of \(preset.tasks) from github.com/brianlsy98/FAN, bash_scripts: --alpha2=0")
    #expect(preset.applied(to: .fan, beside: ["--alpha1=7", "--alpha2=1"]) == nil)
    #expect(preset.applied(to: .fql, beside: ["--alpha=1"]) == nil)
  }
}
