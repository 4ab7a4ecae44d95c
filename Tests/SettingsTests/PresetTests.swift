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
      let arguments = preset.arguments(for: agent)
      try agent.requireReads(arguments)
      _ = try Configuration.parse(agent.defaults + arguments)
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
      #expect(settings["p-aug"] == "0.5" && settings["discount"] == "0.995", "\(settings)")
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

  @Test func flagsWin() throws {
    let task = "cube-double-play-singletask-v0"
    let settings = try settings("--env", task, "--alpha1", "7")
    #expect(settings["alpha1"] == "7.0" && settings["alpha2"] == "0.0")
    let preset = try #require(Preset.named(task))
    #expect(preset.applied(to: .fan, beside: ["--alpha1", "7"]) == "preset of \(preset.tasks): --alpha2=0")
    #expect(preset.applied(to: .fan, beside: ["--alpha1=7", "--alpha2=1"]) == nil)
    #expect(preset.applied(to: .fql, beside: []) == nil)
  }
}
