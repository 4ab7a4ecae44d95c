import ArrayFiles
import Foundation
import TestSupport
import Testing

/// Runs that go on in the environment: their buffer, their files, and that they are the same run however they are
/// interrupted and on however many ranks.
@Suite(.serialized) struct OnlineTests {
  private let runs = Runs()

  /// Both phases and a few episodes of 60 steps.
  private static let phases = ["--steps", "40", "--online-steps", "200", "--save-interval", "50"]

  private func complete(_ name: String, ranks: Int? = nil, _ options: String...) throws {
    try runs.complete(name, ranks: ranks, Self.phases + options)
  }

  /// Settings that step a round beside the last update of the one before.
  private static let ahead = ["--online-environments", "2", "--updates-per-step", "2"]

  private func expectSame(_ a: String, _ b: String, _ step: Int = 240) throws {
    let (first, second) = (try runs.tensors(a, step), try runs.tensors(b, step))
    #expect(first.count > 50 && first.keys == second.keys)
    for (name, values) in first {
      #expect(values.map(\.bitPattern) == second[name]?.map(\.bitPattern), "\(name)")
    }
  }

  private func collected(_ name: String) throws -> [String] {
    try runs.checkpoints(name).filter { $0.hasPrefix("collected-") }
  }

  // MARK: What a run does

