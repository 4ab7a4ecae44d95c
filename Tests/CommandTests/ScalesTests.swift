import ArrayFiles
import Foundation
import TestSupport
import Testing

/// Data in units of their own: `fan-dist dataset import` scales them, and policies act in those units.
@Suite(.serialized, .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
struct ScalesTests {
  private let runs = Runs()
  private var folder: TemporaryDirectory { runs.folder }

  /// Runs a Python program that has `np`, `json` and the folder of the test.
  @discardableResult
  private func python(_ program: String, location: SourceLocation = #_sourceLocation) throws -> String {
    let module = FileManager.default.currentDirectoryPath + "/python"
    let start = "import json, sys, numpy as np\nfolder = sys.argv[1] + '/'\n"
    let result = try run(
      pythonWithPackages!, ["-W", "ignore", "-c", start + program, folder.path],
      environment: ["PYTHONPATH": module])
    try #require(result.code == 0, "\(result)", sourceLocation: location)
    return result.output
  }

  private func dataset(_ name: String, to out: String, _ options: String...) throws -> CommandResult {
    try run(
      built("fan-dist"),
      ["dataset", "import", folder.file(name), "--out", folder.file(out), "--python", pythonWithPackages!]
        + options, timeout: 120)
  }

  private func require(_ result: CommandResult, location: SourceLocation = #_sourceLocation) throws {
    try #require(result.code == 0 && result.errors == "", "\(result)", sourceLocation: location)
  }

  private func info(_ name: String) throws -> String {
    try run(built("fan-dist"), ["dataset", "info", folder.file(name)]).output
  }

  /// Actions in [0, 5] and observations in the hundreds, as transitions with their next states.
  private static let raw = """
    random = np.random.default_rng(0)
    n = 400
    s = (random.normal(size=(n, 2)) * [120, 3] + [500, -300]).astype(np.float32)
    a, r = random.uniform(0, 5, (n, 2)).astype(np.float32), random.uniform(-4, 2, n).astype(np.float32)
    data = dict(observations=s, actions=a, rewards=r, terminals=np.arange(n) % 40 == 39,
        next_observations=np.roll(s, -1, 0))
    np.savez(folder + "raw.npz", **data)

    """

  /// Data that people scale themselves with the same numbers give the same bits; so only acting differs.
  @Test func rawDataTrainToThePolicyOfTheirScaledTwin() throws {
    try python(Self.raw)
    try require(
      dataset(
        "raw.npz", to: "raw", "--action-range", "0,5", "--normalize-observations", "mean-std",
        "--reward-scale", "0.5", "--reward-shift", "1"))
    try python(
      Self.raw + """
        scales = json.load(open(folder + "raw/manifest.json"))["scales"]
        shift, scale = (np.array(scales["observations"][name], np.float32) for name in ("shift", "scale"))
        ends = np.arange(n) % 40 == 39
        rows = np.concatenate([s, np.roll(s, -1, 0)[ends]])
        assert np.allclose(shift, rows.mean(0, np.float64), rtol=1e-6) and np.allclose(scale, rows.std(0, np.float64), rtol=1e-6)
        assert scales["actions"] == {"shift": [2.5, 2.5], "scale": [2.5, 2.5]}
        assert scales["rewards"] == {"scale": 0.5, "shift": 1}
        standard = lambda x: (x - shift) / scale
        twin = dict(data, observations=standard(s), next_observations=standard(data["next_observations"]),
            actions=(a - np.float32(2.5)) / np.float32(2.5), rewards=r * np.float32(0.5) + np.float32(1))
        np.savez(folder + "twin.npz", **twin)
        """)
    try require(dataset("twin.npz", to: "twin"))
    for name in ["raw", "twin"] {
      try runs.complete(
        "run-\(name)", "--dataset", folder.file(name), "--steps", "40", "--eval-episodes", "0")
    }
    #expect(try runs.tensors("run-raw", 40) == runs.tensors("run-twin", 40))
    try actorsAgree()
  }

  /// `act`, the exported files in `act`, onnxruntime and fan_dist.py, and the twin's policy in scaled units.
  private func actorsAgree() throws {
    let (raw, twin) = (runs.checkpoint("run-raw", 40), runs.checkpoint("run-twin", 40))
    let (onnx, policy) = (folder.file("policy.onnx"), folder.file("policy.safetensors"))
    try require(run(built("fan-dist"), ["export", raw, "--out", onnx, "--out", policy]))
    try python(
      """
      random = np.random.default_rng(1)
      scales = json.load(open(folder + "raw/manifest.json"))["scales"]["observations"]
      shift, scale = (np.array(scales[name], np.float32) for name in ("shift", "scale"))
      with open(folder + "raw-lines", "w") as raw, open(folder + "twin-lines", "w") as twin:
          for _ in range(50):
              s = (random.normal(size=2) * [120, 3] + [500, -300]).astype(np.float32)
              noise = random.normal(size=2).astype(np.float32)
              for file, observation in ((raw, s), (twin, (s - shift) / scale)):
                  print(json.dumps({"observation": observation.tolist(), "noise": noise.tolist()}), file=file)
      """)
    func act(_ path: String, _ lines: String) throws -> [[Double]] {
      let script = #"exec "$0" act "$1" < "$2""#
      let result = try run("bash", ["-c", script, built("fan-dist"), path, folder.file(lines)])
      return try result.output.split(separator: "\n").map {
        try JSONDecoder().decode([Double].self, from: Data($0.utf8))
      }
    }
    let expected = try act(twin, "twin-lines").map { $0.map { 2.5 * $0 + 2.5 } }
    try #require(expected.count == 50)
    var answers = ["act": try act(raw, "raw-lines"), "act of the export": try act(policy, "raw-lines")]
    let text = try python(
      """
      import fan_dist, onnxruntime
      lines = [json.loads(line) for line in open(folder + "raw-lines")]
      policy, session = fan_dist.Policy.load(folder + "policy.safetensors"), onnxruntime.InferenceSession(folder + "policy.onnx")
      batch = {name: np.array([line[name] for line in lines], np.float32) for name in ("observation", "noise")}
      print(json.dumps({"fan_dist.py": policy(batch["observation"], noise=batch["noise"]).tolist(),
          "onnxruntime": session.run(["action"], batch)[0].tolist()}))
      """)
    answers.merge(try JSONDecoder().decode([String: [[Double]]].self, from: Data(text.utf8))) { $1 }
    for (name, actions) in answers {
      try #require(actions.count == 50, "\(name)")
      for (mine, theirs) in zip(actions.joined(), expected.joined()) {
        #expect(abs(mine - theirs) < 1e-5, "\(name): \(mine) \(theirs)")
      }
    }
    #expect(expected.joined().contains { $0 > 1.5 })
  }

  /// The environment gets actions and gives observations in its own units; its returns are its own, too.
  @Test func evaluationsPlayInTheEnvironmentsUnits() throws {
    // The maze's data with actions and observations in other units, and a task in which they have these units.
    try python(
      """
      import textwrap
      open(folder + "stretched.py", "w").write(textwrap.dedent('''
          import gymnasium, numpy as np
          class Stretched(gymnasium.Env):
              "Observes 100 + 10 times the sum of the actions so far; pays the first number of the action."
              observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
              action_space = gymnasium.spaces.Box(-100, 100, (2,))
              def reset(self, seed=None, options=None):
                  self.steps, self.place = 0, np.zeros(2)
                  return (100 + 10 * self.place).astype(np.float32), {}
              def step(self, action):
                  self.steps += 1
                  self.place = self.place + action
                  return (100 + 10 * self.place).astype(np.float32), float(action[0]), False, self.steps == 5, {}
          gymnasium.register("Stretched-v0", Stretched)
          '''))
      random = np.random.default_rng(0)
      n = 400
      a = random.uniform(3, 5, (n, 2)).astype(np.float32)
      s = np.concatenate([100 + 10 * np.concatenate([np.zeros((1, 2)), np.cumsum(part, 0)[:-1]]) for part in a.reshape(-1, 5, 2)])
      after = (s + 10 * a).astype(np.float32)
      np.savez(folder + "raw.npz", observations=s.astype(np.float32), actions=a, rewards=a[:, 0],
          terminals=np.zeros(n), timeouts=np.arange(n) % 5 == 4, next_observations=after)
      """)
    try require(
      dataset("raw.npz", to: "data", "--action-range", "data", "--normalize-observations", "min-max"))
    let environment = ["PYTHONPATH": folder.path]
    let task = ["--env", "gymnasium:stretched:Stretched-v0", "--python", pythonWithPackages!]
    let line = runs.command("run", ["--dataset", folder.file("data"), "--steps", "60"] + task)
    let trained = try run(line[0], Array(line.dropFirst()), environment: environment)
    try #require(trained.code == 0, "\(trained)")
    // Every action lies between 3 and 5: scaled to the bounds of the box, they would lie between -100 and 100.
    let evaluated = try runs.table("run", "eval.csv")
    let returns = try evaluated.numbers("return")
    #expect(returns.allSatisfy { (14.9...25.1).contains($0) }, "\(returns)")
    let best = folder.file("run/checkpoints/best.safetensors")
    let again = try run(
      built("fan-dist"), ["evaluate", best, "--episodes", "5"] + task, environment: environment)
    try #require(again.code == 0, "\(again)")
    #expect(again.output.contains("return \(String(format: "%.1f", returns[0]))"), "\(again) \(returns)")
    // An online phase collects scaled transitions of the same kind.
    let online = runs.command(
      "online",
      ["--dataset", folder.file("data"), "--steps", "5", "--online-steps", "20"] + task
        + ["--save-rollouts", folder.file("rollouts")])
    let collected = try run(online[0], Array(online.dropFirst()), environment: environment)
    try #require(collected.code == 0, "\(collected)")
    let scales = try python(
      """
      scales = [json.load(open(f"{folder}{name}/manifest.json"))["scales"] for name in ("data", "rollouts")]
      rows = {name: np.load(f"{folder}rollouts/{name}.npy") for name in ("observations", "actions", "terminals")}
      assert scales[0] == scales[1], scales
      raw = {name: rows[name] * np.float32(scales[0][name]["scale"]) + np.float32(scales[0][name]["shift"])
          for name in ("observations", "actions")}
      starts = np.flatnonzero(~rows["terminals"])
      moved = raw["observations"][starts + 1] - raw["observations"][starts]
      assert np.allclose(moved, 10 * raw["actions"][starts], atol=1e-2), moved[:3]
      """)
    #expect(scales == "")
  }

  @Test func rewardsFollowThePublishedRules() throws {
    try python(Self.raw)
    let returns = try python(
      Self.raw + """
        totals = r.reshape(-1, 40).sum(1, np.float64)
        print(json.dumps([float(r.min()), float(r.max()), 1000 / (totals.max() - totals.min())]))
        """)
    let numbers = try JSONDecoder().decode([Double].self, from: Data(returns.utf8))
    for (rule, scale, shift) in [
      ("recorded", 1, 0), ("antmaze", 1, -1), ("antmaze-rebrac", 100, 0), ("locomotion", numbers[2], 0),
    ] as [(String, Double, Double)] {
      try require(dataset("raw.npz", to: rule, "--reward-rule", rule, "--action-range", "0,5"))
      let (low, high) = (numbers[0] * scale + shift, numbers[1] * scale + shift)
      let text = try info(rule)
      #expect(text.contains(String(format: "rewards %.6g to %.6g", low, high)), "\(rule): \(text)")
    }
    try require(dataset("raw.npz", to: "last", "--reward-rule", "last-step", "--action-range", "0,5"))
    #expect(try info("last").contains("rewards 0 to 1, mean 0.025; masks 0 to 1, mean 0.975"))
  }

  @Test func heldOutDataAreScaledAsTheTrainingData() throws {
    try python(
      Self.raw + """
        np.savez(folder + "held.npz", **{name: values[:80] for name, values in data.items()})
        """)
    try require(
      dataset("raw.npz", to: "raw", "--action-range", "data", "--normalize-observations", "mean-std"))
    try require(dataset("held.npz", to: "held", "--scales-of", folder.file("raw")))
    try python(
      """
      scales = [json.load(open(f"{folder}{name}/manifest.json"))["scales"] for name in ("raw", "held")]
      assert scales[0] == scales[1]
      """)
    try require(dataset("held.npz", to: "other", "--action-range", "0,5"))
    try runs.complete(
      "run", "--dataset", folder.file("raw"), "--steps", "5", "--eval-episodes", "0")
    let options = ["--fqe", "--fqe-updates", "5", "--fqe-seeds", "1", "--fqe-hidden-dims", "8", "--dataset"]
    let checkpoint = runs.checkpoint("run", 5)
    try require(run(built("fan-dist"), ["evaluate", checkpoint] + options + [folder.file("held")]))
    expectFailure(
      try run(built("fan-dist"), ["evaluate", checkpoint] + options + [folder.file("other")]), 65,
      ["is scaled in another way", "--scales-of"])
  }

  @Test func wrongRangesAreNamed() throws {
    try python(
      Self.raw + """
        np.savez(folder + "masked.npz", observations=s, actions=a, rewards=r, masks=np.ones(n), terminals=data["terminals"])
        """)
    func refuse(
      _ name: String, _ options: [String], _ code: Int32, _ parts: [String],
      location: SourceLocation = #_sourceLocation
    ) throws {
      let result = try run(
        built("fan-dist"),
        [
          "dataset", "import", folder.file(name), "--out", folder.file("out"), "--python",
          pythonWithPackages!,
        ]
          + options)
      expectFailure(result, code, parts, location: location)
      #expect(!FileManager.default.fileExists(atPath: folder.file("out")), sourceLocation: location)
    }
    try refuse("raw.npz", [], 65, ["row 0, actions column", "outside -1 to 1", "--action-range"])
    try refuse("raw.npz", ["--action-range", "-1,1"], 65, ["row 0, actions column", "outside -1 to 1"])
    try refuse("raw.npz", ["--action-range", "0,4;0,5"], 65, ["actions column 0: is 4.", "outside 0 to 4"])
    try refuse("raw.npz", ["--action-range", "0,5;0,5;0,5"], 64, ["3 ranges", "2 numbers an action"])
    try refuse("raw.npz", ["--action-range", "5,0"], 64, ["--action-range", "'5,0': LOW must be less"])
    for (range, part) in [("0", "'0'"), ("0,5;", "''"), ("0,nan", "'0,nan'"), ("wide", "'wide'")] {
      try refuse("raw.npz", ["--action-range", range], 64, ["--action-range", "\(part) is not LOW,HIGH"])
    }
    try refuse("raw.npz", ["--action-range", "environment"], 64, ["needs --env"])
    try refuse("masked.npz", [], 65, ["'actions'", "outside [-1, 1]", "--action-range"])
    try refuse("masked.npz", ["--action-range", "0,4"], 65, ["'actions': row", "outside 0.0 to 4.0"])
    try refuse("raw.npz", ["--reward-scale", "0"], 64, ["--reward-scale"])
    try refuse("raw.npz", ["--reward-scale", "2", "--reward-rule", "antmaze"], 64, ["leave one out"])
    try refuse("raw.npz", ["--scales-of", folder.file("none")], 66, ["none"])
    try require(dataset("masked.npz", to: "wide", "--action-range", "0,5"))
    #expect(try info("wide").contains("actions are scaled to [-1, 1]: (x - 2.5) / 2.5, (x - 2.5) / 2.5"))
  }
}
