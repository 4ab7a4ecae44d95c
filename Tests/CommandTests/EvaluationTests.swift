import ArrayFiles
import Foundation
import TestSupport
import Testing

/// Evaluation while training goes on.
@Suite(.serialized) struct EvaluationTests {
  /// The best policy is the one that was evaluated, however far the run had come when that was known.
  @Test(arguments: [nil, 2]) func theBestPolicyIsTheEvaluatedOne(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let runs = Runs()
    try runs.complete("run", ranks: ranks, "--steps", "100", "--eval-interval", "20")
    let table = try runs.table("run", "eval.csv")
    #expect(table.steps == [20, 40, 60, 80, 100, 100])
    let (success, total) = (try table.numbers("success"), try table.numbers("return"))
    let first = try #require(
      (0..<5).max { (success[$0], total[$0], -$0) < (success[$1], total[$1], -$1) })
    let best = try SafetensorsFile(path: runs.folder.file("run/checkpoints/best.safetensors"))
    try best.verify()
    let step = table.steps[first]
    #expect(best.metadata["step"] == "\(step)")
    try runs.complete("again", ranks: ranks, "--steps", "\(step)")
    let again = try runs.tensors("again", step)
    #expect(Set(again.keys) == Set(best.tensors.keys))
    for (name, values) in again { #expect(try best.floats(name) == values, "\(name)") }
  }

  @Test func withoutEvaluation() throws {
    let runs = Runs()
    try runs.complete("run", "--steps", "10", "--eval-episodes", "0", "--eval-interval", "2")
    #expect(try runs.table("run").steps == Array(1...10))
    #expect(try runs.checkpoints("run") == ["step-000000010.safetensors"])
  }
}

