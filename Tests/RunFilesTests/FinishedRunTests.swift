import Foundation
import Running
import Settings
import TestRuns
import TestSupport
import Testing

/// Which runs have come to their end.
@Suite struct FinishedRunTests {
  private let folder = TemporaryDirectory()
  private var directory: RunDirectory { RunDirectory(path: folder.file("run")) }

  /// Writes the last checkpoint of a run of 40 updates, and its evaluations.
  private func write(
    step: Int = 40, settings: [String] = [],
    evaluations: [String] = ["20,policy,done,50", "40,policy,done,50", "40,behaviour,done,50"]
  ) throws {
    try writeCheckpoint(
      smallConfiguration(.fan, ["--steps=40"] + settings), step: step, to: directory.checkpoint(step: step))
    let rows = ["step,actor,status,episodes"] + evaluations
    _ = try folder.write(rows.joined(separator: "\n") + "\n", to: "run/eval.csv")
  }

  /// Whether a run with these settings is finished.
  private func isFinished(_ settings: String...) throws -> Bool {
    directory.isFinished(try smallConfiguration(.fan, ["--steps=40"] + settings))
  }

  @Test func aRunThatIsSavedAndEvaluatedIsFinished() throws {
    try write()
    #expect(try isFinished())
  }

  @Test func aRunThatHasNotBegunIsNotFinished() throws {
    #expect(try !isFinished())
  }

  @Test func aRunWithUpdatesToGoIsNotFinished() throws {
    try write(step: 20, evaluations: ["20,policy,done,50"])
    #expect(try !isFinished())
  }

  @Test func aRunThatIsToDoMoreUpdatesIsNotFinished() throws {
    try write()
    #expect(try !isFinished("--steps=50"))
  }

  @Test(arguments: [
    [], ["20,policy,done,50"], ["40,behaviour,done,50"], ["40,policy,done,50"],
    ["40,policy,failed,50", "40,behaviour,done,50"], ["40,policy,done,50", "40,behaviour,failed,50"],
    ["140,policy,done,50", "140,behaviour,done,50"], ["40,policy,done,5", "40,behaviour,done,5"],
  ]) func withoutItsLastEvaluationARunIsNotFinished(evaluations: [String]) throws {
    try write(evaluations: evaluations)
    #expect(try !isFinished())
  }

  @Test func withoutATableOfEvaluationsARunIsNotFinished() throws {
    try write()
    try FileManager.default.removeItem(atPath: directory.evaluation)
    #expect(try !isFinished())
  }

  @Test func aRunThatEvaluatesNothingNeedsNoEvaluation() throws {
    try write(evaluations: [])
    #expect(try isFinished("--eval-episodes=0"))
  }

  @Test(arguments: ["--seed=1", "--alpha1=7", "--virtual-shards=8", "--agent=faql"])
  func aRunWithOtherSettingsIsNotFinished(setting: String) throws {
    try write()
    #expect(try !isFinished(setting))
  }

  @Test func aRunOnOtherDataIsNotFinished() throws {
    try write()
    #expect(try !isFinished("--dataset=other.npz"))
  }

  /// Whether they are other ones is seen when the run continues.
  @Test func aRunWhoseDataMayHaveChangedIsNotFinished() throws {
    try FileManager.default.createDirectory(
      atPath: folder.file("data"), withIntermediateDirectories: false)
    for (data, changed) in [("data.npz", "data.npz"), ("data", "data/rewards.npy")] {
      _ = try folder.write("before", to: changed)
      let settings = ["--dataset=\(folder.file(data))"]
      try write(settings: settings)
      #expect(try isFinished(settings[0]), "\(data)")
      _ = try folder.write("after", to: changed)
      #expect(try !isFinished(settings[0]), "\(data)")
      try FileManager.default.removeItem(atPath: folder.file(data))
      #expect(try isFinished(settings[0]), "\(data)")
    }
  }

  @Test(arguments: ["--log-interval=7", "--threads=2", "--save-interval=3", "--eval-interval=5"])
  func howOftenARunReportsDoesNotMatter(setting: String) throws {
    try write()
    #expect(try isFinished(setting))
  }

  @Test func aRunWhoseLastCheckpointIsDamagedIsNotFinished() throws {
    try write()
    try edit(directory.checkpoint(step: 40)) { $0[$0.count - 5] ^= 1 }
    #expect(try !isFinished())
  }
}
