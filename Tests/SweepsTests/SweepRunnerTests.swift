import Basics
import Foundation
import Running
import Settings
import Sweeps
import TestRuns
import TestSupport
import Testing

/// How often this process has forked since a test began to count.
nonisolated(unsafe) private var forks = 0

/// How the runs of a sweep are started, with a program in place of fan-dist.
@Suite struct SweepRunnerTests {
  private let folder = TemporaryDirectory()

  /// What a runner has said, and whether it is to stop.
  private final class Conversation {
    var lines: [String] = []
    var stops = false
  }
  private let conversation = Conversation()

  private func runner(_ text: String, program: String, arguments: [String] = []) throws -> (
    Sweep, SweepRunner
  ) {
    let sweep = try Sweep(path: folder.write(text + "\n", to: "sweep.yaml"))
    let conversation = conversation
    let runner = SweepRunner(
      sweep, directory: folder.file("out"), program: program, arguments: arguments,
      host: SweepRunner.Host(
        say: { conversation.lines.append($0) }, shouldStop: { conversation.stops }))
    return (sweep, runner)
  }

  /// A program that notes the names of its runs and exits with the code that is given for a name.
  private func program(failing codes: [String: String] = [:]) throws -> String {
    _ = try folder.write(codes.map { "\($0) \($1)\n" }.joined(), to: "out.codes")
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    return tests.appendingPathComponent("Fixtures/program").path
  }

  /// The runs that the program was started for.
  private var started: [String] {
    let text = (try? String(contentsOfFile: folder.file("out.log"), encoding: .utf8)) ?? ""
    return text.split(separator: "\n").map(String.init)
  }

  /// Writes what a finished run of a sweep leaves.
  private func finish(_ run: Sweep.Run) throws {
    let directory = RunDirectory(path: folder.file("out/\(run.name)"))
    let step = run.configuration.steps
    try writeCheckpoint(run.configuration, step: step, to: directory.checkpoint(step: step))
    let rows = ["policy", "behaviour"].map { "\(step),\($0),done,50\n" }.joined()
    _ = try folder.write("step,actor,status,episodes\n\(rows)", to: "out/\(run.name)/eval.csv")
  }

  // MARK: Command lines

