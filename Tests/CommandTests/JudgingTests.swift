import ArrayFiles
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

  /// A value is in the unit of the rewards, and as good in any: a power of two changes no bit.
  @Test(arguments: [0x1p30, 0x1p100] as [Float]) func valuesInAnyUnit(unit: Float) throws {
    _ = try train()
    func judged(in unit: Float) throws -> Double {
      var fixture = DatasetFixture(episodes: 6)
      fixture.rewards = fixture.terminals.indices.map { $0 % 3 == 0 ? -unit : -unit / 2 }
      let data = try fixture.write(to: runs.folder.file("unit.npz"))
      return try value(
        judge(["--fqe-updates", "200", "--fqe-hidden-dims", "16", "--fqe-seeds", "1", "--dataset", data]),
        "policy")
    }
    // As far as the printed digits go.
    let (scaled, plain) = (try judged(in: unit * 1024) / Double(unit), try judged(in: 1024))
    #expect(abs(scaled - plain) < 1e-5 * abs(plain) && plain < -512, "\(scaled) \(plain)")
  }

  /// Other data than the run's are not called the run's.
  @Test func dataThatHaveChangedAreRefused() throws {
    let data = try train()
    #expect(try line(judge(["--fqe-updates", "20"]), "judged by ").contains("the run's training data"))
    try DatasetFixture(episodes: 19).write(to: data)
    expectFailure(try judge([]), 78, ["data.npz", "digest", "--dataset"])
  }

  @Test func validationDataThatHaveChangedAreRefused() throws {
    let data = try train()
    var heldOut = DatasetFixture(episodes: 4)
    heldOut.rewards = heldOut.terminals.map { _ in -1 }
    try heldOut.write(to: runs.folder.file("data-val.npz"))
    expectFailure(try judge([]), 78, [data, "the run had none", "--dataset"])
    try FileManager.default.removeItem(atPath: runs.folder.file("run"))
    try runs.complete("run", "--dataset", data, "--steps", "10", "--eval-episodes", "0", "--discount", "0.5")
    #expect(try line(judge(["--fqe-updates", "20"]), "judged by ").contains("validation data, 4 episodes"))
    heldOut.rewards = heldOut.terminals.map { _ in -2 }
    try heldOut.write(to: runs.folder.file("data-val.npz"))
    expectFailure(try judge([]), 78, ["its validation data have digest", "--dataset"])
    try FileManager.default.removeItem(atPath: runs.folder.file("data-val.npz"))
    expectFailure(try judge([]), 78, ["its validation data have digest none"])
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

  /// Options that count only when episodes are played, and those that count only when none are.
  @Test func optionsOfTheOtherWayAreRefused() throws {
    _ = try train()
    let playing = [
      ["--episodes", "5"], ["--seed", "1"], ["--success", "any"], ["--behaviour"], ["--eval-workers", "1"],
      ["--video", "film.mp4"], ["--env-kwargs", "a=1"], ["--max-episode-steps", "5"],
      ["--reference-returns", "0,1"],
    ]
    for options in playing {
      expectFailure(try judge(options), 64, ["\(options[0]): --fqe plays no episodes; leave it out"])
    }
    for option in ["--fqe-updates", "--fqe-seeds", "--fqe-hidden-dims"] {
      expectFailure(
        try run(built("fan-dist"), ["evaluate", checkpoint, option, "8"]), 64, ["\(option) needs --fqe"])
    }
  }

  // MARK: During training

  /// The options of a run that is judged every five updates, by data of their own.
  private func judged(_ options: String...) throws -> [String] {
    var fixture = DatasetFixture(episodes: 20)
    fixture.rewards = fixture.terminals.indices.map { $0 % 3 == 0 ? 0 : -1 }
    let data = try fixture.write(to: runs.folder.file("data.npz"))
    var heldOut = DatasetFixture(episodes: 6)
    heldOut.observations = heldOut.observations.map { 1 - $0 }
    heldOut.rewards = heldOut.terminals.indices.map { $0 % 4 == 0 ? 0 : -1 }
    let path = try heldOut.write(to: runs.folder.file("held-out.npz"))
    return ["--dataset", data, "--val-dataset", path, "--eval-episodes", "0", "--fqe-interval", "5"]
      + ["--fqe-updates", "30", "--fqe-seeds", "3", "--fqe-hidden-dims", "16"] + options
  }

  private var unjudged: [String] {
    ["data", "held-out"].map { runs.folder.file("\($0).npz") }.enumerated().flatMap {
      [$0 == 0 ? "--dataset" : "--val-dataset", $1]
    } + ["--eval-episodes", "0"]
  }

  @Test(arguments: [nil, 2]) func judgingDoesNotChangeTheTraining(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let result = try runs.complete("run", ranks: ranks, try judged("--steps", "12"))
    try runs.complete("plain", ranks: ranks, unjudged + ["--steps", "12"])
    #expect(try runs.tensors("run", 12) == runs.tensors("plain", 12))
    #expect(try runs.table("run").timeless == runs.table("plain").timeless)
    let table = try runs.table("run", "fqe.csv")
    #expect(table.steps == [5, 10, 12, 12])
    #expect(table.rows.map { $0[1] } == ["policy", "policy", "policy", "behaviour"])
    // In three seeds nobody is at one value, and the mean lies between.
    let (low, high) = (try table.numbers("value_low"), try table.numbers("value_high"))
    for (index, value) in try table.numbers("value").enumerated() {
      #expect(low[index] <= value && value <= high[index] && low[index] < high[index])
    }
    let judging =
      "every 5 updates training waits while \(ranks ?? 1) of \(ranks ?? 1) rank(s) judge the policy"
    #expect(result.output.contains(judging), "\(result)")
    #expect(result.output.contains("update 5: value "), "\(result)")
    #expect(result.output.contains("judged by recorded episodes: value "), "\(result)")
    #expect(try runs.text("run", "config.yaml").contains("fqe_interval: 5\n"))
    #expect(try runs.text("run", "config.yaml").contains("fqe_updates: 30\n"))
  }

  /// One number for a policy, whoever computes it, and when.
  @Test func trainingJudgesAsTheCommandDoes() throws {
    try runs.complete("run", try judged("--steps", "10"))
    let result = try judge(["--fqe-updates", "30", "--fqe-seeds", "3", "--fqe-hidden-dims", "16"])
    let table = try runs.table("run", "fqe.csv")
    let row = try #require(table.rows.last { $0[0] == "10" && $0[1] == "policy" })
    #expect(abs(try value(result, "policy") - #require(Double(row[2]))) < 1e-3)
    let error = try #require(Double(line(result, "actions: ").split(separator: " ")[1]))
    #expect(abs(try #require(Double(row[5])) - error) < 1e-3, "\(result), \(row)")
  }

  @Test func theBestValueIsKeptWhereNoEpisodesArePlayed() throws {
    try runs.complete("run", try judged("--steps", "20"))
    let table = try runs.table("run", "fqe.csv")
    let values = try zip(table.numbers("value"), table.rows).filter { $1[1] == "policy" }
    let best = try #require(values.max { $0.0 < $1.0 })
    let file = try SafetensorsFile(path: runs.folder.file("run/checkpoints/best.safetensors"))
    #expect(file.metadata["step"] == best.1[0] && file.metadata["value"] == best.1[2])
    try runs.complete("played", try judged("--steps", "5", "--eval-episodes", "2"))
    let played = try SafetensorsFile(path: runs.folder.file("played/checkpoints/best.safetensors"))
    #expect(played.metadata["value"] == nil && played.metadata["success"] != nil)
  }

  @Test(arguments: [nil, 2]) func aRunThatWasContinuedIsJudgedAlike(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    try runs.complete("whole", ranks: ranks, try judged("--steps", "20"))
    try runs.complete("run", ranks: ranks, try judged("--steps", "10"))
    try runs.complete("run", ranks: ranks, try judged("--steps", "20", "--resume", "auto"))
    #expect(try runs.tensors("run", 20) == runs.tensors("whole", 20))
    var table = try runs.table("run", "fqe.csv").timeless
    // The end of the first part judged behaviour cloning, too.
    table.rows.removeAll { $0[0] == "10" && $0[1] == "behaviour" }
    #expect(table == (try runs.table("whole", "fqe.csv").timeless))
    let again = try runs.complete("run", ranks: ranks, try judged("--steps", "20", "--resume", "auto"))
    #expect(again.output.contains("judged by recorded episodes: value "), "\(again)")
    #expect(try runs.table("run", "fqe.csv").steps == [5, 10, 10, 15, 20, 20])
  }

  /// A run may go on with other validation data. Values of these take the place of the best, even smaller ones.
  @Test func otherValidationDataAreSaid() throws {
    let options = try judged()
    try runs.complete("run", options + ["--steps", "5"])
    var heldOut = DatasetFixture(episodes: 6)
    heldOut.rewards = heldOut.terminals.map { _ in -9 }
    try heldOut.write(to: runs.folder.file("held-out.npz"))
    let result = try runs.complete("run", options + ["--steps", "10", "--resume", "auto"])
    #expect(result.output.contains("the validation data had digest "), "\(result)")
    let best = try SafetensorsFile(path: runs.folder.file("run/checkpoints/best.safetensors"))
    #expect(best.metadata["step"] == "10")
  }

  /// Networks of other sizes, or that learn longer, judge in another way.
  @Test func otherNetworksAreSaid() throws {
    try runs.complete("run", judged("--steps", "5"))
    let values = try runs.table("run", "fqe.csv").numbers("value")
    try #require(values.allSatisfy { $0 < 0 })
    // Networks that have learned nothing find everything worse or better, and are not compared.
    for (steps, updates) in [(10, 1), (15, 200)] {
      let result = try runs.complete(
        "run", judged("--steps", "\(steps)", "--resume", "auto", "--fqe-updates", "\(updates)"))
      #expect(result.output.contains("judged with --fqe-updates "), "\(result)")
      let best = try SafetensorsFile(path: runs.folder.file("run/checkpoints/best.safetensors"))
      #expect(best.metadata["step"] == "\(steps)")
    }
  }

  /// A judgement that a signal interrupts is made when the run continues.
  @Test(arguments: [nil, 2]) func aSignalInterruptsAJudgement(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let line = runs.command("run", try judged("--steps", "10", "--fqe-updates", "10000000"))
    let command =
      if let ranks { try Command(mpirun, mpirunArguments([(ranks, line)])) } else {
        try Command(line[0], Array(line.dropFirst()))
      }
    #expect(command.wait(60) { command.output.contains("\n5/") })
    usleep(300_000)
    command.send(SIGUSR1)
    expectStopped(command.finish(), ranks: ranks, ["stopped by a signal after update 5"])
    try runs.complete("run", ranks: ranks, try judged("--steps", "10", "--resume", "auto"))
    #expect(try runs.table("run", "fqe.csv").steps == [5, 10, 10])
    try runs.complete("plain", ranks: ranks, unjudged + ["--steps", "10"])
    #expect(try runs.tensors("run", 10) == runs.tensors("plain", 10))
  }

  @Test func mistakesOfTrainingAreNamed() throws {
    func refused(_ code: Int32, _ parts: [String], _ options: [String]) throws {
      expectFailure(try run(ranks: nil, runs.command("refused", options + ["--steps", "5"])), code, parts)
    }
    let options = try judged()
    for interval in ["0", "-3"] {
      try refused(64, ["--fqe-interval must be positive"], options + ["--fqe-interval=\(interval)"])
    }
    try refused(
      64, ["--fqe-interval needs held-out episodes", "--val-dataset"],
      [options[0], options[1]] + ["--fqe-interval", "5"])
    try refused(64, ["--fqe-updates needs --fqe-interval"], ["--fqe-updates", "5"])
    try refused(66, ["none.npz"], options + ["--val-dataset", runs.folder.file("none.npz")])
    var wide = DatasetFixture(episodes: 4)
    wide.observationSize = 3
    wide.observations = [Float](repeating: 0.5, count: 21 * 4 * 3)
    wide.rewards = wide.terminals.map { _ in 0 }
    let path = try wide.write(to: runs.folder.file("wide.npz"))
    try refused(65, ["wide.npz", "3 numbers"], options + ["--val-dataset", path])
    let images = [
      "--env", Runs.visualMaze, "--encoder", "impala_debug", "--fqe-interval", "5", "--eval-episodes", "0",
    ]
    try refused(64, ["--fqe-interval", "images"], images)
  }
}
