import Agents
import ArrayFiles
import Foundation
import TestSupport
import Testing

/// A trained policy as `policy` in a directory of its own, and what is done with it.
private struct Policy {
  let runs: Runs

  init(_ options: [String] = []) throws { try self.init(Runs(), ["--steps", "30"] + options) }

  init(_ runs: Runs, _ options: [String]) throws {
    self.runs = runs
    try runs.complete("run", options)
  }

  var checkpoint: String { runs.folder.file("run/checkpoints/best.safetensors") }

  func file(_ name: String) -> String { runs.folder.file(name) }

  func export(_ path: String, to files: String...) throws -> CommandResult {
    try run(built("fan-dist"), ["export", path] + files.flatMap { ["--out", $0] })
  }

  /// Runs `act` on some lines.
  func act(_ path: String, _ lines: [String], _ options: String...) throws -> CommandResult {
    let input = try runs.folder.write(lines.joined(separator: "\n") + "\n", to: "lines")
    let script = #"exec "$0" act "$@" < "$LINES_FILE""#
    return try run(
      "bash", ["-c", script, built("fan-dist"), path] + options, environment: ["LINES_FILE": input])
  }
}

/// The lines of a command's output.
private func lines(_ result: CommandResult) -> [String] {
  result.output.split(separator: "\n").map(String.init)
}

/// The action in a line.
private func action(_ line: String) throws -> [Double] {
  try JSONDecoder().decode([Double].self, from: Data(line.utf8))
}

/// `fan-dist export`.
@Suite(.serialized) struct ExportTests {
  /// Observations and noise as lines for `act`, and on standard output what onnxruntime makes of them: all at once,
  /// and the first once more alone.
  private static let runtime = """
    import json, sys
    import numpy, onnx, onnxruntime
    onnx.checker.check_model(sys.argv[1], full_check=True)
    session = onnxruntime.InferenceSession(sys.argv[1])
    random = numpy.random.default_rng(0)
    inputs = {}
    for port in session.get_inputs():
      shape = [50 if size == "batch" else size for size in port.shape]
      isImage = port.type == "tensor(uint8)"
      inputs[port.name] = (
        random.integers(0, 256, shape, dtype="uint8") if isImage else random.normal(size=shape).astype("float32"))
    if inputs["observation"].ndim == 2: inputs["observation"] *= 3
    if "taus" in inputs: inputs["taus"] = random.uniform(size=inputs["taus"].shape).astype("float32")
    shared = {port.name for port in session.get_inputs() if port.shape[0] != "batch"}
    with open(sys.argv[2], "w") as lines:
      for i in range(50):
        row = {name: (x if name in shared else x[i]).ravel().tolist() for name, x in inputs.items()}
        if inputs["observation"].ndim > 2: row["observation"] = inputs["observation"][i].tolist()
        print(json.dumps(row), file=lines)
    first = {name: x if name in shared else x[:1] for name, x in inputs.items()}
    print(json.dumps(session.run(["action"], inputs)[0].tolist()))
    print(json.dumps(session.run(["action"], first)[0].tolist()))
    """

  @Test(
    .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"),
    arguments: AgentKind.allCases.map { ["--agent", $0.rawValue] }
      + [
        ["--actor-layer-norm"],
        ["--agent", "iqn", "--quantile-agg", "min", "--no-clip-flow-actions", "--num-samples", "3"],
        ["--agent", "value-flows", "--q-agg", "min", "--no-clip-flow-returns", "--num-samples", "3"],
      ])
  func onnxruntimeActsAlike(options: [String]) throws {
    let actions = try actions(of: Policy(options), for: "observation (batch, 2)")
    // Clipped ones and others, and not all the same. A flow that is not clipped on its way has hardly learned yet: most
    // of its actions are.
    #expect(Set(actions.joined()).count > (options.contains("--no-clip-flow-actions") ? 25 : 50))
  }

  @Test(
    .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"),
    arguments: [AgentKind.fan, .rebrac, .iqn, .valueFlows])
  func onnxruntimeActsAlikeOnImages(agent: AgentKind) throws {
    let runs = Runs()
    let policy = try Policy(runs, runs.onImages(steps: 5, ["--agent", agent.rawValue]))
    let actions = try actions(of: policy, for: "observation (batch, 20, 20, 6) of uint8")
    #expect(Set(actions.joined()).count > 25)
  }

