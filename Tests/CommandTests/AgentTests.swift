import Agents
import Foundation
import TestSupport
import Testing

/// What holds for one agent's runs holds for all agents'.
@Suite(.serialized) struct AgentTests {
  /// A run in two parts, the second on two ranks, is the run on one.
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)"), arguments: AgentKind.allCases)
  func resumesOnAnotherNumberOfRanks(agent: AgentKind) throws {
    let runs = Runs()
    let name = ["--agent", agent.rawValue]
    try runs.complete("straight", name + ["--steps", "30"])
    try runs.complete("parts", name + ["--steps", "15"])
    try runs.complete("parts", ranks: 2, name + ["--steps", "30", "--resume", "auto"])
    let (a, b) = (try runs.tensors("straight", 30), try runs.tensors("parts", 30))
    #expect(a.keys == b.keys)
    for (name, values) in a {
      let other = try #require(b[name])
      let difference = zip(values, other).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
      let norm = values.reduce(0.0) { $0 + Double($1 * $1) }
      #expect(difference.squareRoot() <= 1e-3 * norm.squareRoot(), "\(name)")
    }
    let (one, two) = (try runs.table("straight"), try runs.table("parts"))
    #expect(one.columns == two.columns && two.steps == Array(1...30))
    for column in one.columns where !column.hasPrefix("time/") {
      let (x, y) = (try one.numbers(column), try two.numbers(column))
      let scale = x.map(abs).max()!
      #expect(zip(x, y).allSatisfy { abs($0 - $1) <= 1e-3 * max(abs($0), 0.01 * scale) }, "\(column)")
    }
  }

  /// Its checkpoint plays what training played, and imitates when it has learned to.
  @Test(arguments: AgentKind.allCases) func itsCheckpointActs(agent: AgentKind) throws {
    let runs = Runs()
    let trained = try runs.complete("run", ["--agent", agent.rawValue, "--steps", "10"]).output
    let line = try #require(trained.split(separator: "\n").first { $0.hasPrefix("update 10: success") })
    let length = try #require(line.split(separator: "length ").last?.split(separator: " ").first)
    let imitates = trained.contains("behaviour cloning: ")
    let played = try run(
      built("fan-dist"),
      ["evaluate", runs.checkpoint("run", 10), "--episodes", "5"] + (imitates ? ["--behaviour"] : []))
    #expect(played.code == 0 && played.output.contains("length \(length) ± "), "\(played)")
    #expect(played.output.contains("behaviour cloning: ") == imitates, "\(played)")
  }

  @Test func noFlowNoImitation() throws {
    let runs = Runs()
    try runs.complete("run", ["--agent", "nbrac", "--steps", "3"])
    let result = try run(built("fan-dist"), ["evaluate", runs.checkpoint("run", 3), "--behaviour"])
    expectFailure(result, 64, ["--behaviour", "NBRAC"])
  }

  @Test(arguments: AgentKind.allCases) func itsGradientsPassTheCheck(agent: AgentKind) throws {
    let result = try run(
      built("fan-dist"),
      ["--agent", agent.rawValue, "--check", "--actor-hidden-dims", "9", "--value-hidden-dims", "8"])
    #expect(result.code == 0 && result.output.hasSuffix("all gradients agree on 32 samples\n"), "\(result)")
  }

  // MARK: Settings

  /// A run writes the settings that its agent reads, from the agent's own defaults, and no others.
  @Test func theConfigurationIsTheAgents() throws {
    let runs = Runs()
    try runs.complete("run", ["--agent", "fql", "--steps", "3", "--flow-steps", "4"])
    let lines = try runs.text("run", "config.yaml").split(separator: "\n")
    for line in ["agent: fql", "flow_steps: 4", "normalize_q_loss: false"] {
      #expect(lines.contains(Substring(line)), "\(lines)")
    }
    for name in ["expectile", "alpha2", "z_agg", "normalize_value_loss"] {
      #expect(!lines.contains { $0.hasPrefix("\(name):") }, "\(lines)")
    }
  }

  @Test func settingsOfOtherAgentsAreRefused() throws {
    let runs = Runs()
    expectFailure(
      try runs.train("run", "--agent", "faql", "--expectile", "0.7"), 64, ["--expectile", "faql"])
    let file = try runs.folder.write("agent: fql\nalpha1: 3\n", to: "c.yaml")
    expectFailure(try runs.train("run", "--config", file), 64, ["c.yaml", "alpha1", "fql"])
    expectFailure(try runs.train("run", "--agent", "nobody"), 64, ["--agent", "nobody"])
  }

  @Test func anotherAgentDoesNotContinue() throws {
    let runs = Runs()
    try runs.complete("run", ["--steps", "3"])
    let result = try runs.train("run", "--steps", "6", "--resume", "auto", "--agent", "nfql")
    expectFailure(result, 78, ["--agent fan", "nfql"])
  }
}
