import Agents
import Foundation
import TestSupport
import Testing

/// `fan_dist.py`.
@Suite(.serialized, .enabled(if: hasNumPy, "python3 has no NumPy")) struct PythonTests {
  private let runs = Runs()
  private static let module = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../python").standardized.path

  /// Runs a script that has `fan_dist`, `np`, `json` and the arguments.
  private func python(_ script: String, _ arguments: String...) throws -> CommandResult {
    try run(
      "python3", ["-c", "import json, sys, numpy as np, fan_dist\n" + script] + arguments,
      environment: ["PYTHONPATH": Self.module])
  }

  private func value<T: Decodable>(_ result: CommandResult, _: T.Type = T.self) throws -> T {
    try #require(result.code == 0, "\(result)")
    return try JSONDecoder().decode(T.self, from: Data(result.output.utf8))
  }

  /// Acts on observations with noise of its own; writes both as lines for `act`, and prints the actions.
  private static let acting = """
    policy = fan_dist.Policy.load(sys.argv[1])
    rng = np.random.default_rng(0)
    actions = []
    with open(sys.argv[2], "w") as lines:
        for i in range(50):
            observation = 3 * rng.standard_normal(policy.observation_size)
            noise = {
                name: rng.random(shape) if name == "taus" else rng.standard_normal([size or 1 for size in shape])
                for name, shape in policy.inputs.items()}
            noise = {name: x.astype(np.float32) for name, x in noise.items()}
            observation = observation.astype(np.float32)
            row = {"observation": observation.tolist()} | {name: x.ravel().tolist() for name, x in noise.items()}
            print(json.dumps(row), file=lines)
            actions.append(policy(observation, **noise).tolist())
    print(json.dumps(actions))
    """

  @Test(
    arguments: AgentKind.allCases.map { ["--agent", $0.rawValue] }
      + [
        ["--actor-layer-norm"], ["--agent", "rebrac", "--no-tanh-squash"],
        ["--agent", "iqn", "--quantile-agg", "min", "--no-clip-flow-actions", "--num-samples", "3"],
        ["--agent", "value-flows", "--q-agg", "min", "--no-clip-flow-returns", "--num-samples", "3"],
      ])
  func policiesActAsTheCommandDoes(options: [String]) throws {
    try runs.complete("run", ["--steps", "30"] + options)
    let policy = runs.folder.file("policy.safetensors")
    let exported = try run(
      built("fan-dist"), ["export", runs.folder.file("run/checkpoints/best.safetensors"), "--out", policy])
    try #require(exported.code == 0, "\(exported)")
    let inputs = runs.folder.file("inputs")
    let actions: [[Double]] = try value(python(Self.acting, policy, inputs))
    let acted = try run(
      "bash", ["-c", #"exec "$0" act "$1" < "$2""#, built("fan-dist"), policy, inputs])
    let expected = try acted.output.split(separator: "\n").map {
      try JSONDecoder().decode([Double].self, from: Data($0.utf8))
    }
    try #require(expected.count == 50 && actions.count == 50, "\(acted)")
    for (a, b) in zip(actions.joined(), expected.joined()) { #expect(abs(a - b) <= 1e-6) }
    // A checkpoint acts as its policy does.
    let again: [[Double]] = try value(
      python(Self.acting, runs.folder.file("run/checkpoints/best.safetensors"), inputs))
    #expect(again == actions)
  }

  @Test func severalObservationsAndNoiseThatIsDrawn() throws {
    try runs.complete("run", "--steps", "5")
    let script = """
      policy = fan_dist.Policy.load(sys.argv[1])
      same = policy([0.5, 1], np.random.default_rng(3)) == policy([0.5, 1], np.random.default_rng(3))
      batch = policy(np.zeros((4, 2)), np.random.default_rng(3))
      print(json.dumps([bool(same.all()), list(batch.shape) == [4, 2], len(np.unique(batch)) == 8,
          policy.agent == "fan", policy.inputs == {"noise": (None, 2)}]))
      """
    let holds: [Bool] = try value(
      python(script, runs.folder.file("run/checkpoints/best.safetensors")))
    #expect(holds == [true, true, true, true, true])
  }

  /// As the command, it takes observations in single precision.
  @Test func observationsInDoublePrecision() throws {
    try runs.complete("run", "--steps", "5", "--agent", "rebrac")
    let script = """
      policy = fan_dist.Policy.load(sys.argv[1])
      observations = 3 * np.random.default_rng(0).standard_normal((200, 2))
      print(json.dumps(np.array_equal(policy(observations), policy(observations.astype(np.float32)))))
      for wrong in ([np.nan, 0], [1e39, 0]):
          try:
              policy(wrong)
              print("taken")
          except ValueError as error:
              assert "too large" in str(error)
      """
    let result = try python(script, runs.folder.file("run/checkpoints/best.safetensors"))
    #expect(result.code == 0 && result.output == "true\n", "\(result)")
  }

  @Test func policiesThatSeeImagesAreRefused() throws {
    try runs.complete("run", runs.onImages(steps: 2))
    let policy = runs.folder.file("run/checkpoints/best.safetensors")
    let result = try python("fan_dist.Policy.load(sys.argv[1])", policy)
    #expect(
      result.code == 1 && result.errors.contains("ValueError: \(policy): this policy sees images"),
      "\(result)")
  }

  @Test func wrongInputsAndFilesAreNamed() throws {
    try runs.complete("run", "--steps", "5")
    let policy = runs.folder.file("run/checkpoints/best.safetensors")
    let script = """
      import re, zlib
      def message(body):
          try:
              body()
          except ValueError as error:
              return str(error)
      policy = fan_dist.Policy.load(sys.argv[1])
      data = open(sys.argv[1], "rb").read()
      def load(data):
          with open(sys.argv[2], "wb") as file:
              file.write(data)
          fan_dist.Policy.load(sys.argv[2])
      def signed(data):
          zeroed = re.sub(rb'"crc32":"[0-9a-f]{8}"', b'"crc32":"00000000"', data)
          return zeroed.replace(b'"crc32":"00000000"', b'"crc32":"%08x"' % zlib.crc32(zeroed))
      print(json.dumps([message(body) for body in (
          lambda: policy([1, 2, 3]), lambda: policy([1, 2], nose=[0, 0]), lambda: policy([1, 2], noise=[0]),
          lambda: policy([1, 2], noise=[0, np.nan]), lambda: policy([1, 2j]), lambda: policy([1, 2], 3),
          lambda: load(b"x"), lambda: load(data[:-8]),
          lambda: load(data.replace(b'"crc32":', b'"crc33":')),
          lambda: load(signed(data.replace(b'"step":', b'"news":'))),
          lambda: load(signed(data.replace(b'"observation_size":"2"', b'"observation_size":"3"'))))]))
      """
    let messages: [String] = try value(python(script, policy, runs.folder.file("damaged")))
    let parts = [
      "(3,); its size is 2", "'nose'; there are noise", "'noise' has shape (1,)",
      "'noise' has numbers that are not finite", "complex", "rng is int, not a numpy.random.Generator",
      "not a safetensors file",
      "its checksum is wrong", "has no checksum", "says 'news'", "do not fit its sizes",
    ]
    for (message, part) in zip(messages, parts) { #expect(message.contains(part), "\(message)") }
  }

  /// A file from anywhere neither takes all time or memory nor acts on what the trainer would not write.
  @Test func valuesThatCannotBeAreRefused() throws {
    try runs.complete("iqn", "--steps", "5", "--agent", "iqn", "--num-samples", "3")
    try runs.complete("flows", "--steps", "5", "--agent", "value-flows", "--num-samples", "3")
    let script = """
      import re, struct, zlib
      def message(path, change):
          data = open(path, "rb").read()
          length = int.from_bytes(data[:8], "little")
          header, numbers = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
          change(header["__metadata__"], header, numbers)
          header["__metadata__"]["crc32"] = "00000000"
          text = json.dumps(header, separators=(",", ":")).encode()
          whole = struct.pack("<Q", len(text)) + text + numbers
          signed = whole.replace(b'"crc32":"00000000"', b'"crc32":"%08x"' % zlib.crc32(whole), 1)
          with open(sys.argv[3], "wb") as file:
              file.write(signed)
          try:
              fan_dist.Policy.load(sys.argv[3])
          except ValueError as error:
              return str(error)
          return "accepted"
      def setting(name, value):
          def change(metadata, *_):
              text = metadata["configuration"]
              metadata["configuration"], count = re.subn(f"(?m)^{name}: .*", f"{name}: {value}", text)
              assert count == 1
          return change
      def told(name, value):
          return lambda metadata, *_: metadata.update({name: value})
      def broken(metadata, header, numbers):
          place = header["critic/dense0/bias"]["data_offsets"][0]
          numbers[place : place + 4] = struct.pack("<f", np.nan)
      iqn, flows = sys.argv[1:3]
      print(json.dumps([
          message(iqn, told("success", "0")), message(iqn, setting("flow_steps", 10**11)),
          message(iqn, setting("num_samples", 10**9)), message(iqn, setting("num_quantiles", 0)),
          message(iqn, setting("quantile_agg", "max")), message(iqn, setting("clip_flow_actions", "True")),
          message(flows, setting("discount", "1.0")), message(flows, told("smallest_reward", "nan")),
          message(iqn, told("action_size", str(10**12))), message(iqn, told("scales", "[" * 100_000)),
          message(iqn, told("scales", json.dumps({"actions": {"shift": [0, 0], "scale": [1, "1"]}}))),
          message(iqn, told("scales", json.dumps({"actions": {"shift": [0, 0], "scale": [1, 1e300]}}))),
          message(iqn, broken)]))
      """
    let best = "checkpoints/best.safetensors"
    let messages: [String] = try value(
      python(
        script, runs.folder.file("iqn/\(best)"), runs.folder.file("flows/\(best)"),
        runs.folder.file("changed")))
    let parts = [
      "accepted", "flow_steps is '100000000000', not a whole number from 1 to 1000",
      "num_samples is '1000000000', not a whole number from 1 to 1024",
      "num_quantiles is '0', not a whole number from 1 to 1024",
      "quantile_agg is 'max', not one of mean, min",
      "clip_flow_actions is 'True', not one of true, false", "discount is '1.0'", "smallest_reward",
      "action_size is '1000000000000'", "its scales cannot be read",
      "its scales are not numbers", "its scales do not fit",
      "tensor 'critic/dense0/bias' has numbers that are not finite",
    ]
    try #require(messages.count == parts.count)
    for (message, part) in zip(messages, parts) { #expect(message.contains(part), "\(message)") }
    for message in messages.dropFirst() {
      #expect(message.hasPrefix(runs.folder.file("changed")) && !message.contains("\n"), "\(message)")
    }
  }

  @Test func configurationsThatAreNoTextAreNamed() throws {
    let script = """
      import os
      os.makedirs(os.path.join(sys.argv[1], "run"))
      place = os.path.join(sys.argv[1], "run", "config.yaml")
      open(place, "wb").write(b"env: \\xff")
      for load in (lambda: fan_dist.runs(sys.argv[1]), lambda: fan_dist.Run.load(os.path.dirname(place))):
          try: load()
          except ValueError as error: assert str(error).startswith(f"{place}: is not text"), error
          else: raise SystemExit("accepted")
      """
    let result = try python(script, runs.folder.file("runs"))
    #expect(result.code == 0, "\(result)")
  }

  /// Policies of an online phase, and those that recorded episodes chose, say more about themselves.
  @Test func policiesOfEveryKindOfRunAreRead() throws {
    let scarce = ["--env", "pointmaze-u-scarce-singletask-v0", "--steps", "5", "--online-steps", "5"]
    try runs.complete("online", scarce)
    try runs.complete(
      "judged", "--steps", "5", "--eval-episodes", "0", "--fqe-interval", "5", "--fqe-updates", "5",
      "--fqe-hidden-dims", "8")
    for path in ["online/checkpoints/step-000000010", "online/checkpoints/best", "judged/checkpoints/best"] {
      let result = try python(
        "fan_dist.Policy.load(sys.argv[1])", runs.folder.file(path + ".safetensors"))
      #expect(result.code == 0, "\(result)")
    }
  }

  @Test func damagedFilesAreRefused() throws {
    try runs.complete("run", "--steps", "5")
    let script = """
      data = open(sys.argv[1], "rb").read()
      flipped = bytearray(data)
      flipped[-7] ^= 1
      for wrong in (bytes(flipped), data + bytes(4), data[:-4]):
          open(sys.argv[2], "wb").write(wrong)
          try: fan_dist.Policy.load(sys.argv[2])
          except ValueError as error: assert sys.argv[2] in str(error), error
          else: raise SystemExit("accepted")
      """
    let result = try python(
      script, runs.folder.file("run/checkpoints/best.safetensors"), runs.folder.file("damaged.safetensors"))
    #expect(result.code == 0, "\(result)")
  }

  @Test func runsAreTables() throws {
    try runs.complete("run", "--steps", "6", "--log-interval", "2", "--eval-interval", "3", "--seed", "4")
    // A row that is being written.
    let file = try #require(FileHandle(forWritingAtPath: runs.folder.file("run/train.csv")))
    try file.seekToEnd()
    try file.write(contentsOf: Data("8,0.5".utf8))
    let script = """
      run, = fan_dist.runs(sys.argv[1])
      evaluations = run.evaluations
      print(json.dumps([
          run.training["step"].tolist() == [2, 4, 6], run.training["critic/critic_loss"].dtype == np.float64,
          evaluations["actor"].tolist() == ["policy", "policy", "behaviour"],
          bool(np.isnan(evaluations["normalised_score"]).all()), run.settings["seed"] == "4",
          run.policy.endswith("best.safetensors")]))
      """
    let holds: [Bool] = try value(python(script, runs.folder.path))
    #expect(holds == [true, true, true, true, true, true])
  }

  /// Whatever needs quotes in a configuration file is the text that it was.
  @Test func settingsAreReadAsTheyWereGiven() throws {
    let directory = runs.folder.file("it's \u{2028} \"a\" \\ \u{1F600}\u{85}")
    try DatasetFixture(episodes: 4).write(to: directory + ".npz")
    try runs.complete("run", "--steps", "1", "--dataset", directory + ".npz", "--eval-episodes", "0")
    let script = "print(json.dumps(fan_dist.Run.load(sys.argv[1]).settings['dataset'] == sys.argv[2]))"
    #expect(try value(python(script, runs.folder.file("run"), directory + ".npz")) == true)
  }
}
