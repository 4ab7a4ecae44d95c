import Basics
import Environments
import Foundation
import Kernels
import TestSupport
import Testing

/// Ignores SIGPIPE, as the command does when it starts, and lets Python find the modules in Fixtures.
private let isPrepared: Void = {
  signal(SIGPIPE, SIG_IGN)
  setenv("PYTHONPATH", testFolder.appending(path: "Fixtures").path, 1)
}()

/// A Gymnasium environment and memory for its observations.
private final class Played {
  let environment: GymnasiumEnvironment
  private let memory = Buffer<Float>(count: 4096)
  private(set) var observations: Matrix<Float>

  init(
    _ name: String, workers: Int = 1, python: String? = nil, timeout: Double = 120, seed: UInt32 = 1,
    video: String? = nil, hasGivenReferences: Bool = false
  ) throws {
    _ = isPrepared
    guard case .gymnasium(var task) = try NamedTask(name: name) else { fatalError("\(name) is embedded") }
    task.hasGivenReferences = hasGivenReferences
    let python = python ?? pythonWithPackages!
    environment = GymnasiumEnvironment(
      task, .init(python: python, workers: workers, timeout: .seconds(timeout), video: video), seed: seed,
      episodes: 8)
    observations = Matrix(memory, rows: 0, columns: 1)
  }

  /// Starts episodes in slots 0, 1, … and returns their first observations.
  func start(_ episodes: [Int]) throws -> [[Float]] {
    let sizes = try environment.describe()
    observations = Matrix(memory, rows: episodes.count, columns: sizes.observation.count)
    try environment.start(episodes, in: Array(episodes.indices), place)
    return rows(observations)
  }

  /// Takes one step in slots 0, 1, …
  func step(_ actions: [[Float]]) throws -> (observations: [[Float]], outcomes: [StepOutcome]) {
    let buffer = Buffer<Float>(count: actions.count * actions[0].count)
    let matrix = Matrix(buffer, rows: actions.count, columns: actions[0].count)
    for (row, action) in actions.enumerated() {
      for (column, value) in action.enumerated() { matrix[row, column] = value }
    }
    let outcomes = try withExtendedLifetime(buffer) {
      try environment.step(Array(actions.indices), matrix, place)
    }
    return (rows(observations), outcomes)
  }

  /// Plays episodes for some steps, with actions that depend on episode and step, and returns each episode's
  /// observations and rewards.
  func history(_ episodes: [Int], steps: Int) throws -> [[Float]] {
    var history = try start(episodes)
    let size = try environment.describe().actionSize
    for step in 0..<steps {
      let (seen, outcomes) = try self.step(
        episodes.map { episode in
          (0..<size).map { Float((episode * 31 + step * 17 + $0 * 7) % 41) / 20 - 1 }
        })
      for i in episodes.indices { history[i] += seen[i] + [Float(outcomes[i].reward)] }
    }
    return history
  }

  private func place(_ row: Int) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(observations.row(row))
  }

  private func rows(_ matrix: Matrix<Float>) -> [[Float]] {
    (0..<matrix.rows).map { row in (0..<matrix.columns).map { matrix[row, $0] } }
  }
}