/// Training in a Gymnasium environment.
@Suite(.serialized, .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
struct RealEnvironmentTests {
  private let runs = Runs()
  private let data: String
  private let modules = FileManager.default.currentDirectoryPath + "/Tests/CommandTests/Fixtures"
  private static let name = "gymnasium:faulty_environment:Point-v0"

  init() throws {
    var fixture = DatasetFixture(episodes: 10)
    fixture.rewards = fixture.terminals.indices.map { Float($0 % 7) }
    data = try fixture.write(to: runs.folder.file("data.npz"))
  }

  private var environment: [String: String] { ["PYTHONPATH": modules, "FAULTS": runs.folder.path] }

  private func wish(_ fault: String) throws { _ = try runs.folder.write("", to: fault) }
  private func grant(_ fault: String) throws {
    try FileManager.default.removeItem(atPath: runs.folder.file(fault))
  }

  private func line(_ options: [String], python: String? = nil) -> [String] {
    runs.command(
      "run",
      ["--env", Self.name, "--dataset", data, "--python", python ?? pythonWithPackages!, "--steps", "60"]
        + options)
  }

  private func train(
    ranks: Int? = nil, python: String? = nil, _ options: String...
  ) throws -> CommandResult {
    try run(ranks: ranks, line(options, python: python), environment: environment)
  }

  private var evaluations: Table { get throws { try runs.table("run", "eval.csv") } }
  private func statuses() throws -> [String] { try evaluations.rows.map { "\($0[0]) \($0[1]) \($0[2])" } }

  /// A program that stands for Python.
  private func interpreter(_ script: String) throws -> String {
    let path = try runs.folder.write("#!/bin/sh\n\(script)\n", to: "interpreter")
    chmod(path, 0o755)
    return path
  }

  // MARK: Nothing goes wrong

  @Test(arguments: [nil, 2]) func figuresOfAnEvaluation(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let result = try train(ranks: ranks, "--eval-interval", "20", "--eval-workers", "2")
    try #require(result.code == 0 && result.errorLines == [], "\(result)")
    let table = try evaluations
    #expect(
      try statuses() == [
        "20 policy done", "40 policy done", "60 policy done", "60 behaviour done",
      ])
    #expect(try table.numbers("episodes") == [5, 5, 5, 5] && table.numbers("length") == [10, 10, 10, 10])
    #expect(try table.numbers("length_standard_error") == [0, 0, 0, 0])
    #expect(try table.numbers("return_standard_error").allSatisfy { $0 > 0 })
    // The environment has no reference returns.
    #expect(
      table.rows.allSatisfy { $0[try! #require(table.columns.firstIndex(of: "normalised_score"))] == "" })
    let played = try run(
      built("fan-dist"),
      [
        "evaluate", runs.folder.file("run/checkpoints/step-000000060.safetensors"), "--env", Self.name,
        "--episodes", "5", "--python", pythonWithPackages!,
      ], environment: environment)
    let outcome = try #require(
      result.output.components(separatedBy: "done: ").last?.split(separator: "\n").first)
    #expect(played.code == 0 && played.output.hasSuffix("policy: \(outcome)\n"), "\(played) \(outcome)")
  }

  // MARK: Environments with arguments

  /// They are recorded, and used in training, for checkpoints and in `evaluate`.
  @Test func argumentsLimitWrapperAndReferences() throws {
    let result = try train(
      "--env-kwargs", "stride=0.25", "--max-episode-steps", "4", "--env-wrapper",
      "faulty_environment:Constant", "--reference-returns", "0,4")
    try #require(result.code == 0 && result.errorLines == [], "\(result)")
    let table = try evaluations
    #expect(try table.numbers("length") == [4, 4] && table.numbers("return") == [1, 1])
    #expect(try table.numbers("normalised_score") == [25, 25])
    #expect(try runs.text("run", "config.yaml").contains(#"env_kwargs: '{"stride":0.25}'"#))
    let evaluate = [
      "evaluate", runs.folder.file("run/checkpoints/best.safetensors"), "--env", Self.name, "--episodes", "5",
      "--python", pythonWithPackages!,
    ]
    // The command that the run names has what it needs.
    let next = try #require(
      result.output.components(separatedBy: "next: ").last?.split(separator: "\n").first)
    let words = next.split(separator: " ").map(String.init)
    let named = try run(words[0], Array(words.dropFirst()), environment: environment)
    #expect(named.code == 0 && named.output.contains("length 4.0"), "\(next): \(named)")
    // No file decides which module is imported.
    let refused = try run(built("fan-dist"), evaluate, environment: environment)
    expectFailure(refused, 64, ["--env-wrapper faulty_environment:Constant"])
    let played = try run(
      built("fan-dist"),
      evaluate + ["--env-wrapper", "faulty_environment:Constant", "--env-kwargs", "stride=0.5"],
      environment: environment)
    #expect(
      played.output.contains("return 2.0 ± 0.0, normalised score 50.0 ± 0.0, length 4.0"), "\(played)")
  }

  @Test(arguments: [
    (["--env-kwargs", "pace=1"], "pace"), (["--env-wrapper", "faulty_environment:Nothing"], "Nothing"),
    (["--env-wrapper", "no_such_module:Wrapper"], "no_such_module"),
    (["--env-wrapper", "faulty_environment:no_wrapper"], "is no gymnasium.Env"),
  ]) func environmentsThatCannotBeMadeEndTheRun(options: [String], part: String) throws {
    let line = line(options)
    expectFailure(
      try run(line[0], Array(line.dropFirst()), environment: environment), 69, ["cannot be evaluated", part])
  }

  @Test func d4rlsEnvironmentsNameTheirReferenceReturns() throws {
    let result = try train("--env", "gymnasium:faulty_environment:Scored-v0")
    try #require(result.code == 0, "\(result)")
    let table = try evaluations
    let (returns, scores) = (try table.numbers("return"), try table.numbers("normalised_score"))
    #expect(zip(returns, scores).allSatisfy { abs(($0 + 100) / 2 - $1) < 1e-9 })
  }

  /// Episodes that wait for the end of training do not keep it from ending.
  @Test func trainingDoesNotWait() throws {
    try wish("wait")
    let line = line(["--eval-interval", "20", "--log-interval", "20"])
    let command = try Command(line[0], Array(line.dropFirst()), environment: environment)
    let isTrained = command.wait(40) { command.output.contains("update 60: saved") }
    let before = command.output
    try grant("wait")
    let result = command.finish()
    #expect(isTrained && !before.contains("update 20: success"), "\(before)")
    #expect(before.contains("60/60") && before.contains("evaluating 20: 0/5"), "\(before)")
    #expect(result.code == 0, "\(result)")
    #expect(try evaluations.steps == [20, 40, 60, 60])
  }

  @Test(arguments: ["gif", "mp4"]) func aVideoOfTheFirstEpisode(type: String) throws {
    let trained = try train("--eval-episodes", "0")
    try #require(trained.code == 0, "\(trained)")
    let video = runs.folder.file("video.\(type)")
    let arguments = [
      "evaluate", runs.folder.file("run/checkpoints/step-000000060.safetensors"), "--env", Self.name,
      "--episodes", "5", "--eval-workers", "2", "--python", pythonWithPackages!, "--video", video,
    ]
    let played = try run(built("fan-dist"), arguments, environment: environment)
    #expect(played.code == 0 && played.output.hasSuffix("video: \(video)\n"), "\(played)")
    // The first state and ten steps.
    let count = "import imageio, sys; print(sum(1 for _ in imageio.get_reader(sys.argv[1])))"
    #expect(try run(pythonWithPackages!, ["-c", count, video]).output == "11\n")
    try FileManager.default.createDirectory(
      atPath: runs.folder.file("taken.\(type)"), withIntermediateDirectories: false)
    for (place, part) in [
      ("none/video", "cannot be made in"), ("video.\(type)/video", "cannot be made in"),
      ("taken", "is a directory"),
    ] {
      let path = runs.folder.file("\(place).\(type)")
      expectFailure(
        try run(built("fan-dist"), Array(arguments.dropLast()) + [path], environment: environment), 73,
        [path, part])
    }
  }

  @Test func aVideoOfWhatDoesNotRender() throws {
    let trained = try train("--eval-episodes", "0", "--env-wrapper", "faulty_environment:Invisible")
    try #require(trained.code == 0, "\(trained)")
    let arguments = [
      "evaluate", runs.folder.file("run/checkpoints/step-000000060.safetensors"), "--env", Self.name,
      "--env-wrapper", "faulty_environment:Invisible", "--python", pythonWithPackages!, "--video",
      runs.folder.file("video.gif"),
    ]
    let played = try run(built("fan-dist"), arguments, environment: environment)
    expectFailure(played, 69, ["the environment renders nothing"])
  }

  // MARK: Something goes wrong

  @Test func aKilledWorkerIsReplaced() throws {
    try wish("kill once")
    let result = try train()
    #expect(result.code == 0 && result.errorLines == [], "\(result)")
    #expect(result.output.contains("the evaluation failed and is repeated"), "\(result.output)")
    #expect(result.output.contains("was ended by signal 9"), "\(result.output)")
    #expect(try statuses() == ["60 policy done", "60 behaviour done"])
  }

  /// All is trained, the exit code says what is missing, and the same command with --resume brings it.
  @Test(arguments: [nil, 2]) func theLastEvaluationFails(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    try wish("raise")
    let failed = try train(ranks: ranks, "--eval-interval", "20")
    expectFailure(failed, 69, ["update 60", "RuntimeError: the simulation is unstable", "--resume auto"])
    #expect(try statuses() == ["20 policy failed", "40 policy failed", "60 policy failed"])
    #expect(try runs.table("run").steps == Array(1...60))
    #expect(try !runs.tensors("run", 60).isEmpty)
    try grant("raise")
    let resumed = try train(ranks: ranks, "--eval-interval", "20", "--resume", "auto")
    #expect(resumed.code == 0, "\(resumed)")
    #expect(try statuses().suffix(2) == ["60 policy done", "60 behaviour done"])
  }

  @Test(arguments: [
    (
      "echo first >&2; echo 'some reason' >&2; exit 4",
      ["exit code 4", "its last lines: first | some reason"]
    ),
    ("sleep 100", ["did not answer for 1 s"]),
    ("echo 'hello, this is no frame'", ["not a frame", "hello, this"]),
    ("printf 'FANW\\7\\0\\1\\0\\062\\0\\0\\0'", ["version 7"]),
    ("printf 'FANW\\1'; exit 3", ["FANW", "ended with exit code 3"]),
    ("exec python3 -I -S \"$@\"", ["ModuleNotFoundError: No module named 'numpy'"]),
  ]) func aWorkerThatDoesNotWork(script: String, parts: [String]) throws {
    let python = try interpreter(script)
    let refused = try train(python: python, "--eval-timeout", "1")
    expectFailure(
      refused, 69, ["\(Self.name) cannot be evaluated", "--eval-episodes 0", "--eval-anyway"] + parts)
    #expect(((try? runs.checkpoints("run")) ?? []) == [])
    let result = try train(python: python, "--eval-timeout", "1", "--eval-anyway")
    expectFailure(result, 69, ["the evaluation of update 60 failed twice"] + parts)
    #expect(try statuses() == ["60 policy failed"])
    #expect(try !runs.tensors("run", 60).isEmpty)
  }

  /// What a worker has started ends with it, also when the worker has ended by itself.
  @Test func aWorkerThatEndsLeavesNoProcess() throws {
    let mark = runs.folder.file("left behind")
    let python = try interpreter("sh -c 'sleep 100; : \(mark)' >/dev/null 2>&1 </dev/null & exit 4")
    expectFailure(try train(python: python), 69, ["cannot be evaluated"])
    #expect(try ends { try processesNaming(mark).isEmpty })
  }

  /// Nobody wants to learn after a day of training that there is no such environment.
  @Test(arguments: [
    ("gymnasium:HalfChetah-v5", "HalfChetah"), ("gymnasium:CartPole-v1", "actions: only boxes"),
    ("gymnasium:no_such_module:Point-v0", "no_such_module"),
  ]) func anEnvironmentThatCanNeverWork(name: String, part: String) throws {
    for ranks in [nil, 2] where ranks == nil || hasMPIRun {
      let result = try train(ranks: ranks, "--env", name, "--steps", "1000000")
      expectFailure(result, 69, ["\(name) cannot be evaluated", part, "--eval-episodes 0"])
    }
    let trained = try train("--env", name, "--eval-episodes", "0")
    #expect(trained.code == 0, "\(trained)")
  }

  /// What an episode that was solved on the way counts as is a setting.
  @Test func successOnTheWay() throws {
    try wish("solve once")
    for (rule, success) in [("last", 0.0), ("any", 1.0)] {
      let options = ["--env", Self.name, "--dataset", data, "--python", pythonWithPackages!]
      let line = runs.command(rule, options + ["--success", rule, "--steps", "5"])
      let result = try run(line[0], Array(line.dropFirst()), environment: environment)
      try #require(result.code == 0, "\(result)")
      #expect(try runs.table(rule, "eval.csv").numbers("success") == [success, success])
      #expect(try runs.text(rule, "config.yaml").contains("success: \(rule)\n"))
      let saved = try SafetensorsFile(path: runs.checkpoint(rule, 5))
      #expect(saved.metadata["configuration"]?.contains("success: \(rule)\n") == true)
    }
    try grant("solve once")
    try wish("say nothing")
    let silent = try train("--steps", "5")
    #expect(silent.code == 0, "\(silent)")
    #expect(try evaluations.numbers("success") == [0, 0])
    let warnings = silent.output.components(separatedBy: "in 5 of 5 episodes 'success'").count - 1
    #expect(warnings == 1, "\(silent.output)")
  }

  /// Validation data enter the same computation as the data beside which they lie.
  @Test(arguments: [nil, 2]) func validationDataThatDoNotFit(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let companion = String(data.dropLast(4)) + "-val.npz"
    for (size, rows) in [(1, 84), (4, 21), (42, 21)] {
      var fixture = DatasetFixture(episodes: rows / 21)
      fixture.rewards = fixture.terminals
      fixture.observations = [Float](repeating: 0.5, count: rows * size)
      fixture.observationSize = size
      try fixture.write(to: companion)
      let result = try train(ranks: ranks, "--eval-episodes", "0")
      expectFailure(
        result, 65, ["data-val.npz: observations of \(size) numbers, but of 2 numbers in", "data.npz"])
    }
    expectFailure(try run(built("fan-dist"), ["dataset", "info", data]), 65, ["data-val.npz"])
    expectFailure(
      try run(built("fan-dist"), ["dataset", "import", data, "--out", runs.folder.file("out")]), 65,
      ["data-val.npz"])
  }

  /// The largest column of the data is named where numbers become too large in training.
  @Test func hugeObservationsAreNamed() throws {
    var fixture = DatasetFixture(episodes: 10)
    fixture.rewards = fixture.terminals
    for row in 0..<210 { fixture.observations[2 * row + 1] *= 1e30 }
    let huge = try fixture.write(to: runs.folder.file("huge.npz"))
    let result = try train("--dataset", huge, "--eval-episodes", "0")
    expectFailure(result, 70, ["huge.npz: observations column 1 reaches", "dataset info"])
    let info = try run(built("fan-dist"), ["dataset", "info", huge])
    #expect(info.output.contains("dataset: observations column 0: 0 to "), "\(info)")
    #expect(info.output.contains("warning: observations column 1 reaches"), "\(info)")
  }

  @Test(arguments: [nil, 2]) func aSignalEndsTheLastEvaluation(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    try wish("wait")
    let line = line(["--eval-interval", "20"])
    let full = ranks.map { [mpirun] + mpirunArguments([($0, line)]) } ?? line
    let executable = full[0]
    let command = try Command(executable, Array(full.dropFirst()), environment: environment)
    let isTrained = command.wait(40) { command.output.contains("update 60: saved") }
    command.send(SIGUSR1)
    let result = command.finish(timeout: 20)
    #expect(isTrained)
    expectFailure(result, 75, ["--resume auto"])
    #expect(try evaluations.rows == [])
    try grant("wait")
    let resumed = try train(ranks: ranks, "--eval-interval", "20", "--resume", "auto")
    #expect(resumed.code == 0, "\(resumed)")
    #expect(try evaluations.steps == [20, 40, 60, 60])
    #expect(try runs.checkpoints("run") == ["best.safetensors", "step-000000060.safetensors"])
  }

  @Test func dataThatDoNotFit() throws {
    var fixture = DatasetFixture(episodes: 10)
    (fixture.observations, fixture.observationSize) = (fixture.observations + fixture.observations, 4)
    fixture.rewards = fixture.terminals
    let other = try fixture.write(to: runs.folder.file("other.npz"))
    let result = try train("--dataset", other)
    expectFailure(result, 65, ["other.npz", "observations of 4 numbers", "has 2 numbers and 2"])
  }

  @Test func anEnvironmentWithoutADataset() throws {
    let result = try run(
      built("fan-dist"), ["--env", "gymnasium:Pendulum-v1", "--run-dir", runs.folder.file("run")])
    expectFailure(result, 64, ["--dataset", "gymnasium:Pendulum-v1"])
  }

  /// Modules are imported for those only who ask for it by name: a checkpoint is somebody else's file.
  @Test func aCheckpointImportsNoModule() throws {
    let trained = try train("--eval-episodes", "0")
    try #require(trained.code == 0, "\(trained)")
    let path = runs.folder.file("run/checkpoints/step-000000060.safetensors")
    let result = try run(
      built("fan-dist"), ["evaluate", path, "--python", pythonWithPackages!], environment: environment)
    expectFailure(result, 64, ["--env \(Self.name)"])
    let online = try run(
      ranks: nil,
      runs.command("online", ["--from", path, "--online-steps", "5", "--python", pythonWithPackages!]),
      environment: environment)
    expectFailure(online, 64, ["--env \(Self.name)"])
    // OGBench would import what stands before the colon.
    for name in [
      "faulty_environment:x-play-singletask-v0", "ogbench:faulty_environment:x-play-singletask-v0",
    ] {
      expectFailure(try train("--env", name, "--eval-episodes", "0"), 64, [name])
    }
  }
}