  @Test func figuresOfBothPhases() throws {
    try complete("run", "--save-rollouts", runs.folder.file("rollouts"))
    let table = try runs.table("run")
    #expect(table.steps == Array(1...240))
    func column(_ name: String) throws -> [String] {
      let index = try #require(table.columns.firstIndex(of: name), "\(name)")
      return table.rows.map { $0[index] }
    }
    #expect(
      try column("phase") == Array(repeating: "offline", count: 40) + Array(repeating: "online", count: 200))
    // Without a solved task an episode ends after 60 steps.
    let lengths = try column("exploration/length")
    #expect(lengths.indices.filter { !lengths[$0].isEmpty } == [99, 159, 219])
    #expect(lengths[99] == "60.0")
    #expect(try column("exploration/return")[99] == "-60.0" && column("exploration/success")[99] == "0.0")
    #expect(try column("time/environment_share").map(\.isEmpty) == (0..<240).map { $0 < 40 })
    // The policy is evaluated and saved where the phases meet.
    #expect(try runs.table("run", "eval.csv").steps == [40, 240, 240])
    #expect(
      try collected("run")
        == [10, 60, 110, 160, 200].map { "collected-\(String(format: "%09d", $0)).safetensors" })
    // What was collected trains again.
    let again = try runs.complete("again", "--steps", "5", "--dataset", runs.folder.file("rollouts"))
    #expect(again.output.contains("200 transitions in 4 episodes of 20 to 60"), "\(again.output)")
  }

  @Test(arguments: ["faql", "rebrac", "iqn", "codac", "value-flows", "fql", "nfql", "nbrac"])
  func everyAgentGoesOnline(agent: String) throws {
    try runs.complete(
      "run", "--agent", agent, "--steps", "2", "--online-steps", "4", "--online-environments", "2")
    #expect(try runs.table("run").steps == Array(1...6))
  }

  /// Weights of the online phase change its losses alone.
  @Test func weightsOfTheOnlinePhase() throws {
    try runs.complete("as-before", "--steps", "3", "--online-steps", "3")
    try runs.complete(
      "others", "--steps", "3", "--online-steps", "3", "--online-alpha1", "0.5", "--online-alpha2", "0")
    let (before, after) = (
      try runs.table("as-before").numbers("actor/actor_loss"),
      try runs.table("others").numbers("actor/actor_loss")
    )
    #expect(before.prefix(3) == after.prefix(3) && before[3] != after[3])
  }

  @Test func stepsAndUpdates() throws {
    // Half an update for a step, and 7 steps before: 2 rounds of 4 environments, then one round for two updates.
    try runs.complete(
      "run", "--steps", "2", "--online-steps", "6", "--online-environments", "4", "--updates-per-step", "0.5",
      "--online-start-steps", "7", "--online-start-actions", "random", "--offline-ratio", "0.5")
    #expect(try collected("run").last == "collected-000000024.safetensors")
  }

  @Test(arguments: [
    (["--buffer-size", "5"], "--buffer-size needs --online-steps"),
    (["--save-rollouts", "x"], "--save-rollouts needs --online-steps"),
    (["--online-steps", "5", "--updates-per-step", "0"], "--updates-per-step must be"),
    (
      ["--online-steps", "5", "--agent", "fql", "--online-alpha1", "1"],
      "--online-alpha1: not a setting of --agent fql"
    ),
    (["--env", "pointmaze-medium-navigate-singletask-v0", "--preset", "online"], "no such preset"),
    (["--from", "nowhere.safetensors", "--online-steps", "5"], "nowhere.safetensors"),
  ]) func whatCannotBe(options: [String], line: String) throws {
    let result = try run(ranks: nil, runs.command("run", ["--steps", "5"] + options))
    expectFailure(result, line.hasPrefix("nowhere") ? 66 : 64, [line])
  }

  /// Said at the start, and not after the training.
  @Test(arguments: ["file/rollouts", "file/more/rollouts"]) func rolloutsHaveNoPlace(path: String) throws {
    let file = try runs.folder.write("", to: "file")
    let result = try run(
      ranks: nil,
      runs.command(
        "run", ["--steps", "1000000", "--online-steps", "1", "--save-rollouts", runs.folder.file(path)]))
    expectFailure(result, 73, [path, "cannot be made in", file])
  }

  @Test func rolloutsInTheRunsPlace() throws {
    let result = try runs.train(
      "run", "--steps", "5", "--online-steps", "1", "--save-rollouts", runs.folder.path + "/./run")
    expectFailure(result, 64, ["--save-rollouts is --run-dir"])
  }

  @Test func moreThanTheMachineHas() throws {
    let result = try runs.train(
      "run", "--online-steps", "1000000000", "--buffer-size", "1000000000000", "--updates-per-step", "0.0001")
    expectFailure(result, 71, ["MB of memory", "--buffer-size"])
  }

  // MARK: Ranks

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func anyNumberOfRanksLearnsTheSame() throws {
    let options = ["--steps", "20", "--online-steps", "100"]
    try runs.complete("1", options)
    let one = try runs.table("1")
    for ranks in 2...4 {
      try runs.complete("\(ranks)", ranks: ranks, options)
      let other = try runs.table("\(ranks)")
      for name in ["critic/critic_loss", "actor/actor_loss", "grad/norm"] {
        let (a, b) = (try one.numbers(name), try other.numbers(name))
        #expect(abs(a[20] - b[20]) <= 1e-5 * max(1, abs(a[20])), "\(ranks) ranks: \(name)")
        for step in 20..<120 {
          #expect(
            abs(a[step] - b[step]) <= 1e-3 * max(1, abs(a[step])),
            "\(ranks) ranks, update \(step + 1): \(name)")
        }
      }
    }
  }

  @Test(arguments: [nil, 2]) func theSameRunTwice(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    try runs.complete("first", ranks: ranks, Self.phases + Self.ahead)
    try runs.complete("second", ranks: ranks, Self.phases + Self.ahead)
    try expectSame("first", "second")
    #expect(try runs.table("first").timeless == runs.table("second").timeless)
  }

  // MARK: In parts

  @Test(arguments: [(nil, []), (2, []), (nil, ahead), (2, ahead)] as [(Int?, [String])])
  func inPartsTheBitsAreTheSame(ranks: Int?, options: [String]) throws {
    if ranks != nil && !hasMPIRun { return }
    let settings = ["--save-interval", "50", "--steps", "40"] + options
    try runs.complete("straight", ranks: ranks, settings + ["--online-steps", "200"])
    // The first part ends in the middle of an episode.
    try runs.complete("parts", ranks: ranks, settings + ["--online-steps", "90"])
    try runs.complete("parts", ranks: ranks, settings + ["--online-steps", "200", "--resume", "auto"])
    try expectSame("straight", "parts")
    #expect(try runs.table("straight").timeless == runs.table("parts").timeless)
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func onAnotherNumberOfRanks() throws {
    try runs.complete("parts", ranks: 2, ["--steps", "40", "--online-steps", "90"])
    let result = try runs.complete(
      "parts", ranks: 3, ["--steps", "40", "--online-steps", "200", "--resume", "auto"])
    #expect(
      !result.output.contains("cannot go on") && !result.output.contains("passed over"), "\(result.output)")
    #expect(try runs.table("parts").steps == Array(1...240))
    #expect(try collected("parts") == ["collected-000000090.safetensors", "collected-000000200.safetensors"])
  }

  /// A file of collected transitions that is damaged, or of another run, is found, and the checkpoint before is used.
  @Test(arguments: ["damaged", "another", "missing"]) func aFileThatIsNotTheRuns(problem: String) throws {
    try complete("run")
    try complete("straight")
    let path = runs.folder.file("run/checkpoints/collected-000000160.safetensors")
    switch problem {
    case "damaged": try edit(path) { $0[$0.count - 10] ^= 1 }
    case "another":
      try runs.complete("other", Self.phases + ["--seed", "1"])
      try FileManager.default.removeItem(atPath: path)
      try FileManager.default.copyItem(
        atPath: runs.folder.file("other/checkpoints/collected-000000160.safetensors"), toPath: path)
    default: try FileManager.default.removeItem(atPath: path)
    }
    let result = try runs.complete("run", Self.phases + ["--resume", "auto"])
    #expect(result.output.contains("passed over a checkpoint"), "\(result.output)")
    #expect(result.output.contains("after update 150\n"), "\(result.output)")
    try expectSame("straight", "run")
  }

  /// Killed at any moment, a run loses what came after its last checkpoint and comes to the same bits.
  @Test func killedRunsGoOn() throws {
    let phases = [
      "--steps", "40", "--online-steps", "1160", "--save-interval", "50", "--log-interval", "100",
    ]
    try runs.complete("straight", phases)
    let line = runs.command("killed", phases + ["--resume", "auto"])
    for update in [100, 200, 500, 700] {
      let command = try Command(line[0], Array(line.dropFirst()))
      _ = command.wait(40) { command.output.contains("\n\(update)/") }
      command.send(SIGKILL)
      _ = command.finish()
    }
    try runs.complete("killed", phases + ["--resume", "auto"])
    try expectSame("straight", "killed", 1200)
    #expect(try runs.table("straight").timeless == runs.table("killed").timeless)
  }

  @Test func aStoppedRunGoesOn() throws {
    let phases = ["--steps", "10", "--online-steps", "100000", "--log-interval", "50"]
    let line = runs.command("run", phases)
    let command = try Command(line[0], Array(line.dropFirst()))
    #expect(command.wait(40) { command.output.contains("\n150/") })
    command.send(SIGTERM)
    expectFailure(command.finish(), 75, ["stopped by a signal after update "])
    #expect(try collected("run").count == 1)
  }

  @Test func otherPhasesAreRefused() throws {
    try runs.complete("run", "--steps", "10", "--online-steps", "20")
    for (options, part) in [
      (["--steps", "10"], "--online-steps 20, not 0"),
      (["--steps", "12", "--online-steps", "20"], "--steps 10, not 12"),
      (["--steps", "10", "--online-steps", "5"], "--online-steps 20 or more"),
    ] {
      let result = try run(ranks: nil, runs.command("run", options + ["--resume", "auto"]))
      expectFailure(result, 78, [part])
    }
  }

  // MARK: From another run

  /// The online phase of a new run, from a checkpoint of the offline phase, is that of the whole run.
  @Test func fromACheckpoint() throws {
    try complete("whole")
    try runs.complete("offline", "--steps", "40")
    let checkpoint = runs.checkpoint("offline", 40)
    try runs.complete("from", "--from", checkpoint, "--online-steps", "200", "--save-interval", "50")
    try expectSame("whole", "from")
    #expect(try runs.table("from").steps == Array(41...240))
    for (options, code, line) in [
      ([], 64, "--from needs --online-steps"),
      (["--preset", "online"], 64, "--preset: with --from"),
      (["--agent", "faql"], 78, "\(checkpoint): its networks were trained with --agent fan, not faql"),
      (["--actor-hidden-dims", "8"], 78, "with --actor-hidden-dims 16,16, not 8"),
    ] as [([String], Int32, String)] {
      let online = options.isEmpty ? [] : ["--online-steps", "5"]
      let command = [
        built("fan-dist"), "train", "--from", checkpoint, "--run-dir", runs.folder.file("refused"),
      ]
      expectFailure(try run(ranks: nil, command + online + options), code, [line])
    }
  }
}