/// Workers with Gymnasium, OGBench and Minari environments.
@Suite(.serialized, .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
struct GymnasiumEnvironmentTests {
  /// The images of the first and the second step of two episodes, byte by byte.
  @Test func imagesComeAsBytes() throws {
    let played = try Played("gymnasium:probe_environment:Camera-v0")
    #expect(try played.environment.describe().observation == .image(height: 2, width: 3, channels: 3))
    var images = [[UInt8]](repeating: [UInt8](repeating: 1, count: 18), count: 2)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 36, alignment: 16)
    defer { memory.deallocate() }
    func seen() -> [[UInt8]] {
      (0..<2).map { Array(UnsafeRawBufferPointer(start: memory + 18 * $0, count: 18)) }
    }
    try played.environment.start([0, 1], in: [0, 1]) { memory + 18 * $0 }
    images = Array(repeating: (0..<18).map { UInt8($0) }, count: 2)
    #expect(seen() == images)
    let actions = Buffer<Float>(count: 6)
    _ = try played.environment.step([0, 1], Matrix(actions, rows: 2, columns: 3)) { memory + 18 * $0 }
    withExtendedLifetime(actions) {}
    images = Array(repeating: (0..<18).map { UInt8($0 + 200) }, count: 2)
    #expect(seen() == images)
  }

  @Test func imagesOfOneChannelAreRefused() throws {
    let played = try Played("gymnasium:probe_environment:GreyCamera-v0")
    let failure = try #require(throws: WorkerFailure.self) { try played.environment.describe() }
    #expect(failure.description.contains("(height, width, 3) is needed"), "\(failure)")
  }

  /// Episodes do not depend on the worker or slot that plays them, nor on what was played there before.
  @Test(arguments: [
    "gymnasium:Pendulum-v1", "pointmaze-teleport-navigate-singletask-v0", "cube-single-play-singletask-v0",
    "ogbench:antmaze-medium-navigate-singletask-task2-v0",
  ])
  func episodesDependOnlyOnSeedAndNumber(name: String) throws {
    let one = try Played(name)
    let first = try one.history([0, 1, 2], steps: 8)
    #expect(try one.history([2, 0], steps: 8) == [first[2], first[0]])
    #expect(try Played(name, workers: 2).history([1, 2], steps: 8) == Array(first[1...]))
    #expect(first[0] != first[1])
    #expect(try Played(name, seed: 2).history([0], steps: 8) != [first[0]])
  }

  /// Actions in [−1, 1] are scaled to the environment's bounds, and the entries of an observation are in the
  /// order of the space, which Gymnasium sorts unless it is told otherwise.
  @Test func actionsAreScaledAndObservationsFlattened() throws {
    let probe = try Played("gymnasium:probe_environment:Probe-v0")
    #expect(
      try probe.environment.describe()
        == EnvironmentDescription(
          observation: .vector(3), actionSize: 3, observationOrder: ["a (1)", "b (2)"],
          actionBounds: [-2...2, 0...10, nil]))
    #expect(try probe.start([0, 1, 2]) == [[0, 0, 0], [0, 0, 0], [0, 0, 0]])
    let (seen, _) = try probe.step([[-1, -1, -1], [0.5, 0.5, 0.5], [7, .nan, 1]])
    #expect(seen == [[-1, -2, 0], [0.5, 1, 7.5], [1, 2, 5]])
  }

  /// As in data that were collected with Gymnasium's FlattenObservation.
  @Test func entriesAreInTheOrderOfTheSpace() throws {
    let probe = try Played("gymnasium:probe_environment:Ordered-v0")
    #expect(try probe.environment.describe().observationOrder == ["b (2)", "a/z (1)"])
    _ = try probe.start([0])
    #expect(try probe.step([[-1, -1, 7]]).observations == [[-2, 0, 1]])
    let check = """
      import gymnasium, numpy as np, probe_environment
      flat = gymnasium.wrappers.FlattenObservation(gymnasium.make("Ordered-v0", disable_env_checker=True))
      flat.reset()
      assert flat.step(np.array([-2, 0, 1], np.float32))[0].tolist() == [-2, 0, 1]
      """
    let result = try run(pythonWithPackages!, ["-W", "ignore", "-c", check])
    #expect(result.code == 0, "\(result)")
  }

  /// Whole numbers are the nearest ones; arrays of one element are numbers, and NaN is no success.
  @Test func wholeNumbersAndArraysOfOneElement() throws {
    let probe = try Played("gymnasium:probe_environment:Levels-v0")
    _ = try probe.start([0])
    var seen: [[Float]] = []
    var outcomes: [StepOutcome] = []
    for action: [Float] in [[0.99, 0.99, 0.4], [-0.7, -0.5, -0.6], [-0.8, 0.1, 1]] {
      let step = try probe.step([action])
      seen += step.observations
      outcomes += step.outcomes
    }
    // The third component comes first.
    #expect(seen == [[0, 4, 3], [-1, 1, -2], [1, 0, 0]])
    #expect(
      outcomes == [
        StepOutcome(reward: 1, terminated: false, truncated: false, success: true),
        StepOutcome(reward: 2, terminated: true, truncated: false, success: false, isUnclear: true),
        StepOutcome(reward: 3, terminated: false, truncated: true, success: true),
      ])
    let two = try Played("gymnasium:probe_environment:TwoRewards-v0")
    _ = try two.start([0])
    let failure = try #require(throws: WorkerFailure.self) { try two.step([[0, 0, 0]]) }
    #expect(failure.description.contains("the reward is '[0. 0.]', of shape (2,): one number is needed"))
  }

  /// With one bound, too, and with two whose distance is no number.
  @Test func actionsStayWithinTheirBounds() throws {
    let probe = try Played("gymnasium:probe_environment:HalfOpen-v0")
    #expect(try probe.environment.describe().actionBounds == [nil, nil, nil])
    _ = try probe.start([0, 1])
    // The third component comes first.
    #expect(try probe.step([[-1, 1, 0.5], [1, -1, -7]]).observations == [[0.5, 0, -0.5], [-1, 1, -1]])
  }

  /// An episode has succeeded if one of the names says so, whatever the other says.
  @Test func successHasTwoNames() throws {
    let probe = try Played("gymnasium:probe_environment:TwoNames-v0")
    _ = try probe.start([0])
    let outcomes = try (0..<7).map { _ in try probe.step([[0, 0, 0]]).outcomes[0] }
    #expect(outcomes.map(\.success) == [true, true, true, true, false, false, nil])
    #expect(outcomes.map(\.isUnclear) == [false, false, false, false, true, false, false])
  }

  @Test func columnsAreVectors() throws {
    let probe = try Played("gymnasium:probe_environment:Columns-v0")
    _ = try probe.start([0])
    #expect(try probe.step([[1, -1, 0.5]]).observations == [[2, 0, 0.5]])
  }

  /// Nothing is made to fit, and the message says what is wrong.
  @Test(arguments: [
    ("TurnedCamera", "an observation has shape (3, 2, 3), not (2, 3, 3) as its space says"),
    ("FlatCamera", "an observation has shape (18,), not (2, 3, 3) as its space says"),
    ("Transposed", "an observation has shape (2, 3), not (3, 2) as its space says"),
    ("Complex", "an observation is an array of complex128; numbers are needed"),
    ("Texts", "an observation is an array of <U1; numbers are needed"),
    ("ComplexReward", "the reward is '(1+2j)'"),
    ("NoEntries", "observations: the dictionary has no entries"),
    ("NoObservation", "observations have no numbers"), ("NoAction", "actions have no numbers"),
    ("OldReset", "reset returned one value; Gymnasium's reset returns observation, info"),
    ("OldStep", "step returned 4 values; Gymnasium's step returns observation, reward, terminated"),
    ("NoInfo", "step returned None as info; Gymnasium's step returns a dictionary"),
  ])
  func whatIsNotAsGymnasiumHasItIsNamed(name: String, part: String) throws {
    let played = try Played("gymnasium:probe_environment:\(name)-v0")
    let failure = try #require(throws: WorkerFailure.self) {
      _ = try played.start([0])
      _ = try played.step([[0, 0, 0]])
    }
    #expect(failure.description.contains(part), "\(failure)")
    #expect(!failure.description.contains("\n"))
  }

  /// References that define no score are named, unless people give others.
  @Test(arguments: [("WordsForScores", "'low' and 'high'"), ("OneScore", "5 and 5")])
  func referenceReturnsThatDefineNoScore(name: String, values: String) throws {
    let name = "gymnasium:probe_environment:\(name)-v0"
    let played = try Played(name)
    let failure = try #require(throws: WorkerFailure.self) { try played.environment.describe() }
    for part in ["ref_min_score and ref_max_score are \(values)", "give --reference-returns LOW,HIGH"] {
      #expect(failure.description.contains(part), "\(failure)")
    }
    let scored = try Played(name, hasGivenReferences: true)
    #expect(try scored.environment.describe().referenceReturns == nil)
  }

  /// Copies of a worker neither read requests nor answer them.
  @Test func forksDoNotAnswer() throws {
    let forking = try Played("gymnasium:probe_environment:Forking-v0")
    let alone = try Played("gymnasium:probe_environment:Probe-v0")
    #expect(try forking.history([0, 1], steps: 20) == alone.history([0, 1], steps: 20))
  }

  /// At the end and after a failure, also where closing fails; a video that is not complete disappears.
  @Test(arguments: [1, 2]) func environmentsAreClosed(steps: Int) throws {
    let (closed, videos) = (TemporaryDirectory(), TemporaryDirectory())
    setenv("CLOSED", closed.path, 1)
    let played = try Played(
      "gymnasium:probe_environment:Closing-v0", video: videos.file("video.gif"))
    _ = try played.start([0, 1])
    _ = try played.step([[0, 0, 0], [0, 0, 0]])
    if steps == 2 { #expect(throws: WorkerFailure.self) { try played.step([[0, 0, 0], [0, 0, 0]]) } }
    played.environment.stop()
    #expect(try FileManager.default.contentsOfDirectory(atPath: closed.path).count == 2)
    #expect(try FileManager.default.contentsOfDirectory(atPath: videos.path) == [])
  }

  @Test func outcomesAreThoseOfTheEnvironment() throws {
    let probe = try Played("gymnasium:probe_environment:Probe-v0")
    _ = try probe.start([0])
    let outcomes = try (0..<3).map { _ in try probe.step([[0, 0, 0]]).outcomes[0] }
    #expect(
      outcomes == [
        StepOutcome(reward: 1, terminated: false, truncated: false, success: nil),
        StepOutcome(reward: 2, terminated: true, truncated: false, success: true),
        StepOutcome(reward: 3, terminated: false, truncated: true, success: false),
      ])
  }

  @Test(arguments: [
    ("gymnasium:NoSuchEnvironment-v0", "NoSuchEnvironment"), ("ogbench:cube-nothing-play-v0", "cube-nothing"),
    ("minari:no/such-v0", "no/such-v0"), ("gymnasium:no_such_module:Some-v0", "no_such_module"),
    ("gymnasium:probe_environment:WithImages-v0", "observations: only boxes"),
    ("gymnasium:probe_environment:WithButtons-v0", "actions: only boxes"),
  ])
  func unusableEnvironmentsAreNamed(name: String, part: String) throws {
    let played = try Played(name)
    let failure = try #require(throws: WorkerFailure.self) { try played.environment.describe() }
    #expect(failure.description.contains(part), "\(failure)")
    #expect(!failure.description.contains("\n"))
  }

  /// Minari's datasets name their environment and its reference returns.
  @Test func minariDatasetsGiveTheirEnvironmentAndReferenceReturns() throws {
    let folder = TemporaryDirectory()
    setenv("MINARI_DATASETS_PATH", folder.path, 1)
    let script = """
      import gymnasium, minari, numpy as np
      from minari.data_collector import EpisodeBuffer
      env = gymnasium.make("Pendulum-v1")
      steps = EpisodeBuffer(observations=np.zeros((3, 3), np.float32), actions=np.zeros((2, 1), np.float32),
        rewards=[0.0, 0.0], terminations=[False, False], truncations=[False, True])
      minari.create_dataset_from_buffers("test/pendulum-v0", [steps], env=env,
        ref_min_score=-1000.0, ref_max_score=-200.0)
      """
    let made = try run(pythonWithPackages!, ["-W", "ignore", "-c", script])
    try #require(made.code == 0, "\(made)")
    let description = try Played("minari:test/pendulum-v0").environment.describe()
    #expect(
      description
        == EnvironmentDescription(
          observation: .vector(3), actionSize: 1, referenceReturns: [-1000, -200],
          actionBounds: [-2...2]))
    #expect(description.normalisedScore(-400) == 75)
  }
}

