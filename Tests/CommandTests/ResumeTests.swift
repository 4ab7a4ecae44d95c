import ArrayFiles
import Foundation
import TestSupport
import Testing

/// A run in two parts is the same run.
@Suite(.serialized) struct ResumeTests {
  private static let intervals = ["--eval-interval", "50", "--save-interval", "50"]

  private func part(_ runs: Runs, _ name: String, ranks: Int?, steps: Int, _ options: [String] = []) throws {
    let result = try run(
      ranks: ranks, runs.command(name, Self.intervals + ["--steps", "\(steps)"] + options))
    try #require(result.code == 0 && result.errorLines == [], "\(result)")
  }

  /// A setting that is given in one start alone is named.
  @Test func aSettingThatIsLeftOutIsNamed() throws {
    let runs = Runs()
    let (short, returns) = (["--steps", "5"], ["--reference-returns", "-60,0"])
    try runs.complete("with", short + returns)
    try runs.complete("without", short)
    expectFailure(
      try run(ranks: nil, runs.command("with", short + ["--resume", "auto"])), 78,
      ["with --reference-returns -60.0,0.0, not without it"])
    expectFailure(
      try run(ranks: nil, runs.command("without", short + returns + ["--resume", "auto"])), 78,
      ["without --reference-returns -60.0,0.0"])
  }

  @Test(arguments: [nil, 2]) func resumedRunsAreTheSameBitForBit(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let runs = Runs()
    try part(runs, "straight", ranks: ranks, steps: 200)
    try part(runs, "parts", ranks: ranks, steps: 100)
    try part(runs, "parts", ranks: ranks, steps: 200, ["--resume", "auto"])
    let (a, b) = (try runs.tensors("straight", 200), try runs.tensors("parts", 200))
    #expect(a.count > 50 && a.keys == b.keys)
    for (name, values) in a {
      #expect(values.map(\.bitPattern) == b[name]?.map(\.bitPattern), "\(name)")
    }
    #expect(try runs.table("straight").steps == Array(1...200))
    #expect(try runs.table("straight").timeless == runs.table("parts").timeless)
    let evaluations = try runs.table("straight", "eval.csv").timeless
    #expect(evaluations.steps == [50, 100, 150, 200, 200])
    // The first part ended with an evaluation of behaviour cloning, which stays.
    var parts = try runs.table("parts", "eval.csv").timeless
    parts.rows.removeAll { $0[0] == "100" && $0[1] == "behaviour" }
    #expect(parts == evaluations)
  }

  /// Once more after the end: nothing is lost and nothing repeated.
  @Test func resumingAFinishedRunChangesNothing() throws {
    let runs = Runs()
    try part(runs, "run", ranks: nil, steps: 100, ["--log-interval", "40"])
    let before = (
      try runs.table("run"), try runs.table("run", "eval.csv"), try runs.tensors("run", 100)
    )
    #expect(before.0.steps == [40, 80, 100])
    try part(runs, "run", ranks: nil, steps: 100, ["--log-interval", "40", "--resume", "auto"])
    #expect(try runs.table("run") == before.0)
    #expect(try runs.table("run", "eval.csv") == before.1)
    #expect(try runs.tensors("run", 100) == before.2)
  }

  // MARK: What was recorded stays

  /// Rows up to the checkpoint's update stay, whatever the intervals and the number of updates are now.
  @Test func otherIntervalsDeleteNothing() throws {
    let runs = Runs()
    try part(runs, "run", ranks: nil, steps: 100, ["--log-interval", "30", "--eval-interval", "20"])
    let evaluations = try runs.table("run", "eval.csv").rows
    #expect(try runs.table("run").steps == [30, 60, 90, 100])
    try part(
      runs, "run", ranks: nil, steps: 150,
      ["--log-interval", "25", "--eval-interval", "70", "--resume", "auto"])
    #expect(try runs.table("run").steps == [30, 60, 90, 100, 125, 150])
    let rows = try runs.table("run", "eval.csv").rows
    #expect(Array(rows.prefix(evaluations.count)) == evaluations)
    #expect(rows.dropFirst(evaluations.count).map { $0[0] } == ["140", "150", "150"])
  }

