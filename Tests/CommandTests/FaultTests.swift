import Foundation
import TestSupport
import Testing

/// Runs whose calls to the system fail, garble or are interrupted: the short form of `launch/drill`.
@Suite(.serialized, .enabled(if: hasCompiler, "there is no C compiler")) struct FaultTests {
  private static let options = [
    "--steps", "40", "--log-interval", "4", "--eval-interval", "10", "--save-interval", "10", "--resume",
    "auto",
  ]

  /// Where the runs of a test are, "straight" first, which nobody disturbs.
  private func runsWithReference() throws -> Runs {
    let runs = Runs()
    try runs.complete("straight", Self.options)
    return runs
  }

  /// Runs with a fault; without one if that is nil.
  private func train(_ runs: Runs, _ name: String, _ fault: String?, on file: String = "") throws
    -> CommandResult
  {
    let variables = fault.map { ["DRILL_FAULT": $0, "DRILL_FILE": file] }
    return try run(
      ranks: nil, runs.command(name, Self.options),
      environment: variables.map { try runs.faults($0) } ?? [:])
  }

  /// Continues a run, which must come to what "straight" has come to.
  private func expectTheSame(_ runs: Runs, _ name: String, _ place: String) throws {
    let result = try train(runs, name, nil)
    try #require(result.code == 0, "\(place): \(result)")
    #expect(try runs.tensors(name, 40) == runs.tensors("straight", 40), "\(place)")
    var evaluations = try runs.table(name, "eval.csv").timeless
    // A run that came to an end on its way has evaluated behaviour cloning there.
    evaluations.rows.removeAll { $0[1] == "behaviour" && $0[0] != "40" }
    #expect(try evaluations == runs.table("straight", "eval.csv").timeless, "\(place)")
    #expect(try runs.table(name).timeless == runs.table("straight").timeless, "\(place)")
    let left = try FileManager.default.subpathsOfDirectory(atPath: runs.folder.file(name))
    #expect(!left.contains { $0.contains(".partial-") }, "\(place): \(left)")
  }

  /// Some of the calls that change something: in the first save, in a rename, at a sync, while old checkpoints go.
  @Test func aRunThatIsKilledAtACallGoesOn() throws {
    let runs = try runsWithReference()
    let calls = ["change 3", "create 4", "write 9", "write 90", "sync 8", "rename 2", "rename 4", "remove 1"]
    for (number, call) in calls.enumerated() {
      let result = try train(runs, "run-\(number)", "\(call) kill")
      #expect(result.code == 128 + SIGKILL, "\(call): \(result)")
      try expectTheSame(runs, "run-\(number)", call)
    }
  }

  @Test func aFullDiskEndsTheRun() throws {
    let runs = try runsWithReference()
    let files = [
      ".lock", "config.yaml", "train.csv", "eval.csv", "events.out", "checkpoints/step-", "checkpoints/best",
    ]
    for (number, file) in files.enumerated() {
      let result = try train(runs, "run-\(number)", "grow 1+ \(ENOSPC)", on: "/" + file)
      expectFailure(result, 73, [file, "No space left on device"])
      try expectTheSame(runs, "run-\(number)", file)
    }
  }

  /// A run that has come half of its way and cannot read, open or list what it is to continue from: what fails or reads
  /// wrong is not taken for absent, and nothing is lost. Calls may also do half of what they were asked for.
  @Test func whatCannotBeReadIsNotAbsent() throws {
    let runs = try runsWithReference()
    try runs.complete("half", Self.options + ["--steps", "20"])
    // Makes the table be written anew, as after a kill.
    try edit(runs.folder.file("half/train.csv")) { $0 += Data("24,0.5".utf8) }
    let faults: [(fault: String, file: String, code: Int32)] = [
      ("list 1+ \(EIO)", "", 66), ("read 1+ \(EIO)", "train.csv", 65), ("open 1 \(EACCES)", "eval.csv", 66),
      ("read 1+ \(EIO)", "step-", 65), ("read 2 garble", "step-000000020", 0),
      ("read 1 garble", "train.csv", 65),
      ("read 1+ half", "", 0), ("write 1+ half", "", 0),
    ]
    for (number, (fault, file, code)) in faults.enumerated() {
      let name = "run-\(number)"
      try FileManager.default.copyItem(atPath: runs.folder.file("half"), toPath: runs.folder.file(name))
      let result = try train(runs, name, fault, on: file)
      if code == 0 { #expect(result.code == 0, "\(fault): \(result)") } else { expectFailure(result, code) }
      try expectTheSame(runs, name, "\(fault) \(file)")
    }
  }

  /// Somebody sets the clock while the run goes on: forward by a year, or back.
  @Test(arguments: [(0.1, 31_536_000), (0.2, -31_536_000)]) func theClockIsSet(after: Double, offset: Int)
    throws
  {
    let runs = Runs()
    let result = try run(
      ranks: nil, runs.command("run", Self.options + ["--eval-episodes", "300"]),
      environment: runs.faults(["DRILL_CLOCK": "\(after) \(offset)"]))
    #expect(result.code == 0 && !result.timedOut, "\(result)")
  }

  /// The system starts no more threads: the run says so and does not wait for one.
  @Test(arguments: zip(1...3, ["watchdog", "environments", "evaluation"]))
  func noThreadIsLeft(number: Int, name: String) throws {
    let runs = Runs()
    let result = try run(
      ranks: nil, runs.command("run", Self.options + ["--online-steps", "10"]),
      environment: runs.faults(["DRILL_FAULT": "thread \(number)+ \(EAGAIN)"]))
    expectFailure(result, 71, ["no thread can be started for \(name): ", "ulimit -u"])
  }
}