  /// The policy's actions for random observations, which must be onnxruntime's.
  private func actions(of policy: Policy, for observation: String) throws -> [[Double]] {
    let (model, inputs) = (policy.file("policy.onnx"), policy.file("inputs"))
    let exported = try policy.export(policy.checkpoint, to: model)
    #expect(exported.code == 0 && exported.output.contains(observation), "\(exported)")
    let result = try run(#require(pythonWithPackages), ["-c", Self.runtime, model, inputs])
    try #require(result.code == 0, "\(result)")
    let outputs = try lines(result).map {
      try JSONDecoder().decode([[Double]].self, from: Data($0.utf8))
    }
    let text = try String(contentsOfFile: inputs, encoding: .utf8).split(separator: "\n").map(String.init)
    let actions = try lines(policy.act(policy.checkpoint, text)).map(action)
    #expect(actions.count == 50 && outputs[0].count == 50 && outputs[1].count == 1)
    for (mine, theirs) in zip(actions + [actions[0]], outputs[0] + outputs[1]) {
      #expect(zip(mine, theirs).allSatisfy { abs($0 - $1) < 1e-5 }, "\(mine) \(theirs)")
    }
    return actions
  }

  @Test func safetensorsHoldThePolicyAlone() throws {
    let policy = try Policy()
    let path = policy.file("policy.safetensors")
    let exported = try policy.export(policy.checkpoint, to: path)
    #expect(exported.code == 0 && exported.errors == "", "\(exported)")
    let file = try SafetensorsFile(path: path)
    try file.verify()
    let whole = try SafetensorsFile(path: policy.checkpoint)
    let names = whole.tensors.keys.filter { $0.hasPrefix("actor_onestep_flow/") }
    #expect(names.count == 6 && file.tensors.keys.sorted() == names.sorted())
    for name in names { #expect(try file.floats(name) == whole.floats(name), "\(name)") }
    #expect(file.metadata["agent"] == "fan" && file.metadata["observation_size"] == "2")
    #expect(file.metadata["acting"]?.contains("clip(actor_onestep_flow([observation, noise])") == true)
    #expect(file.metadata["networks"]?.contains("gelu") == true && file.metadata["step"] == "30")

    // It acts like the checkpoint, and can be exported again, but not trained or evaluated.
    let observations = ["[0.5, 1]", "[3, 4]", "[2, 2]"]
    let actions = try policy.act(policy.checkpoint, observations)
    #expect(actions.code == 0 && lines(actions).count == 3, "\(actions)")
    #expect(try policy.act(path, observations).output == actions.output)
    #expect(try policy.export(path, to: policy.file("again.onnx")).code == 0)
    expectFailure(try run(built("fan-dist"), ["evaluate", path]), 65, [path, "checkpoint"])
  }

  @Test func placesThatCannotBe() throws {
    let policy = try Policy()
    let before = FileManager.default.contents(atPath: policy.checkpoint)
    let same = policy.file("run/../run/checkpoints/best.safetensors")
    expectFailure(try policy.export(policy.checkpoint, to: same), 64, ["--out"])
    #expect(FileManager.default.contents(atPath: policy.checkpoint) == before)
    expectFailure(try policy.export(policy.checkpoint, to: policy.file("policy.pt")), 64, [".onnx"])
    let twice = try policy.export(policy.checkpoint, to: policy.file("a.onnx"), policy.file("./a.onnx"))
    expectFailure(twice, 64, ["a.onnx is given twice"])
    for name in ["policy.onnx", "policy.safetensors"] {
      let nowhere = policy.file("nowhere/\(name)")
      expectFailure(try policy.export(policy.checkpoint, to: nowhere), 73, [nowhere])
    }
    expectFailure(try policy.export(policy.file("none"), to: policy.file("policy.onnx")), 66, ["none"])
  }

  /// Another checkpoint stays, and then nothing is written. An old export is replaced.
  @Test func checkpointsAreNotReplaced() throws {
    let policy = try Policy()
    let (other, path) = (policy.runs.checkpoint("run", 30), policy.file("policy.safetensors"))
    let before = try #require(FileManager.default.contents(atPath: other))
    let result = try policy.export(policy.checkpoint, to: path, other)
    expectFailure(result, 73, [other, "is a checkpoint", "choose another name"])
    #expect(FileManager.default.contents(atPath: other) == before)
    #expect(!FileManager.default.fileExists(atPath: path))
    for _ in 1...2 { #expect(try policy.export(policy.checkpoint, to: path).code == 0) }
  }
}

/// `fan-dist act`.
@Suite(.serialized) struct ActTests {
  @Test func theSameSeedTheSameActions() throws {
    let policy = try Policy()
    let observations = [String](repeating: "[0.5, 1]", count: 4)
    let first = try policy.act(policy.checkpoint, observations)
    #expect(first.code == 0 && first.errors == "", "\(first)")
    // Fresh noise in each step.
    #expect(try Set(lines(first).map(action)).count == 4)
    #expect(try policy.act(policy.checkpoint, observations, "--seed", "0").output == first.output)
    #expect(try policy.act(policy.checkpoint, observations, "--seed", "1").output != first.output)
    // Given noise takes the place of drawn noise.
    let given = [String](repeating: #"{"observation": [0.5, 1], "noise": [0, 0]}"#, count: 4)
    #expect(try Set(lines(policy.act(policy.checkpoint, given)).map(action)).count == 1)
  }

  /// Every line has its answer, whatever it is.
  @Test func wrongLinesAreAnswered() throws {
    let policy = try Policy()
    let wrong: [(line: String, answer: String)] = [
      ("", "JSON"), ("observation", "JSON"), ("null", "JSON"), ("{}", "no 'observation'"), ("[1]", "not 2"),
      ("[1, 2, 3]", "not 2"), ("[[1, 2]]", "array"), ("[true, 1]", "array"), (#"["1", "2"]"#, "array"),
      ("[NaN, 1]", "JSON"), ("[1, 2] [1, 2]", "JSON"), ("[1e39, 1]", "'observation' has numbers too large"),
      ("[-1E308, 1]", "'observation' has numbers too large"), ("[1E400, 1]", "double precision"),
      (#"{"observation": [1, 2], "noise": [0, 1e39]}"#, "'noise' has numbers too large"),
      (#"{"observation": [1, 2], "noise": [1]}"#, "'noise' has 1 numbers, not 2"),
      (#"{"observation": [1, 2], "noise": [0, 0], "observation": [3, 4]}"#, "'observation' twice"),
      (#"{"observation": [1, 2], "nose": [1, 2]}"#, "'nose'"), (#"{"observation": 1}"#, "array"),
      (String(repeating: "[", count: 200_000), ""), (String(repeating: #"{"a":"#, count: 200_000), ""),
      ("[1, " + String(repeating: "1", count: 17 << 20) + "]", "too long"),
    ]
    let result = try policy.act(policy.checkpoint, wrong.flatMap { [$0.line, "[0.5, 1]"] })
    expectFailure(result, 65, ["\(wrong.count) of \(2 * wrong.count) lines"])
    let answers = lines(result)
    try #require(answers.count == 2 * wrong.count, "\(result)")
    for (i, (line, answer)) in wrong.enumerated() {
      let error = try JSONDecoder().decode([String: String].self, from: Data(answers[2 * i].utf8))["error"]
      #expect(error?.hasPrefix("line \(2 * i + 1): ") == true, "\(line.prefix(50)): \(answers[2 * i])")
      #expect(error?.contains(answer) == true || answer == "", "\(line.prefix(50)): \(answers[2 * i])")
      #expect(try action(answers[2 * i + 1]).count == 2)
    }
  }

  /// Numbers below those of single precision are rounded, and are no mistake.
  @Test func tinyNumbersAreRead() throws {
    let policy = try Policy()
    let numbers = ["0", "1e-50", "-1e-46", "5e-324"]
    let objects = numbers.map { #"{"observation": [\#($0), 1], "noise": [0, \#($0)]}"# }
    let result = try policy.act(policy.checkpoint, objects + ["[1e-50, 0]"])
    #expect(result.code == 0 && result.errors == "", "\(result)")
    let actions = try lines(result).map(action)
    #expect(actions.count == 5 && Set(actions.prefix(4)).count == 1, "\(actions)")
  }

  /// A robot waits for the action before it has the next observation.
  @Test func answersBeforeTheNextLine() throws {
    let policy = try Policy()
    let script = """
      coproc actor { "$0" act "$1"; }
      for i in 1 2 3; do
        echo "[$i, 1]" >&"${actor[1]}"
        read -r -t 20 action <&"${actor[0]}" || exit 1
        echo "$action"
      done
      """
    let result = try run("bash", ["-c", script, built("fan-dist"), policy.checkpoint])
    #expect(result.code == 0 && lines(result).count == 3, "\(result)")
    for line in lines(result) { #expect(try action(line).allSatisfy { abs($0) <= 1 }) }
  }

  @Test func aReaderThatGoes() throws {
    let policy = try Policy()
    let script = #"yes "[1, 1]" 2>/dev/null | "$0" act "$1" | head -n 2; exit ${PIPESTATUS[1]}"#
    let result = try run("bash", ["-c", script, built("fan-dist"), policy.checkpoint])
    expectFailure(result, 73, ["standard output"])
  }
}
