import Foundation
import TestSupport
import Testing

/// Runs whose calls to the system fail, garble or are interrupted: the short form of `launch/drill`.
@Suite(.serialized, .enabled(if: hasCompiler, "there is no C compiler")) struct FaultTests {
  private static let options = [
    "--steps", "40", "--log-interval", "4", "--eval-interval", "10", "--save-interval", "10", "--resume",
    "auto",
  ]

  /// Runs with a fault; without one if that is nil.
  private func train(_ runs: Runs, _ name: String, _ fault: String?, on file: String = "") throws
    -> CommandResult
  {
    let variables = fault.map { ["DRILL_FAULT": $0, "DRILL_FILE": file] }
    return try run(
      ranks: nil, runs.command(name, Self.options), environment: variables.map { try runs.faults($0) } ?? [:])
  }

  /// Continues the run, which must come to what an undisturbed one comes to.
  private func expectTheSame(_ runs: Runs, _ place: String) throws {
    let result = try train(runs, "run", nil)
    try #require(result.code == 0, "\(place): \(result)")
    try runs.complete("straight", Self.options)
    #expect(try runs.tensors("run", 40) == runs.tensors("straight", 40), "\(place)")
    for file in ["train.csv", "eval.csv"] {
      #expect(
        try runs.table("run", file).timeless == runs.table("straight", file).timeless, "\(place): \(file)")
    }
    let left = try FileManager.default.subpathsOfDirectory(atPath: runs.folder.file("run"))
    #expect(!left.contains { $0.contains(".partial-") }, "\(place): \(left)")
  }

  /// Some of the calls that change something: in the first save, in a rename, at a sync, while old checkpoints go.
  @Test func aRunThatIsKilledAtACallGoesOn() throws {
    for call in ["change 3", "create 4", "write 9", "write 90", "sync 8", "rename 2", "rename 4", "remove 1"]
    {
      let runs = Runs()
      #expect(try train(runs, "run", "\(call) kill").code == 128 + SIGKILL, "\(call)")
      try expectTheSame(runs, call)
    }
  }

  @Test(arguments: [
    ".lock", "config.yaml", "train.csv", "eval.csv", "events.out", "/checkpoints/step-", "/checkpoints/best",
  ])
  func aFullDiskEndsTheRun(file: String) throws {
    let runs = Runs()
    let result = try train(runs, "run", "grow 1+ \(ENOSPC)", on: file)
    expectFailure(result, 73, [String(file.split(separator: "/").last!), "No space left on device"])
    try expectTheSame(runs, file)
  }

  /// A run that has come half of its way and cannot read, open or list what it is to continue from: what fails once or
  /// reads wrong is not taken for absent, and nothing is lost.
  @Test(arguments: [
    ("list 1+ \(EIO)", "", 66), ("read 1+ \(EIO)", "train.csv", 65), ("open 1 \(EACCES)", "eval.csv", 66),
    ("read 1+ \(EIO)", "step-", 65), ("read 2 garble", "step-000000020", 0),
    ("read 1 garble", "train.csv", 65),
    ("read 1+ half", "", 0), ("write 1+ half", "", 0),
  ]) func whatCannotBeReadIsNotAbsent(fault: String, file: String, code: Int32) throws {
    let runs = Runs()
    try runs.complete("run", Self.options + ["--steps", "20"])
    // Makes the table be written again, as after a kill.
    try edit(runs.folder.file("run/train.csv")) { $0 += Data("24,0.5".utf8) }
    let result = try train(runs, "run", fault, on: file)
    if code == 0 {
      #expect(result.code == 0, "\(result)")
    } else {
      expectFailure(result, code)
    }
    let again = try train(runs, "run", nil)
    #expect(again.code == 0, "\(again)")
    try runs.complete("straight", Self.options)
    #expect(try runs.tensors("run", 40) == runs.tensors("straight", 40))
    #expect(try runs.table("run").timeless == runs.table("straight").timeless)
  }

  /// Somebody sets the clock while the run begins: forward by a year, or back.
  @Test(arguments: [(0.1, 31_536_000), (0.2, -31_536_000)]) func theClockIsSet(after: Double, offset: Int)
    throws
  {
    let runs = Runs()
    let result = try run(
      ranks: nil, runs.command("run", Self.options + ["--eval-episodes", "300"]),
      environment: runs.faults(["DRILL_CLOCK": "\(after) \(offset)"]), timeout: 30)
    #expect(result.code == 0 && !result.timedOut, "\(result)")
  }
}
