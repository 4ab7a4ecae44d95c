import Agents
import Foundation
import TestSupport
import Testing

/// `fan-dist sweep`.
@Suite(.serialized) struct SweepTests {
  private let runs = Runs()

  /// Settings with tiny networks and small batches, which make runs short.
  private static let settings = """
    settings:
      actor_hidden_dims: [8, 8]
      value_hidden_dims: "8"
      batch_size: 64
      log_interval: 5
      eval_interval: 0
      eval_episodes: 2
      save_interval: 0

    """

  private func write(_ sweep: String) throws -> String {
    try runs.folder.write(Self.settings + sweep, to: "sweep.yaml")
  }

  private func sweep(_ file: String, _ options: String...) throws -> CommandResult {
    try run(built("fan-dist"), ["sweep", file, "--out", runs.folder.file("s")] + options)
  }

  /// The lines that the sweep prints, without those of its runs.
  private func lines(_ result: CommandResult) -> [Substring] {
    result.output.split(separator: "\n").filter {
      $0.hasPrefix("run ") || $0.hasPrefix("done: ") && $0.contains("run(s)")
    }
  }

  /// The sweeps in the repository have as many runs of every agent, tasks times seeds.
  @Test(arguments: [
    ("default-task", 3), ("cube-single", 3), ("published/antsoccer", 40), ("published/cube-double", 40),
    ("published/scene", 40), ("published/puzzle-3x3", 40), ("published/puzzle-4x4", 40),
    ("published/d4rl-antmaze", 48), ("published/d4rl-adroit", 96), ("published/visual", 16),
  ])
  func theRepositorysSweepsRunEveryAgent(name: String, times: Int) throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    let result = try sweep(root.appendingPathComponent("sweeps/\(name).yaml").standardized.path, "--list")
    #expect(result.code == 0 && result.errors == "", "\(result)")
    let lines = result.output.split(separator: "\n")
    #expect(lines.count == times * AgentKind.allCases.count)
    for agent in AgentKind.allCases {
      #expect(lines.count { $0.contains("--agent=\(agent) ") } == times, "\(agent)")
    }
  }

  @Test func runsOfASweepCanSeeImages() throws {
    let images = "env: \(Runs.visualMaze), dataset: \(try runs.images()), frame_stack: 2"
    let result = try sweep(write("grid: {agent: [fan, rebrac]}\nruns: [{steps: 2, \(images)}]"))
    #expect(result.code == 0 && result.output.contains("done: 2 run(s)"), "\(result)")
  }

  @Test func runsOfASweepCanGoOnline() throws {
    let file = try write("grid: {online_alpha1: [1, 3]}\nruns: [{steps: 4, online_steps: 6}]")
    let result = try sweep(file)
    #expect(result.code == 0, "\(result)")
    for run in ["online_alpha1=1", "online_alpha1=3"] {
      let names = try FileManager.default.contentsOfDirectory(atPath: runs.folder.file("s"))
      let name = try #require(names.first { $0.contains(run) }, "\(names)")
      #expect(try runs.table("s/\(name)").steps == [5, 10])
    }
  }

  @Test func optionsOfWorkersArePassedToRuns() throws {
    let file = try write("seeds: [0]")
    let line = try sweep(file, "--list", "--python", "/some/python", "--eval-workers", "3").output
    #expect(line.contains(" --python /some/python --eval-workers 3 ") && !line.contains("--eval-timeout"))
  }

  @Test func listsEachRunsCommandLine() throws {
    let file = try write(
      """
      grid:
        alpha1: [1, 3]
        layer-norm: [true, false]
      runs:
        - {z_agg: min}
        - {actor_hidden_dims: [4, 4], dataset: it's here.npz}
      seeds: [0, 7]
      """)
    let result = try sweep(file, "--list")
    #expect(result.code == 0 && result.errors == "", "\(result)")
    let lines = result.output.split(separator: "\n")
    #expect(lines.count == 16)
    let directories = try lines.map { line in
      let words = try run("bash", ["-c", "printf '%s\\n' \(line)"]).output.split(separator: "\n").map(
        String.init)
      #expect(words[1] == "train" && words.contains("--resume") && words.contains("--batch-size=64"))
      return try #require(words.firstIndex(of: "--run-dir").map { words[$0 + 1] })
    }
    #expect(Set(directories).count == 16)
    // The name has the settings that vary. Seeds vary slowest, so that adding seeds appends runs.
    #expect(directories[0].hasSuffix("/s/z_agg=min,alpha1=1,layer_norm=true,seed=0"), "\(directories[0])")
    #expect(lines[0].contains(" --layer-norm ") && lines[1].contains(" --no-layer-norm "))
    #expect(
      directories[15].hasSuffix(
        "/s/actor_hidden_dims=4x4,dataset=it_s_here.npz,alpha1=3,layer_norm=false,seed=7"))
    #expect(lines[15].contains(" '--dataset=it'\\''s here.npz' "))
    #expect(
      lines[..<8].allSatisfy { $0.hasSuffix("--seed=0") }
        && lines[8...].allSatisfy { $0.hasSuffix("--seed=7") })
    #expect(try sweep(file, "--list", "--index", "15").output.dropLast() == lines[15])
    expectFailure(try sweep(file, "--list", "--index", "16"), 64, ["--index", "15"])
  }

  @Test func finishedRunsAreSkippedAndOthersContinue() throws {
    let grid = "grid: {alpha1: [1, 3]}\n"
    let first = try runs.folder.write(Self.settings + "  steps: 10\n" + grid, to: "first.yaml")
    let second = try runs.folder.write(Self.settings + "  steps: 20\n" + grid, to: "second.yaml")
    // One run only, as in one job of an array of jobs.
    #expect(try sweep(first, "--index", "1").code == 0)
    #expect(!FileManager.default.fileExists(atPath: runs.folder.file("s/alpha1=1,seed=0")))
    let all = try sweep(second)
    #expect(all.code == 0 && all.errors == "", "\(all)")
    #expect(
      lines(all) == [
        "run 0, alpha1=1,seed=0: starts", "run 1, alpha1=3,seed=0: starts",
        "done: 2 run(s), 0 of them finished before",
      ])
    #expect(all.output.contains("continuing \(runs.folder.file("s/alpha1=3,seed=0")) after update 10\n"))
    for name in ["s/alpha1=1,seed=0", "s/alpha1=3,seed=0"] {
      #expect(try runs.table(name).steps == [5, 10, 15, 20])
    }
    let again = try sweep(second)
    #expect(again.code == 0 && again.output.contains("done: 2 run(s), 2 of them finished before"), "\(again)")
    #expect(!again.output.contains("starts"))
    // A run with other settings under the same name is not skipped but refused.
    let other = try runs.folder.write(
      Self.settings + "  steps: 20\n  discount: 0.5\n" + grid, to: "other.yaml")
    expectSweepFailure(
      try sweep(other, "--index", "0"), 78, ["1 of 1 run(s) failed", "alpha1=1,seed=0 (78)"])
  }

  /// Like `expectFailure`, but the failing run has printed a line of its own before.
  private func expectSweepFailure(_ result: CommandResult, _ code: Int32, _ parts: [String]) {
    #expect(result.code == code && result.errorLines.count == 2, "\(result)")
    for part in parts { #expect(result.errorLines.last?.contains(part) ?? false, "\(result.errors)") }
  }

  @Test func afterAFailureTheOtherRunsAreDone() throws {
    let file = try write("  steps: 5\ngrid: {alpha1: [1, 3]}")
    let directory = runs.folder.file("s/alpha1=1,seed=0")
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let lock = open(directory + "/.lock", O_RDWR | O_CREAT, 0o644)
    defer { close(lock) }
    try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
    let result = try sweep(file)
    expectSweepFailure(result, 73, ["1 of 2 run(s) failed", "alpha1=1,seed=0 (73)"])
    #expect(try runs.table("s/alpha1=3,seed=0").steps == [5])
  }

  @Test(arguments: [nil, 2]) func aSignalSavesAndTheSameCommandContinues(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let tail = ranks.map { "ranks: \($0)\n" } ?? ""
    let file = try write("  steps: 1000000\n  virtual_shards: 2\n" + tail)
    let arguments = ["sweep", file, "--out", runs.folder.file("s")]
    for step in [5, 10] {
      let command = try Command(built("fan-dist"), arguments)
      let hasBegun = command.wait(60) { (try? runs.table("s/seed=0").steps.last ?? 0 >= 50 * step) ?? false }
      command.send(SIGTERM)
      let result = command.finish()
      #expect(hasBegun)
      #expect(
        result.code == 75 && result.errorLines.last?.contains("stopped by a signal in seed=0") ?? false,
        "\(result)")
      #expect(try runs.checkpoints("s/seed=0").count >= step / 5)
    }
  }

  /// Whoever ends the sweep, however, ends its run, which saves.
  @Test(arguments: [(nil, SIGKILL), (2, SIGKILL), (nil, SIGHUP)])
  func aSweepThatIsKilledLeavesNothingRunning(ranks: Int?, signal: Int32) throws {
    if ranks != nil && !hasMPIRun { return }
    let tail = ranks.map { "ranks: \($0)\n" } ?? ""
    let file = try write("  steps: 1000000\n  virtual_shards: 2\n" + tail)
    let command = try Command(built("fan-dist"), ["sweep", file, "--out", runs.folder.file("s")])
    let hasBegun = command.wait(60) { (try? runs.table("s/seed=0").steps.last ?? 0 >= 50) ?? false }
    command.send(signal)
    let result = command.finish()
    #expect(hasBegun && result.code == (signal == SIGKILL ? 137 : 75), "\(result)")
    let lock = open(runs.folder.file("s/seed=0/.lock"), O_RDWR)
    defer { close(lock) }
    var isFree = false
    for _ in 0..<200 where !isFree {
      isFree = flock(lock, LOCK_EX | LOCK_NB) == 0
      usleep(50_000)
    }
    #expect(isFree, "the run still writes")
    #expect(try runs.checkpoints("s/seed=0").count == 1)
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func aSweepStartsTheRanksOfItsRuns() throws {
    let file = try write("  steps: 5\nranks: 2\n")
    let result = try sweep(file)
    #expect(result.code == 0 && result.output.contains("\n2 rank(s) on 1 node(s)"), "\(result)")
  }

  // MARK: Several runs at a time

  private func job(_ ranks: Int, _ file: String, _ options: String...) throws -> CommandResult {
    try run(ranks: ranks, [built("fan-dist"), "sweep", file, "--out", runs.folder.file("s")] + options)
  }

  /// Three ranks are groups of one; two runs of two networks and a run that fails share a dataset.
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func theRanksOfAJobTrainRunAfterRun() throws {
    let file = try write("  steps: 20\ngrid: {alpha1: [1, 3]}\nseeds: [0, 1]\n")
    let directory = runs.folder.file("s/alpha1=3,seed=0")
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let lock = open(directory + "/.lock", O_RDWR | O_CREAT, 0o644)
    try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
    let result = try job(3, file)
    close(lock)
    #expect(result.code == 73 && result.errorLines.count == 1, "\(result)")
    #expect(result.errorLines.last?.contains("1 of 4 run(s) failed: alpha1=3,seed=0 (73)") ?? false)
    #expect(result.output.contains("run 1, alpha1=3,seed=0: failed with exit code 73"), "\(result)")
    #expect(result.output.contains("[alpha1=1,seed=1] 20/20"), "\(result)")
    let again = try job(3, file)
    #expect(again.code == 0 && again.errorLines == [], "\(again)")
    #expect(again.output.contains("done: 4 run(s), 3 of them finished before"), "\(again)")
    // The bits are those of the run alone.
    let alone = try run(
      built("fan-dist"), ["sweep", file, "--out", runs.folder.file("alone"), "--index", "3"])
    #expect(alone.code == 0, "\(alone)")
    let name = "alpha1=3,seed=1"
    #expect(try runs.tensors("s/\(name)", 20) == runs.tensors("alone/\(name)", 20))
    #expect(
      try runs.table("s/\(name)", "eval.csv").timeless == runs.table("alone/\(name)", "eval.csv").timeless)
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func groupsOfRanksTrainRunsOfSeveralRanks() throws {
    let file = try write("  steps: 10\nranks: 2\nseeds: [0, 1, 2]\n")
    let result = try job(5, file)
    #expect(result.code == 0 && result.errorLines == [], "\(result)")
    #expect(
      result.output.contains("3 run(s) on 2 group(s) of 2 rank(s); 1 rank(s) are left over"), "\(result)")
    for seed in 0..<3 {
      #expect(try runs.table("s/seed=\(seed)").steps == [5, 10])
      #expect(result.output.contains("[seed=\(seed)] 2 rank(s) on 1 node(s)"))
    }
    expectFailure(try job(1, file), 64, ["ranks: 2", "start at least 2"])
    expectFailure(try job(2, file, "--jobs", "2"), 64, ["--jobs"])
  }

  /// Whatever ends the job ends it for all groups, and the next job goes on.
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func aSignalSavesAllRunsOfAJob() throws {
    let file = try write("  steps: 1000000\nseeds: [0, 1]\n")
    let arguments = mpirunArguments([
      (2, [built("fan-dist"), "sweep", file, "--out", runs.folder.file("s")])
    ])
    for step in [5, 10] {
      let command = try Command("mpirun", arguments)
      let haveBegun = command.wait(60) {
        [0, 1].allSatisfy { (try? runs.table("s/seed=\($0)").steps.last ?? 0 >= 50 * step) ?? false }
      }
      command.send(SIGUSR1)
      let result = command.finish()
      #expect(haveBegun && result.code == 75, "\(result)")
      #expect(result.errorLines.contains { $0.contains("stopped by a signal") }, "\(result)")
      for seed in [0, 1] { #expect(try runs.checkpoints("s/seed=\(seed)").count >= step / 5) }
    }
  }

  @Test func twoJobsOfOneSweepDoNotTrainAtATime() throws {
    if !hasMPIRun { return }
    let file = try write("  steps: 5\n")
    let directory = runs.folder.file("s")
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let lock = open(directory + "/.lock", O_RDWR | O_CREAT, 0o644)
    defer { close(lock) }
    try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
    expectFailure(try job(1, file), 73, ["another job of a sweep", "--out"])
  }

  @Test(arguments: ["2", "auto"]) func processesOfTheirOwnTrainSeveralRunsAtATime(jobs: String) throws {
    let file = try write("  steps: 20\nseeds: [0, 1, 2]\n")
    let result = try sweep(file, "--jobs", jobs)
    #expect(result.code == 0 && result.errors == "", "\(result)")
    #expect(result.output.contains("done: 3 run(s), 0 of them finished before"), "\(result)")
    let alone = try run(
      built("fan-dist"), ["sweep", file, "--out", runs.folder.file("alone"), "--index", "2"])
    #expect(alone.code == 0, "\(alone)")
    for seed in 0..<3 {
      #expect(result.output.contains("[seed=\(seed)] 20/20"), "\(result)")
    }
    #expect(try runs.tensors("s/seed=2", 20) == runs.tensors("alone/seed=2", 20))
  }

  @Test func aSignalSavesAllRunsOfASweep() throws {
    let file = try write("  steps: 1000000\nseeds: [0, 1, 2]\n")
    let command = try Command(
      built("fan-dist"), ["sweep", file, "--out", runs.folder.file("s"), "--jobs", "2"])
    let haveBegun = command.wait(60) {
      [0, 1].allSatisfy { (try? runs.table("s/seed=\($0)").steps.last ?? 0 >= 50) ?? false }
    }
    command.send(SIGTERM)
    let result = command.finish()
    #expect(haveBegun && result.code == 75, "\(result)")
    #expect(result.errorLines.last?.contains("stopped by a signal in seed=0, seed=1") ?? false, "\(result)")
    for seed in [0, 1] { #expect(try runs.checkpoints("s/seed=\(seed)").count == 1) }
  }

  @Test(arguments: ["0", "many", "-1"]) func impossibleNumbersOfRunsAtATimeAreRefused(jobs: String) throws {
    expectFailure(try sweep(write("  steps: 5\n"), "--jobs=\(jobs)"), 64, ["--jobs"])
  }

  @Test(arguments: ["--list", "--index=0"]) func jobsAreForSeveralRuns(option: String) throws {
    expectFailure(try sweep(write("  steps: 5\n"), "--jobs=2", option), 64, ["--jobs", "leave it out"])
  }

  /// Under a launcher a terminal is mpirun's; here it is the program's own.
  @Test(.enabled(if: hasScript, "script (package bsdutils) is not installed"))
  func aTableIsDrawnOnATerminal() throws {
    let file = try write("  steps: 3000\nseeds: [0, 1]\n")
    let line = "\(built("fan-dist")) sweep \(file) --out \(runs.folder.file("s")) --jobs 2"
    let result = try run(
      "script", ["-qec", line, runs.folder.file("typescript")], environment: ["TERM": "xterm"])
    #expect(result.code == 0, "\(result)")
    #expect(result.output.contains("run(s) have ended, "), "\(result)")
    #expect(result.output.contains("run 1, seed=1: done"), "\(result)")
  }

  @Test(arguments: [
    ("grid: {alpha1: [1, -3]}", ":9: alpha1: --alpha1 must be a finite number, 0 or more"),
    ("grid:\n  alpa1: [1]", ":10: unknown setting 'alpa1'"),
    ("grid: {batch_size: [1]}", ":9: batch_size: is in the grid and under settings or runs"),
    ("grid: {lr: [x]}", ":9: lr: The value 'x' is invalid"),
    ("grid: {lr: 3}", ":9: lr: needs a list"),
    ("grid: {lr: []}", ":9: lr: needs at least one value"),
    ("grid: 3", ":9: grid: needs a mapping"),
    ("grids: {lr: [1]}", ":9: grids: unknown"),
    ("runs: [3]", ":9: runs: needs a mapping"),
    ("runs: []", ": no runs"),
    ("runs: [{lr: 1}, {lr: 1}]", "lr=1,seed=0"),
    ("seeds: 3", ":9: seeds: needs a list"),
    ("seeds: [-1]", ":9: seeds: '-1' is not a seed"),
    ("  seed: 3", ":9: seed: give all seeds as seeds:"),
    ("ranks: many", ":9: ranks: needs a number"),
    ("grid: {lr: [1}", "not a YAML file"),
    ("seeds: [\(Array(repeating: "1", count: 20_000).joined(separator: ","))]", "more than 10000 runs"),
  ]) func mistakesAreNamedByLineAndKey(text: String, message: String) throws {
    let file = try write(text + "\n")
    expectFailure(try sweep(file, "--list"), 64, [file, message])
  }

  @Test func missingAndMalformedSweepFilesAreRefused() throws {
    expectFailure(try sweep(runs.folder.file("none.yaml")), 66, ["none.yaml"])
    expectFailure(try sweep(try runs.folder.write("[1]", to: "list.yaml")), 64, ["list.yaml: not a mapping"])
  }
}

private let hasScript = (try? run("script", ["--version"]))?.code == 0