/// Online phases in a Gymnasium environment that does what a test wants.
@Suite(.serialized, .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
struct OnlineEnvironmentTests {
  private let runs = Runs()
  private let data: String
  private let modules = FileManager.default.currentDirectoryPath + "/Tests/CommandTests/Fixtures"

  init() throws {
    var fixture = DatasetFixture(episodes: 10)
    fixture.rewards = fixture.terminals.indices.map { Float($0 % 7) }
    data = try fixture.write(to: runs.folder.file("data.npz"))
  }

  private var environment: [String: String] { ["PYTHONPATH": modules, "FAULTS": runs.folder.path] }

  private func line(_ options: [String]) -> [String] {
    runs.command(
      "run",
      [
        "--env", "gymnasium:faulty_environment:Point-v0", "--dataset", data, "--python", pythonWithPackages!,
        "--steps", "10", "--online-steps", "50",
      ] + options)
  }

  private func train(ranks: Int? = nil, _ options: [String]) throws -> CommandResult {
    try run(ranks: ranks, line(options), environment: environment)
  }

  @Test(arguments: [(nil, 1), (2, 3)] as [(Int?, Int)])
  func episodesOfAnEnvironment(ranks: Int?, environments: Int) throws {
    if ranks != nil && !hasMPIRun { return }
    let result = try train(ranks: ranks, ["--online-environments", "\(environments)"])
    #expect(result.code == 0 && result.errorLines == [], "\(result)")
    let table = try runs.table("run")
    let column = try #require(table.columns.firstIndex(of: "exploration/length"))
    let lengths = table.rows.map { $0[column] }.filter { !$0.isEmpty }
    #expect(!lengths.isEmpty && lengths.allSatisfy { $0 == "10.0" }, "\(lengths)")
  }

  /// OGBench's own maze, in MuJoCo.
  @Test func someHundredStepsInARealEnvironment() throws {
    let result = try train([
      "--env", "ogbench:pointmaze-medium-navigate-singletask-v0", "--online-steps", "300", "--eval-episodes",
      "0",
      "--save-rollouts", runs.folder.file("rollouts"),
    ])
    #expect(result.code == 0 && result.errorLines == [], "\(result)")
    let table = try runs.table("run")
    let share = try #require(table.columns.firstIndex(of: "time/environment_share"))
    #expect(table.rows.suffix(300).allSatisfy { Double($0[share]) ?? 0 > 0 })
    #expect(result.output.contains("300 transitions in 1 episodes of 300 to 300"), "\(result.output)")
  }

  /// A simulator's state cannot be saved.
  @Test func aContinuedRunBeginsANewEpisode() throws {
    #expect(try train(["--online-steps", "25"]).code == 0)
    let result = try train(["--resume", "auto"])
    #expect(result.code == 0, "\(result)")
    #expect(result.output.contains("1 episode(s) of the environment cannot go on"), "\(result.output)")
    #expect(try runs.table("run").steps == Array(1...60))
  }

  /// A run is stopped while its environment takes a step: the episode is lost, which is said.
  @Test func aRunThatIsStoppedInAStepBeginsANewEpisode() throws {
    let line = line(["--eval-episodes", "0", "--log-interval", "1"])
    let command = try Command(line[0], Array(line.dropFirst()), environment: environment)
    #expect(command.wait(60) { command.output.contains("\n13/60") }, "\(command.output)")
    _ = try runs.folder.write("", to: "wait")
    usleep(500_000)
    command.send(SIGTERM)
    let stopped = command.finish()
    #expect(stopped.code == 75, "\(stopped)")
    try FileManager.default.removeItem(atPath: runs.folder.file("wait"))
    let result = try train(["--eval-episodes", "0", "--resume", "auto"])
    #expect(result.code == 0, "\(result)")
    #expect(result.output.contains("1 episode(s) of the environment cannot go on"), "\(result.output)")
  }

  @Test(arguments: [nil, 2]) func aKilledWorkerIsReplaced(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    _ = try runs.folder.write("", to: "kill once")
    let result = try train(ranks: ranks, ["--eval-episodes", "0"])
    #expect(result.code == 0, "\(result)")
    #expect(
      result.output.contains("warning: the environment failed; it is started again"), "\(result.output)")
    #expect(try runs.table("run").steps == Array(1...60))
  }

  /// The second failure ends the run, which goes on once the environment works again.
  @Test(arguments: [nil, 2]) func anEnvironmentThatFailsTwice(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    _ = try runs.folder.write("", to: "raise")
    let failed = try train(ranks: ranks, ["--eval-episodes", "0"])
    expectFailure(
      failed, 69, ["update 10: the environment failed twice", "the simulation is unstable", "--resume auto"])
    try FileManager.default.removeItem(atPath: runs.folder.file("raise"))
    let resumed = try train(ranks: ranks, ["--eval-episodes", "0", "--resume", "auto"])
    #expect(resumed.code == 0, "\(resumed)")
    #expect(try runs.table("run").steps == Array(1...60))
  }

  /// A signal while an environment is opened stops the run; the environment has not failed.
  @Test(arguments: [(nil, true), (nil, false), (2, true)] as [(Int?, Bool)])
  func aSignalBeforeTheEnvironmentIsOpen(ranks: Int?, goesOnline: Bool) throws {
    if ranks != nil && !hasMPIRun { return }
    _ = try runs.folder.write("", to: "open slowly")
    let options = goesOnline ? [] : ["--online-steps", "0"]
    let line = line(options)
    let command = try Command(
      ranks == nil ? line[0] : mpirun,
      ranks.map { mpirunArguments([($0, line)]) } ?? Array(line.dropFirst()), environment: environment)
    let isOpening = command.wait(30) {
      FileManager.default.fileExists(atPath: runs.folder.file("opening"))
    }
    command.send(SIGUSR1)
    let result = command.finish()
    #expect(isOpening)
    expectStopped(result, ranks: ranks, ["stopped by a signal after update 1;"])
    try FileManager.default.removeItem(atPath: runs.folder.file("open slowly"))
    #expect(try train(ranks: ranks, options + ["--resume", "auto"]).code == 0)
  }

  /// One that does not answer is taken for one that failed, and a signal does not wait for it.
  @Test func anEnvironmentThatHangs() throws {
    _ = try runs.folder.write("", to: "wait")
    let failed = try train(["--eval-episodes", "0", "--eval-timeout", "5"])
    expectFailure(failed, 69, ["the environment failed twice", "did not answer for 5 s"])
  }
}
