import Foundation
import TestSupport
import Testing

/// `fan-dist evaluate --fqe`.
@Suite(.serialized) struct JudgingTests {
  private let runs = Runs()
  private static let short = ["--fqe-updates", "2000", "--fqe-hidden-dims", "16", "--fqe-seeds", "2"]

  private var checkpoint: String { runs.folder.file("run/checkpoints/step-000000010.safetensors") }

  /// A short run of the default task on data whose every reward is −1, with a discount of 0.5.
  private func train(_ options: String...) throws -> String {
    var fixture = DatasetFixture(episodes: 20)
    fixture.rewards = fixture.terminals.map { _ in -1 }
    let data = try fixture.write(to: runs.folder.file("data.npz"))
    try runs.complete(
      "run", ["--dataset", data, "--steps", "10", "--discount", "0.5", "--eval-episodes", "0"] + options)
    return data
  }

  private func judge(_ options: [String]) throws -> CommandResult {
    try run(built("fan-dist"), ["evaluate", checkpoint, "--fqe"] + options)
  }

  private func line(_ result: CommandResult, _ beginning: String) throws -> Substring {
    try #require(result.output.split(separator: "\n").first { $0.hasPrefix(beginning) }, "\(result)")
  }

  private func value(_ result: CommandResult, _ actor: String) throws -> Double {
    let line = try line(result, "\(actor): value ")
    return try #require(Double(line.split(separator: " ")[actor.split(separator: " ").count + 1]))
  }

  /// A reward of −1 for ever at a discount of 0.5 is −2, whatever the policy does.
  @Test func theValueOfAConstantReward() throws {
    let data = try train()
    let result = try judge(Self.short + ["--dataset", data])
    try #require(result.code == 0 && result.errors == "", "\(result)")
    #expect(abs(try value(result, "policy") + 2) < 0.2)
    #expect(abs(try value(result, "behaviour cloning") + 2) < 0.2)
    #expect(try line(result, "judged by ").hasSuffix("data.npz, 20 episodes"))
    #expect(try line(result, "policy, seed 1: ").contains("-"))
    #expect(try line(result, "actions: ").hasSuffix("% of their numbers at the bounds"))
  }

  @Test func theSameCommandGivesTheSameNumbers() throws {
    let data = try train()
    let options = ["--fqe-updates", "20", "--fqe-seeds", "1", "--dataset", data]
    let first = try judge(options)
    #expect(first.code == 0 && !first.output.contains("["), "\(first)")
    #expect(try judge(options).output == first.output)
  }

  @Test func theRunsValidationDataAreTheDefault() throws {
    try runs.complete("run", "--steps", "10", "--eval-episodes", "0", "--agent", "rebrac")
    let result = try judge(["--fqe-updates", "20", "--fqe-seeds", "1"])
    #expect(try line(result, "judged by ").contains("the run's validation data, 200 episodes"))
    // ReBRAC learns no flow of the data's actions.
    #expect(!result.output.contains("behaviour"))
  }

  @Test func mistakesAreNamed() throws {
    _ = try train()
    var wide = DatasetFixture(episodes: 4)
    wide.observationSize = 3
    wide.observations = [Float](repeating: 0.5, count: 21 * 4 * 3)
    wide.rewards = wide.terminals.map { _ in 0 }
    let path = try wide.write(to: runs.folder.file("wide.npz"))
    expectFailure(try judge(["--dataset", path]), 65, ["wide.npz", "3"])
    expectFailure(try judge(["--dataset", runs.folder.file("none.npz")]), 66, ["none.npz"])
    expectFailure(try judge(["--fqe-updates", "0"]), 64, ["--fqe-updates"])
    expectFailure(try judge(["--env", "pointmaze-medium-navigate-singletask-v0"]), 64, ["--env"])
    expectFailure(
      try run(built("fan-dist"), ["evaluate", checkpoint, "--dataset", path]), 64, ["--dataset is for --fqe"])
  }
}