/// Data that are imported when they are first needed.
@Suite(.serialized, .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
struct ImportOnFirstUseTests {
  private let runs = Runs()
  private let file: String
  private static let name = "ogbench:pointmaze-medium-navigate-singletask-v0"

  init() throws {
    let folder = runs.folder.file(".ogbench/data")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    file = "\(folder)/pointmaze-medium-navigate-v0.npz"
    let made = try run(
      built("fan-dist"),
      ["dataset", "generate", String(Self.name.dropFirst(8)), "--episodes", "20", "--out", file])
    try #require(made.code == 0, "\(made)")
  }

  /// OGBench looks for its data in the home directory.
  private var environment: [String: String] {
    ["HOME": runs.folder.path, "FAN_DIST_DATA": runs.folder.file("datasets")]
  }

  private func line(_ name: String, _ options: [String]) -> [String] {
    runs.command(
      name,
      ["--env", Self.name, "--steps", "5", "--eval-episodes", "0", "--python", pythonWithPackages!] + options)
  }

  private func train(_ name: String, ranks: Int? = nil, _ options: String...) throws -> CommandResult {
    try run(ranks: ranks, line(name, options), environment: environment)
  }

  private func imported() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: runs.folder.file("datasets")).sorted()
  }

  @Test(arguments: [nil, 2]) func byName(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let first = try train("first", ranks: ranks)
    try #require(first.code == 0 && first.errorLines == [], "\(first)")
    #expect(first.output.components(separatedBy: "importing \(Self.name)").count == 2, "\(first.output)")
    #expect(try imported() == ["pointmaze-medium-navigate-singletask-v0"])
    // Not needed any more.
    try FileManager.default.removeItem(atPath: file)
    let second = try train("second", ranks: ranks)
    #expect(second.code == 0 && !second.output.contains("importing"), "\(second)")
    #expect(try runs.table("first").timeless == runs.table("second").timeless)
  }

  /// Minari's datasets know their environment and what a return is worth.
  @Test func aMinariDataset() throws {
    let script = """
      import gymnasium, minari, numpy as np
      from minari.data_collector import EpisodeBuffer
      env, draw = gymnasium.make("Pendulum-v1"), np.random.default_rng(0)
      episodes = [EpisodeBuffer(
        observations=draw.normal(size=(101, 3)).astype(np.float32),
        actions=draw.uniform(-2, 2, (100, 1)).astype(np.float32), rewards=list(draw.normal(size=100)),
        terminations=[False] * 100, truncations=[False] * 99 + [True]) for _ in range(3)]
      minari.create_dataset_from_buffers("test/pendulum-v0", episodes, env=env,
        ref_min_score=-1000.0, ref_max_score=-200.0)
      """
    let variables = environment.merging(["MINARI_DATASETS_PATH": runs.folder.file("minari")]) { $1 }
    let made = try run(pythonWithPackages!, ["-W", "ignore", "-c", script], environment: variables)
    try #require(made.code == 0, "\(made)")
    let line = line("run", ["--env", "minari:test/pendulum-v0", "--eval-episodes", "3"])
    let result = try run(line[0], Array(line.dropFirst()), environment: variables)
    try #require(result.code == 0, "\(result)")
    #expect(try imported() == ["minari-test-pendulum-v0"])
    #expect(result.output.contains("normalised score "), "\(result.output)")
    let table = try runs.table("run", "eval.csv")
    let scores = try table.numbers("normalised_score")
    #expect(try table.numbers("length") == [200, 200])
    for (score, total) in zip(scores, try table.numbers("return")) {
      #expect(abs(score - (total + 1000) / 8) < 1e-6 * max(1, abs(score)), "\(score), \(total)")
    }
  }

  /// A file without rewards gets the task's, once for each state of the file; that of the name is not looked for.
  @Test func byFile() throws {
    let data = runs.folder.file("mine.npz")
    try FileManager.default.moveItem(atPath: file, toPath: data)
    let first = try train("first", "--dataset", data)
    try #require(first.code == 0, "\(first)")
    #expect(first.output.contains("importing \(data)") && first.output.contains("rewards -1 to 0"))
    #expect(try imported().count == 1)
    let second = try train("second", "--dataset", data)
    #expect(second.code == 0 && !second.output.contains("importing"), "\(second)")
    #expect(try runs.table("first").timeless == runs.table("second").timeless)
    let later = [FileAttributeKey.modificationDate: Date(timeIntervalSince1970: 1e9)]
    try FileManager.default.setAttributes(later, ofItemAtPath: data)
    #expect(try train("third", "--dataset", data).output.contains("importing \(data)"))
    #expect(try imported().count == 2)
  }

  @Test(arguments: [nil, 2]) func withoutPython(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let nowhere = runs.folder.file("nowhere")
    expectFailure(try train("run", ranks: ranks, "--python", nowhere), 71, [nowhere])
    #expect(try imported() == [])
  }

  @Test(arguments: [nil, 2]) func aSignalEndsAnImport(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let waiting = try runs.folder.write("#!/bin/sh\nexec cat >/dev/null\n", to: "interpreter")
    chmod(waiting, 0o755)
    let line = line("run", ["--python", waiting])
    let full = ranks.map { [mpirun] + mpirunArguments([($0, line)]) } ?? line
    let command = try Command(full[0], Array(full.dropFirst()), environment: environment)
    let isImporting = command.wait(30) { command.output.contains("importing") }
    command.send(SIGUSR1)
    let result = command.finish(timeout: 20)
    #expect(isImporting)
    expectFailure(result, 76, ["run the same command again"])
    #expect(try imported() == [])
  }
}