  @Test func aRunIsStartedOrContinuedInItsDirectory() throws {
    let (sweep, runner) = try runner(
      "settings: {steps: 7}", program: "/bin/fan-dist", arguments: ["--python", "x"])
    #expect(
      runner.command(sweep.runs[0]) == [
        "/bin/fan-dist", "train", "--run-dir", folder.file("out/seed=0"), "--resume", "auto", "--python", "x",
        "--steps=7", "--seed=0",
      ])
  }

  @Test func severalRanksAreStartedByMpirun() throws {
    let (sweep, runner) = try runner("ranks: 3", program: "/bin/fan-dist")
    let command = runner.command(sweep.runs[0])
    #expect(command.prefix(3) == [mpirun, "-n", "3"] && command.contains("/bin/fan-dist"))
  }

  // MARK: Which runs are started

  @Test func allRunsAreStartedInTheirOrder() throws {
    let (sweep, runner) = try runner("grid: {alpha1: [1, 3]}\nseeds: [0, 1]", program: program())
    try runner.run(0..<4)
    #expect(started == sweep.runs.map(\.name))
  }

  @Test func onlyTheRunsThatAreAskedForAreStarted() throws {
    let (_, runner) = try runner("seeds: [0, 1, 2, 3]", program: program())
    try runner.run(1..<3)
    #expect(started == ["seed=1", "seed=2"])
  }

  @Test func finishedRunsAreNotStarted() throws {
    let text = "settings: {steps: 40, actor_hidden_dims: [8], value_hidden_dims: [8]}\nseeds: [0, 1, 2]"
    let (sweep, runner) = try runner(text, program: program())
    try finish(sweep.runs[1])
    try runner.run(0..<3)
    #expect(started == ["seed=0", "seed=2"])
    #expect(conversation.lines.contains("run 1, seed=1: finished before"))
    #expect(conversation.lines.contains("done: 3 run(s), 1 of them finished before"))
  }

  @Test func runsThatWereFinishedWithOtherSettingsAreStarted() throws {
    let text = "settings: {steps: 40, actor_hidden_dims: [8], value_hidden_dims: [8], alpha1: 1}"
    let (old, _) = try runner(text, program: program())
    try finish(old.runs[0])
    let (_, runner) = try runner(text.replacing("alpha1: 1", with: "alpha1: 2"), program: program())
    try runner.run(0..<1)
    #expect(started == ["seed=0"])
  }

  // MARK: Failures

  @Test func afterAFailureTheOtherRunsAreStarted() throws {
    let (_, runner) = try runner("seeds: [0, 1, 2]", program: program(failing: ["seed=1": "65"]))
    _ = try? runner.run(0..<3)
    #expect(started == ["seed=0", "seed=1", "seed=2"])
  }

  @Test func aSweepFailsWithTheCodeOfItsFirstFailure() throws {
    let (_, runner) = try runner(
      "seeds: [0, 1, 2]", program: program(failing: ["seed=1": "65", "seed=2": "78"]))
    let failure = #expect(throws: Failure.self) { try runner.run(0..<3) }
    #expect(failure?.code == .data)
    #expect(failure?.message.hasPrefix("2 of 3 run(s) failed: seed=1 (65), seed=2 (78)") == true)
  }

  @Test func aCodeThatIsNoneOfTheCommandsIsAFailureOfTheSystem() throws {
    let (_, runner) = try runner("{}", program: program(failing: ["seed=0": "3"]))
    #expect(#expect(throws: Failure.self) { try runner.run(0..<1) }?.code == .system)
  }

  /// OpenBLAS ends its threads when a process forks, and a product on another thread would wait for them for ever.
  @Test func aRunIsStartedWithoutFork() throws {
    pthread_atfork({ forks += 1 }, nil, nil)
    let (_, runner) = try runner("seeds: [0]", program: program())
    try runner.run(0..<1)
    #expect(forks == 0 && started == ["seed=0"])
  }

  @Test func aProgramThatIsNotThereEndsTheSweep() throws {
    let (_, runner) = try runner("seeds: [0, 1]", program: folder.file("nothing"))
    let failure = #expect(throws: Failure.self) { try runner.run(0..<2) }
    #expect(failure?.code == .system && failure?.message.contains("nothing: cannot be started") == true)
  }

  // MARK: Stopping

  @Test func aSweepThatIsStoppedStartsNothing() throws {
    let (_, runner) = try runner("seeds: [0, 1]", program: program())
    conversation.stops = true
    let failure = #expect(throws: Failure.self) { try runner.run(0..<2) }
    #expect(failure?.code == .requeue && started == [])
  }

  /// Somebody stopped the run and not the sweep, or the run stopped by itself.
  @Test(arguments: [75, 76] as [Int32]) func afterARunThatWasStoppedTheOthersAreStarted(code: Int32) throws {
    let (_, runner) = try runner("seeds: [0, 1]", program: program(failing: ["seed=0": "\(code)"]))
    let failure = #expect(throws: Failure.self) { try runner.run(0..<2) }
    #expect(failure?.code.rawValue == code && failure?.message.contains("seed=0 (\(code))") == true)
    #expect(started == ["seed=0", "seed=1"])
    #expect(conversation.lines.contains { $0.contains("was stopped") })
  }

  // MARK: Several at a time

  /// Settings of which one takes longer, with the same networks.
  private static let lengths =
    "runs: [{steps: 10}, {steps: 30}, {steps: 20}]\nsettings: {actor_hidden_dims: [8], value_hidden_dims: [8]}"

  @Test func theLongestRunsStartFirst() throws {
    let (sweep, runner) = try runner(Self.lengths, program: program())
    try runner.run(0..<3, jobs: 1)
    #expect(started == [1, 2, 0].map { sweep.runs[$0].name })
  }

  /// Four runs, the last of which have as much to do as the first.
  @Test func runsOfOneLengthStartInTheirOrder() throws {
    let (sweep, runner) = try runner("grid: {alpha1: [1, 3]}\nseeds: [0, 1]", program: program())
    try runner.run(0..<4, jobs: 1)
    #expect(started == sweep.runs.map(\.name))
  }

  @Test func severalRunsTrainAtATime() throws {
    let (sweep, runner) = try runner("seeds: [0, 1, 2, 3, 4]", program: program())
    try runner.run(0..<5, jobs: 3)
    #expect(started.sorted() == sweep.runs.map(\.name).sorted())
    #expect(conversation.lines.contains("done: 5 run(s), 0 of them finished before"))
  }

  @Test func aRunThatCrashesEndsNoOther() throws {
    let (_, runner) = try runner("seeds: [0, 1, 2]", program: program(failing: ["seed=1": "KILL"]))
    let failure = #expect(throws: Failure.self) { try runner.run(0..<3, jobs: 2) }
    #expect(failure?.code == .system && failure?.message.contains("seed=1 (137)") == true)
    #expect(started.count == 3)
  }

  @Test func aSweepOfSeveralThatIsStoppedStartsNothing() throws {
    let (_, runner) = try runner("seeds: [0, 1]", program: program())
    conversation.stops = true
    let failure = #expect(throws: Failure.self) { try runner.run(0..<2, jobs: 2) }
    #expect(failure?.code == .requeue && started == [])
  }

  // MARK: Settings in another order

  @Test func aRunIsFoundWhenItsSettingsStandInAnotherOrder() throws {
    let (old, _) = try runner("runs: [{alpha1: 1, alpha2: 2}]", program: program())
    let path = folder.file("out/\(old.runs[0].name)")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let (new, runner) = try runner("runs: [{alpha2: 2, alpha1: 1}]", program: program())
    #expect(runner.command(new.runs[0]).contains(path))
  }
}