/// A worker's fault gives an error of one line in time, and leaves no process behind.
@Suite(.serialized) struct WorkerFaultTests {
  /// Runs a shell script in place of Python and returns the error. Checks that the script's processes have
  /// ended.
  private func failure(_ script: String, timeout: Double = 20) throws -> String {
    let folder = TemporaryDirectory()
    let program = try folder.write(
      "#!/bin/sh\necho $$ >\(folder.file("pid"))\n\(script)\n", to: "python")
    chmod(program, 0o755)
    let played = try Played("gymnasium:Pendulum-v1", python: program, timeout: timeout)
    let failure = try #require(throws: WorkerFailure.self) { try played.start([0]) }
    let text = try String(contentsOfFile: folder.file("pid"), encoding: .utf8)
    let process = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    // Killed processes take a moment to end.
    for _ in 0..<100 where !running(inGroup: process).isEmpty { usleep(20_000) }
    #expect(running(inGroup: process) == [])
    return failure.description
  }

  /// The processes of a group, without zombies.
  private func running(inGroup group: Int32) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { name in
      // "pid (name) state parent group ..."
      let text = (try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8)) ?? ""
      let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
      return fields.count > 2 && fields[2] == "\(group)" && fields[0] != "Z" ? text : nil
    }
  }

  /// The bytes of a frame's header for printf.
  private static func header(magic: String = "FANW", version: Int = 1, kind: Int = 1, length: String)
    -> String
  {
    "\(magic)\\\(version)\\0\\\(kind)\\0\(length)"
  }
  private static let fifty = "\\062\\0\\0\\0"
  private static let opened = #"{"observation_shape":[3],"action_size":1,"action_bounds":[[null,null]]}"#

  @Test(arguments: [
    ("echo 'hello, this is no frame'", ["not a frame", "hello, this"]),
    ("printf '\(header(version: 7, length: fifty))'", ["version 7"]),
    ("printf '\(header(kind: 2, length: fifty))'", ["kind 2"]),
    ("printf '\(header(kind: 77, length: fifty))'", ["kind"]),
    ("printf '\(header(length: "\\0\\0\\0\\377"))'", ["announced", "bytes"]),
    ("printf 'FANW\\1'; exit 3", ["FANW", "ended with exit code 3"]),
    ("printf '\(header(length: fifty))abc'", ["abc", "ended with exit code 0"]),
    ("printf '\(header(kind: 0, length: "\\4\\0\\0\\0"))oops'", ["reports", "oops"]),
    ("printf '\(header(length: "\\4\\0\\0\\0"))nope'", ["does not describe", "nope"]),
    // The description is correct, but no answer follows.
    ("printf '\(header(length: "\\107\\0\\0\\0"))\(opened)'", ["ended with exit code 0"]),
    // The description is correct, but the next answer is too short.
    (
      "printf '\(header(length: "\\107\\0\\0\\0"))\(opened)\(header(kind: 2, length: "\\4\\0\\0\\0"))abcd'",
      ["4 bytes, not 12"]
    ),
    ("echo first >&2; echo 'some reason' >&2; exit 4", ["exit code 4", "first | some reason"]),
    ("kill -9 $$", ["signal 9"]),
    ("exec >&-; sleep 100", ["closed its output"]),
  ]) func wrongAnswersAreExplained(script: String, parts: [String]) throws {
    let line = try failure(script)
    for part in parts { #expect(line.contains(part), "\(line)") }
    #expect(!line.contains("\n"))
  }

  @Test(arguments: [
    "sleep 100", "sleep 100 & sleep 100", "while :; do echo on and on >&2; done",
    "printf 'FANW'; sleep 100", "trap '' TERM INT; sleep 100",
  ]) func workersThatHangAreEnded(script: String) throws {
    // Long enough for the script to begin on a machine that is busy.
    #expect(try failure(script, timeout: 2.5).contains("did not answer for 2.5 s"))
  }

  @Test func missingInterpretersAreNamed() throws {
    let folder = TemporaryDirectory()
    let noProgram = try folder.write("text", to: "python")
    chmod(noProgram, 0o755)
    for python in ["no-such-python", folder.file("none"), noProgram] {
      let played = try Played("gymnasium:Pendulum-v1", python: python)
      let failure = try #require(throws: WorkerFailure.self) { try played.environment.describe() }
      #expect(failure.description.contains("cannot be started") && failure.description.contains(python))
    }
  }

  /// Python runs without site-packages.
  @Test(.enabled(if: hasNumPy, "\(noNumPy)")) func missingPackagesAreNamed() throws {
    #expect(try failure("exec python3 -I -S \"$@\"").contains("ModuleNotFoundError: No module named 'numpy'"))
  }

  /// After a failure, the next use starts new workers.
  @Test(.enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)")) func workersAreReplaced() throws {
    let folder = TemporaryDirectory()
    let program = try folder.write(
      "#!/bin/sh\nif mkdir \(folder.file("used")) 2>/dev/null; then exit 1; fi\nexec \(pythonWithPackages!) \"$@\"\n",
      to: "python")
    chmod(program, 0o755)
    let played = try Played("gymnasium:Pendulum-v1", python: program)
    #expect(throws: WorkerFailure.self) { try played.start([0]) }
    #expect(try played.start([0]) == Played("gymnasium:Pendulum-v1").start([0]))
  }
}

/// The names of tasks.
@Suite struct NamedTaskTests {
  private func gymnasium(_ name: String) throws -> GymnasiumTask? {
    if case .gymnasium(let task) = try NamedTask(name: name) { task } else { nil }
  }

  @Test func namesSelectTheProjectOfTheTask() throws {
    #expect(try gymnasium("cube-single-play-singletask-v0")?.source == .ogbench)
    #expect(try gymnasium("ogbench:pointmaze-medium-navigate-singletask-v0")?.source == .ogbench)
    #expect(try gymnasium("pointmaze-teleport-navigate-singletask-task2-v0")?.source == .ogbench)
    #expect(try gymnasium("gymnasium:ALE/Some:Thing-v0")?.name == "ALE/Some:Thing-v0")
    #expect(try gymnasium("minari:D4RL/pen/human-v2")?.source == .minari)
    #expect(try NamedTask(name: "pointmaze-medium-navigate-singletask-v0").embedded != nil)
    for name in ["nowhere", "gymnasium:", "atari:Pong", "pointmaze-medium-fly-singletask-v0", ""] {
      #expect(throws: UnknownTask.self) { try NamedTask(name: name) }
    }
  }
}