  /// Lines that are no rows stay and are reported, also when they are not text.
  @Test(arguments: ["train.csv", "eval.csv"]) func linesThatAreNoRowsStay(file: String) throws {
    let runs = Runs()
    try part(runs, "run", ranks: nil, steps: 50)
    let path = runs.folder.file("run/\(file)")
    let before = try Data(contentsOf: URL(fileURLWithPath: path))
    let foreign = Data("# mine\n".utf8) + Data([0xFF, 0x00, 0x0A])
    // Behind them is a row whose writing was interrupted.
    try edit(path) { $0 += foreign + Data("51,0.2".utf8) }
    let result = try runs.complete(
      "run", Self.intervals + ["--steps", "60", "--resume", "auto"])
    #expect(result.output.contains("\(file): 2 line(s) are no rows"), "\(result.output)")
    let after = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(after.starts(with: before + foreign))
    #expect(
      String(decoding: after.dropFirst(before.count + foreign.count), as: UTF8.self).hasPrefix(
        file == "train.csv" ? "51," : "60,policy,done,"))
  }

  /// A file that is there and cannot be read is not taken for an empty one.
  @Test(arguments: ["train.csv", "eval.csv"]) func aTableThatCannotBeReadIsAnError(file: String) throws {
    let runs = Runs()
    try part(runs, "run", ranks: nil, steps: 50)
    let path = runs.folder.file("run/\(file)")
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    let result = try runs.train("run", "--steps", "60", "--resume", "auto")
    expectFailure(result, 66, [file])
  }

  @Test func fewerUpdatesThanAreDoneAreRefused() throws {
    let runs = Runs()
    try part(runs, "run", ranks: nil, steps: 50)
    let result = try runs.train("run", "--steps", "20", "--resume", "auto")
    expectFailure(result, 78, ["50 updates", "--steps 20", "--run-dir"])
    #expect(try runs.table("run").steps == Array(1...50), "the run was touched")
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func onAnotherNumberOfRanks() throws {
    let runs = Runs()
    try part(runs, "straight", ranks: nil, steps: 200)
    try part(runs, "parts", ranks: 2, steps: 100)
    try part(runs, "parts", ranks: 3, steps: 200, ["--resume", "auto"])
    let (a, b) = (try runs.tensors("straight", 200), try runs.tensors("parts", 200))
    for (name, values) in a {
      let other = try #require(b[name])
      let difference = zip(values, other).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
      let norm = values.reduce(0.0) { $0 + Double($1 * $1) }
      #expect(difference.squareRoot() <= 1e-3 * norm.squareRoot(), "\(name)")
    }
    #expect(try runs.table("parts").steps == Array(1...200))
  }

  @Test func withoutACheckpointItStarts() throws {
    let runs = Runs()
    try part(runs, "run", ranks: nil, steps: 20, ["--resume", "auto"])
    #expect(try runs.table("run").steps == Array(1...20))
  }

  // MARK: Damaged checkpoints

  /// Four saves, of which three are kept.
  private func fortyUpdates() throws -> Runs {
    let runs = Runs()
    try runs.complete("run", "--steps", "40", "--save-interval", "10")
    return runs
  }

  private func damage(_ path: String) throws { try edit(path) { $0[$0.count - 1000] ^= 1 } }

  @Test func theLastThreeAndTheBestAreKept() throws {
    let runs = try fortyUpdates()
    #expect(
      try runs.checkpoints("run")
        == ["best.safetensors"] + [20, 30, 40].map { "step-0000000\($0).safetensors" })
    for step in [20, 30, 40] { #expect(try !runs.tensors("run", step).isEmpty) }
  }

  @Test func aDamagedCheckpointIsPassedOver() throws {
    let runs = try fortyUpdates()
    try damage(runs.checkpoint("run", 40))
    let result = try runs.complete("run", "--steps", "60", "--save-interval", "10", "--resume", "auto")
    #expect(result.output.contains("warning: passed over a checkpoint"))
    #expect(result.output.contains("step-000000040.safetensors"))
    #expect(result.output.contains("after update 30\n"), "\(result.output)")
    #expect(try runs.table("run").steps == Array(1...60))
    for step in [40, 50, 60] { #expect(try !runs.tensors("run", step).isEmpty) }
  }

  /// No run saves numbers that are not finite: a file that has them is as good as damaged.
  @Test func aCheckpointOfNumbersThatAreNoneIsPassedOver() throws {
    let runs = try fortyUpdates()
    let path = runs.checkpoint("run", 40)
    try poison(path)
    expectFailure(
      try run(built("fan-dist"), ["evaluate", path, "--episodes", "1"]), 65, [path, "are not finite"])
    let result = try runs.complete("run", "--steps", "60", "--save-interval", "10", "--resume", "auto")
    #expect(result.output.contains("warning: passed over a checkpoint"), "\(result.output)")
    #expect(result.output.contains("are not finite"), "\(result.output)")
    #expect(result.output.contains("after update 30\n"), "\(result.output)")
  }

  /// Writes a file of tensors again, one number of which is NaN; its checksums hold.
  private func poison(_ path: String) throws {
    let file = try SafetensorsFile(path: path)
    let name = try #require(file.tensors.keys.filter { $0.hasPrefix("actor") }.min())
    let tensors = try file.tensors.map { key, tensor in
      let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: tensor.shape.reduce(1, *))
      _ = values.update(fromContentsOf: try file.floats(key))
      if key == name { values[0] = .nan }
      return (name: key, shape: tensor.shape, values: UnsafeBufferPointer(values))
    }
    defer { for tensor in tensors { tensor.values.deallocate() } }
    try SafetensorsWriter.write(path: path, metadata: file.metadata, tensors: tensors)
  }

  /// Beginning anew is for whoever runs it to decide.
  @Test func whenAllAreDamagedItIsRefused() throws {
    let runs = try fortyUpdates()
    for step in [20, 30, 40] { try damage(runs.checkpoint("run", step)) }
    let files = try runs.checkpoints("run")
    let result = try runs.train("run", "--steps", "60", "--resume", "auto")
    expectFailure(result, 65, ["none of the 3 checkpoint(s)", "step-000000040", "--run-dir"])
    #expect(try runs.checkpoints("run") == files)
    #expect(try runs.table("run").steps == Array(1...40), "the run was touched")
  }

  /// Somebody removed the checkpoints of a run whose tables and best policy are still worth something.
  @Test func whenAllAreGoneTheRestIsNotReplaced() throws {
    let runs = try fortyUpdates()
    for step in [20, 30, 40] {
      try FileManager.default.removeItem(atPath: runs.checkpoint("run", step))
    }
    for interval in ["10", "0"] {
      let result = try runs.train(
        "run", "--steps", "40", "--save-interval", interval, "--resume", "auto")
      expectFailure(result, 65, ["no checkpoint to continue from", "update 40", "--run-dir"])
    }
    #expect(try runs.checkpoints("run") == ["best.safetensors"])
    #expect(try runs.table("run").steps == Array(1...40), "the run was touched")
  }

  /// A run that was killed before it saved for the first time is made again.
  @Test func aRunThatHadSavedNothingBeginsAnew() throws {
    let runs = try fortyUpdates()
    for step in [20, 30, 40] {
      try FileManager.default.removeItem(atPath: runs.checkpoint("run", step))
    }
    let table = try runs.table("run").timeless
    for file in ["train.csv", "eval.csv"] {
      let path = runs.folder.file("run/\(file)")
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      let kept = lines.prefix { !$0.hasPrefix("11,") && !$0.hasPrefix("40,") }
      _ = try runs.folder.write(kept.joined(separator: "\n") + "\n", to: "run/\(file)")
    }
    let result = try runs.complete("run", "--steps", "40", "--save-interval", "10", "--resume", "auto")
    #expect(result.output.contains("ended at update 10 or later and had saved nothing"), "\(result.output)")
    #expect(try runs.table("run").timeless == table)
  }

  /// That checkpoints cannot be listed does not mean that there are none. (Root may list every directory: a file stands
  /// in its place.)
  @Test func checkpointsThatCannotBeListedAreAnError() throws {
    let runs = try fortyUpdates()
    let directory = runs.folder.file("run/checkpoints")
    try FileManager.default.moveItem(atPath: directory, toPath: directory + "-away")
    try Data().write(to: URL(fileURLWithPath: directory))
    let result = try runs.train("run", "--steps", "60", "--resume", "auto")
    expectFailure(result, 73, ["run/checkpoints"])
    #expect(try runs.table("run").steps == Array(1...40), "the run was touched")
  }

  /// A best policy that cannot be read is put aside and not replaced.
  @Test func aDamagedBestPolicyIsKept() throws {
    let runs = try fortyUpdates()
    let best = runs.folder.file("run/checkpoints/best.safetensors")
    try damage(best)
    let damaged = try Data(contentsOf: URL(fileURLWithPath: best))
    let result = try runs.complete("run", "--steps", "60", "--resume", "auto")
    #expect(result.output.contains("warning: the best policy so far cannot be read"), "\(result.output)")
    let aside = runs.folder.file("run/checkpoints/best-unreadable-1.safetensors")
    #expect(try Data(contentsOf: URL(fileURLWithPath: aside)) == damaged)
    try SafetensorsFile(path: best).verify()
  }

  /// A policy that waits for its evaluation and cannot be read is reported and stays.
  @Test func anUnreadablePolicyThatWaitsIsKept() throws {
    let runs = try fortyUpdates()
    let path = runs.folder.file("run/checkpoints/unevaluated-000000015.safetensors")
    try Data("broken".utf8).write(to: URL(fileURLWithPath: path))
    let result = try runs.complete("run", "--steps", "60", "--resume", "auto")
    #expect(result.output.contains("warning: update 15: not evaluated"), "\(result.output)")
    #expect(FileManager.default.fileExists(atPath: path))
  }

  /// What a process that was killed in a save has left goes with the next start; other files stay.
  @Test func leftoversOfAKilledSaveAreRemoved() throws {
    let runs = try fortyUpdates()
    let left = ["checkpoints/step-000000050.safetensors.partial-123", "train.csv.partial-9"].map {
      runs.folder.file("run/\($0)")
    }
    let other = runs.folder.file("run/notes.partial")
    for path in left + [other] { try Data("x".utf8).write(to: URL(fileURLWithPath: path)) }
    try runs.complete("run", "--steps", "50", "--resume", "auto")
    #expect(left.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
    #expect(FileManager.default.fileExists(atPath: other))
  }

  @Test func aTruncatedCheckpointIsPassedOver() throws {
    let runs = try fortyUpdates()
    try edit(runs.checkpoint("run", 40)) { $0 = $0.prefix($0.count / 2) }
    try edit(runs.checkpoint("run", 30)) { $0 = Data() }
    let result = try runs.complete("run", "--steps", "41", "--resume", "auto")
    #expect(result.output.contains("after update 20\n"), "\(result.output)")
  }

  // MARK: Disagreements

  @Test func otherHyperparametersAreRefused() throws {
    let runs = try fortyUpdates()
    let result = try runs.train("run", "--steps", "60", "--resume", "auto", "--discount", "0.5")
    expectFailure(result, 78, ["--discount 0.97", "0.5"])
    #expect(try runs.table("run").steps == Array(1...40), "the run was touched")
  }

  @Test func otherDataAreRefused() throws {
    let runs = try fortyUpdates()
    let path = try DatasetFixture(episodes: 10).write(to: runs.folder.file("data.npz"))
    let result = try runs.train("run", "--steps", "60", "--resume", "auto", "--dataset", path)
    expectFailure(result, 78, ["digest"])
  }

  /// Without the validation data of before the log would have other columns: it is not thrown away.
  @Test func aLogWithOtherColumnsIsKept() throws {
    let runs = Runs()
    let path = try DatasetFixture(episodes: 10).write(to: runs.folder.file("data.npz"))
    let companion = try DatasetFixture(episodes: 5).write(to: runs.folder.file("data-val.npz"))
    try runs.complete("run", "--steps", "10", "--dataset", path)
    let before = try runs.table("run")
    try FileManager.default.removeItem(atPath: companion)
    let result = try runs.train("run", "--steps", "20", "--dataset", path, "--resume", "auto")
    expectFailure(result, 78, ["train.csv", "columns"])
    #expect(try runs.table("run") == before)
  }

  @Test func anOccupiedDirectoryIsRefused() throws {
    let runs = try fortyUpdates()
    expectFailure(try runs.train("run", "--steps", "60"), 73, ["--resume auto"])
    #expect(try runs.table("run").steps == Array(1...40), "the run was touched")
  }

  @Test func aDirectoryInUseIsRefused() throws {
    let runs = try fortyUpdates()
    let lock = open(runs.folder.file("run/.lock"), O_RDWR)
    defer { close(lock) }
    try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
    expectFailure(try runs.train("run", "--steps", "60", "--resume", "auto"), 73, ["another run"])
  }

  /// Only a lock that is held says that another run writes.
  @Test func otherFailuresOfTheLockAreNamed() throws {
    let runs = Runs()
    let path = runs.folder.file("run/.lock")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let result = try runs.train("run", "--steps", "5")
    expectFailure(result, 73, [".lock", "Is a directory"])
    #expect(!result.errors.contains("another run"))
  }

  /// File systems without locks, or whose locks fail in another way.
  private func failingLocks(_ runs: Runs, _ error: Int32) throws -> [String: String] {
    try runs.faults(["DRILL_FAULT": "lock 1+ \(error)"])
  }

  @Test(.enabled(if: hasCompiler, "there is no C compiler"), arguments: [ENOLCK, ENOSYS, EOPNOTSUPP])
  func withoutLocksItGoesOnWithAWarning(error: Int32) throws {
    let runs = Runs()
    let environment = try failingLocks(runs, error)
    let line = runs.command("run", ["--steps", "5"])
    let result = try run(ranks: nil, line, environment: environment)
    #expect(result.code == 0 && result.errors == "", "\(result)")
    #expect(result.output.contains("warning: ") && result.output.contains("has no locks"))
    #expect(!FileManager.default.fileExists(atPath: runs.folder.file("run/.owner")))
  }

  @Test(.enabled(if: hasCompiler, "there is no C compiler")) func anotherErrorOfTheLockIsNamed() throws {
    let runs = Runs()
    let environment = try failingLocks(runs, EIO)
    let result = try run(ranks: nil, runs.command("run", ["--steps", "5"]), environment: environment)
    expectFailure(result, 73, [".lock", "Input/output error"])
  }

  @Test(.enabled(if: hasCompiler, "there is no C compiler")) func anImportNeedsNoLocks() throws {
    let runs = Runs()
    var data = DatasetFixture(episodes: 3)
    data.rewards = [Float](repeating: -1, count: data.terminals.count)
    let file = try data.write(to: runs.folder.file("d.npz"))
    let line = [built("fan-dist"), "dataset", "import", file, "--out", runs.folder.file("imported")]
    let result = try run(ranks: nil, line, environment: failingLocks(runs, ENOLCK))
    #expect(result.code == 0 && result.errors == "", "\(result)")
    let names = try FileManager.default.contentsOfDirectory(atPath: runs.folder.path)
    #expect(names.filter { $0.hasPrefix("imported") } == ["imported"])
    let left = try FileManager.default.contentsOfDirectory(atPath: runs.folder.file("imported"))
    #expect(left.contains("manifest.json") && !left.contains(".lock"))
  }

  /// Without locks, the second run on this host is refused, and the first one notices an owner from elsewhere.
  @Test(.enabled(if: hasCompiler, "there is no C compiler")) func withoutLocksASecondRunIsNoticed() throws {
    let runs = Runs()
    let environment = try failingLocks(runs, ENOLCK)
    let line = runs.command("run", ["--steps", "1000000000", "--log-interval", "50"])
    let command = try Command(line[0], Array(line.dropFirst()), environment: environment)
    let hasBegun = command.wait(30) { command.output.contains("\n100/") }
    let owner = runs.folder.file("run/.owner")
    let own = try String(contentsOfFile: owner, encoding: .utf8)
    try Data("elsewhere 1 1\n".utf8).write(to: URL(fileURLWithPath: owner))
    command.send(SIGTERM)
    let result = command.finish()
    #expect(hasBegun && own.split(separator: " ").count == 3)
    expectFailure(result, 73, ["process 1 on elsewhere", "another run"])
    let mine = "\(own.split(separator: " ")[0]) \(getpid()) \(try startTime())\n"
    try Data(mine.utf8).write(to: URL(fileURLWithPath: owner))
    let second = try run(
      ranks: nil, runs.command("run", ["--steps", "5", "--resume", "auto"]), environment: environment)
    expectFailure(second, 73, ["another run is writing here, process \(getpid()) on "])
  }

  /// When this process began, as the system counts it.
  private func startTime() throws -> Substring {
    let text = try String(contentsOfFile: "/proc/self/stat", encoding: .utf8)
    return try #require(text.split(separator: ")").last).split(separator: " ")[19]
  }
}
