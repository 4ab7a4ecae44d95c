import ArrayFiles
import Basics
import Foundation
import Running
import Settings
import TestRuns
import TestSupport
import Testing

/// A run's directory: its checkpoints and its lock.
@Suite struct RunDirectoryTests {
  private let folder = TemporaryDirectory()
  private var directory: RunDirectory { RunDirectory(path: folder.file("run")) }

  /// Writes an empty file for each name.
  private func touch(_ names: String...) throws {
    try FileManager.default.createDirectory(atPath: directory.checkpoints, withIntermediateDirectories: true)
    for name in names { _ = try folder.write("", to: "run/checkpoints/\(name)") }
  }

  /// Writes checkpoints that nobody reads.
  private func touch(steps: [Int]) throws {
    for step in steps { try touch(URL(fileURLWithPath: directory.checkpoint(step: step)).lastPathComponent) }
  }

  private var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: directory.checkpoints).sorted() }
  }

  // MARK: Names

  @Test(arguments: [(12, "step-000000012"), (1_000_000_000, "step-1000000000")])
  func aCheckpointIsNamedByItsUpdate(step: Int, name: String) {
    #expect(directory.checkpoint(step: step) == "\(directory.checkpoints)/\(name).safetensors")
  }

  @Test func checkpointsAreFoundInTheOrderOfTheirUpdates() throws {
    try touch(steps: [1_000_000_000, 20, 3])
    #expect(try directory.steps(.periodic) == [3, 20, 1_000_000_000])
  }

  @Test func otherFilesAreNoPeriodicCheckpoints() throws {
    try touch(
      "best.safetensors", "unevaluated-000000007.safetensors", "step-.safetensors", "step-000000009.tmp",
      "step-x.safetensors")
    #expect(try directory.steps(.periodic) == [])
  }

  @Test func aRunThatHasSavedNothingHasNoCheckpoints() throws {
    #expect(try directory.steps(.periodic) == [])
  }

  // MARK: Which are kept

  @Test func theLastThreeCheckpointsAreKept() throws {
    try touch(steps: [10, 20, 30, 40, 50])
    try directory.prune(step: 50)
    #expect(try directory.steps(.periodic) == [30, 40, 50])
  }

  @Test func upToThreeCheckpointsAreAllKept() throws {
    try touch(steps: [10, 20, 30])
    try directory.prune(step: 30)
    #expect(try directory.steps(.periodic) == [10, 20, 30])
  }

  @Test func checkpointsBeyondTheNewestWholeOneDoNotCount() throws {
    try touch(steps: [10, 20, 30, 40, 50, 60])
    try directory.prune(step: 40)
    #expect(try directory.steps(.periodic) == [20, 30, 40, 50, 60])
  }

  @Test func checkpointsOfOtherPurposesAreNotPruned() throws {
    try touch(steps: [10, 20, 30, 40])
    try touch("best.safetensors", "unevaluated-000000005.safetensors")
    try directory.prune(step: 40)
    #expect(
      try names.prefix(1) == ["best.safetensors"] && names.suffix(1) == ["unevaluated-000000005.safetensors"])
  }

  // MARK: The newest

  private func save(_ steps: Int..., configuration: [String] = []) throws {
    let configuration = try smallConfiguration(.fan, configuration)
    for step in steps { try writeCheckpoint(configuration, step: step, to: directory.checkpoint(step: step)) }
  }

  /// The newest checkpoint's update, and what was said about others.
  private func newest() throws -> (step: Int?, rejected: [String]) {
    var rejected: [String] = []
    let checkpoint = try directory.newestCheckpoint { rejected.append($0) }
    return (checkpoint?.state.step, rejected)
  }

  @Test func theNewestCheckpointIsTaken() throws {
    try save(30, 10, 20)
    let (step, rejected) = try newest()
    #expect(step == 30 && rejected == [])
  }

  @Test func aDamagedCheckpointIsPassedOver() throws {
    try save(10, 20)
    try edit(directory.checkpoint(step: 20)) { $0[$0.count - 5] ^= 1 }
    let (step, rejected) = try newest()
    #expect(step == 10 && rejected.count == 1 && rejected[0].contains("step-000000020"), "\(rejected)")
  }

  @Test func aCheckpointThatWasCutOffIsPassedOver() throws {
    try save(10, 20)
    try edit(directory.checkpoint(step: 20)) { $0.removeLast(100) }
    #expect(try newest().step == 10)
  }

  /// Beginning anew is for whoever runs it to decide.
  @Test func withoutAWholeCheckpointThereIsAnError() throws {
    try touch(steps: [10, 20])
    let failure = #expect(throws: Failure.self) { try newest() }
    #expect(failure?.code == .data && failure?.message.contains("none of the 2 checkpoint(s)") == true)
  }

  @Test func withoutACheckpointThereIsNone() throws {
    #expect(try newest().step == nil)
    try touch("best.safetensors")
    #expect(try newest().step == nil)
  }

  @Test func checkpointsThatCannotBeListedAreAnError() throws {
    _ = try folder.write("", to: "file")
    try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: directory.checkpoints, withDestinationPath: folder.file("file"))
    #expect(throws: FileError.self) { try newest() }
    #expect(throws: FileError.self) { try directory.prune(step: 10) }
  }

  @Test func checkpointsOlderThanTheNewestWholeOneAreNotOpened() throws {
    try touch(steps: [10])
    try save(20)
    #expect(try newest().rejected == [])
  }

  // MARK: New directories

  @Test func directoriesOfTheSameMomentDiffer() throws {
    let date = Date(timeIntervalSince1970: 0)
    let names = try (0..<3).map { _ in
      try RunDirectory.fresh(task: "minari:D4RL/pen/human-v2", seed: 4, date: date, in: folder.file("runs"))
        .path
    }
    #expect(Set(names).count == 3 && names[2] == names[0] + "-3")
    #expect(names[0].hasPrefix(folder.file("runs/minari_D4RL_pen_human-v2-seed4-")))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("runs")).count == 3)
  }

  // MARK: The lock

  @Test func leftoversOfAKilledWriterAreRemoved() throws {
    try touch("step-000000010.safetensors.partial-12", "step-000000010.safetensors", "a.partial")
    _ = try directory.open(resuming: true)
    #expect(try names == ["a.partial", "step-000000010.safetensors"])
  }

  @Test func openingCreatesTheDirectories() throws {
    _ = try directory.open(resuming: false)
    #expect(try names == [])
  }

  @Test(arguments: [false, true]) func aSecondWriterIsRefused(resuming: Bool) throws {
    let lock = try directory.open(resuming: false)
    let failure = #expect(throws: Failure.self) { try directory.open(resuming: resuming) }
    #expect(
      failure?.code == .cannotCreate && failure?.message.contains("another run is writing here") == true)
    withExtendedLifetime(lock) {}
  }

  @Test func theNextWriterMayComeWhenTheFirstHasEnded() throws {
    _ = try directory.open(resuming: false)
    _ = try directory.open(resuming: false)
  }

  @Test func aDirectoryThatHoldsARunIsRefused() throws {
    _ = try directory.open(resuming: false)
    _ = try folder.write("step\n", to: "run/train.csv")
    let failure = #expect(throws: Failure.self) { try directory.open(resuming: false) }
    #expect(failure?.code == .cannotCreate && failure?.message.contains("--resume auto") == true)
  }

  @Test func aRunMayContinueInItsDirectory() throws {
    _ = try directory.open(resuming: false)
    _ = try folder.write("step\n", to: "run/train.csv")
    _ = try directory.open(resuming: true)
  }

  @Test func aPlaceWhereNoDirectoryCanBeIsRefused() throws {
    _ = try folder.write("", to: "file")
    let failure = #expect(throws: Failure.self) {
      try RunDirectory(path: folder.file("file/run")).open(resuming: false)
    }
    #expect(failure?.code == .cannotCreate && failure?.message.contains("file/run") == true)
  }
}
