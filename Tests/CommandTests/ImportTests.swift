import ArrayFiles
import Foundation
import TestSupport
import Testing

/// `fan-dist dataset import` of other projects' datasets, with their own readers.
@Suite(.serialized, .enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
struct ImportTests {
  let folder = TemporaryDirectory()
  var out: String { folder.file("out") }

  private func dataset(
    _ arguments: String..., environment: [String: String] = [:]
  ) throws -> CommandResult {
    let python = arguments.contains("--python") ? [] : ["--python", pythonWithPackages!]
    return try run(
      built("fan-dist"), ["dataset", "import"] + arguments + python, environment: environment, timeout: 120)
  }

  private func require(_ result: CommandResult, location: SourceLocation = #_sourceLocation) throws {
    try #require(result.code == 0 && result.errors == "", "\(result)", sourceLocation: location)
  }

  /// Runs a Python program, which must end well.
  private func python(
    _ program: String, _ arguments: [String], location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try run(pythonWithPackages!, ["-W", "ignore", "-c", program] + arguments)
    try #require(result.code == 0, "\(result)", sourceLocation: location)
  }

  // MARK: OGBench

  /// The package's rewards for the embedded mazes' data are those of the embedded mazes.
  @Test func ogbenchRewardsAreTheEmbeddedOnes() throws {
    let task = "pointmaze-medium-navigate-singletask-task3-v0"
    let file = folder.file("pointmaze-medium-navigate-v0.npz")
    try require(
      run(built("fan-dist"), ["dataset", "generate", task, "--episodes", "20", "--out", file]))
    try require(dataset(file, "--env", task, "--out", folder.file("own")))
    try require(dataset(task, "--from", folder.path, "--out", folder.file("name")))
    try require(dataset(file, "--env", "ogbench:\(task)", "--out", folder.file("file")))
    let digests = try ["own", "name", "file"].flatMap { name in
      try ["", "/validation"].map { part in
        let lines = try run(built("fan-dist"), ["dataset", "info", folder.file(name + part)]).output
        if part == "" { #expect(lines.contains("rewards -1 to 0"), "\(lines)") }
        if name != "own" { #expect(lines.contains("reward: r(s), from ogbench.relabel_utils"), "\(lines)") }
        return try #require(lines.split(separator: "\n").first?.components(separatedBy: "digest ").last)
      }
    }
    #expect(digests.count == 6 && Set(digests).count == 2, "\(digests)")
  }

  /// OGBench's own file, whose rewards the package computes without rendering anything.
  @Test(
    .enabled(
      if: FileManager.default.fileExists(atPath: "../shared/datasets"),
      "../shared/datasets, with OGBench's real files, is not there"))
  func imagesStayBytes() throws {
    let (task, file) = (
      "visual-cube-single-play-singletask-v0", "../shared/datasets/visual-cube-single-play-v0.npz"
    )
    try require(dataset(file, "--env", task, "--out", out, environment: ["MUJOCO_GL": "disable"]))
    let info = try run(built("fan-dist"), ["dataset", "info", out]).output
    #expect(info.contains("303 rows, 300 transitions in 3 episodes"), "\(info)")
    #expect(info.contains("images of 64 × 64 pixels (height × width), 3 channels: "), "\(info)")
    try python(
      """
      import sys, numpy as np
      rows, data = np.load(sys.argv[1] + "/observations.npy"), np.load(sys.argv[2])["observations"]
      assert rows.dtype == np.uint8 and np.array_equal(rows, data)
      """, [out, file])
  }

  @Test(
    .enabled(
      if: FileManager.default.fileExists(atPath: "../shared/datasets"),
      "../shared/datasets, with OGBench's real files, is not there"))
  func cubeAsThePackageLoadsIt() throws {
    let task = "cube-single-play-singletask-v0"
    try require(dataset(task, "--from", "../shared/datasets", "--out", out))
    let program = """
      import sys, numpy as np, ogbench
      datasets = ogbench.make_env_and_datasets(sys.argv[2], dataset_dir="../shared/datasets")[1:]
      for folder, data in zip([sys.argv[1], sys.argv[1] + "/validation"], datasets):
          rows = {k: np.load(f"{folder}/{k}.npy", mmap_mode="r") for k in
              ("observations", "actions", "rewards", "masks", "terminals")}
          starts = np.flatnonzero(~rows["terminals"])
          limit = np.float32(1 - 1e-5)
          assert np.array_equal(rows["observations"][starts], data["observations"])
          assert np.array_equal(rows["observations"][starts + 1], data["next_observations"])
          assert np.array_equal(rows["actions"][starts], np.clip(data["actions"], -limit, limit))
          assert np.array_equal(rows["rewards"][starts], data["rewards"])
          assert np.array_equal(rows["masks"][starts], data["masks"])
          assert np.array_equal(rows["terminals"][starts + 1], data["terminals"] == 1)
      """
    try python(program, [out, task])
  }

  @Test func whatCannotBeDownloaded() throws {
    // Nobody listens there, whether or not there is a network.
    let proxy = Dictionary(
      uniqueKeysWithValues: ["http_proxy", "https_proxy"].map { ($0, "http://127.0.0.1:9") })
    let result = try dataset(
      "cube-single-play-singletask-v0", "--from", folder.file("nowhere"), "--out", out, environment: proxy)
    expectFailure(result, 66, ["nowhere/cube-single-play-v0.npz", "cannot be downloaded", "--from"])
    let minari = try dataset(
      "minari:no/such-v0", "--from", folder.file("nowhere"), "--out", out, environment: proxy)
    expectFailure(minari, 66, ["no/such-v0", "cannot be downloaded", "--from"])
    #expect(
      !FileManager.default.fileExists(atPath: out)
        && !FileManager.default.fileExists(atPath: out + ".partial"))
  }

  @Test func namesThatHaveNoRewards() throws {
    expectFailure(
      try dataset("ogbench:cube-single-play-v0", "--out", out), 65, ["cube-single-play-v0 has no rewards"])
    expectFailure(
      try dataset("visual-pointmaze-u-stitch-singletask-v0", "--out", out), 66, ["dataset generate"])
  }

  // MARK: Minari

  /// Actions of the pendulum are torques in ±2; the second dataset's observations are a dictionary.
  @Test func minari() throws {
    try python(
      """
      import os, sys
      os.environ["MINARI_DATASETS_PATH"] = sys.argv[1]
      import gymnasium, minari, numpy as np

      from minari.data_collector import EpisodeBuffer

      def named(o): return {"velocity": o[:, 2:].astype(np.float64), "angle": o[:, :2].astype(np.float64)}

      env = gymnasium.make("Pendulum-v1", max_episode_steps=11)
      env.action_space.seed(1)
      box = lambda n: gymnasium.spaces.Box(-np.inf, np.inf, (n,), np.float64)
      spaces = {"plain": env.observation_space, "named": gymnasium.spaces.Dict({"velocity": box(1), "angle": box(2)})}
      for name, space in spaces.items():
          buffers = []
          for seed in range(12):  # more than ten: episodes are listed alphabetically
              observations, steps = [env.reset(seed=seed)[0]], []
              while not steps or not any(steps[-1][2:]):
                  action = env.action_space.sample()
                  observation, *outcome, _ = env.step(action)
                  observations.append(observation)
                  # A pendulum never ends by itself.
                  outcome[1] = seed == 3 and outcome[2]
                  steps.append([action, *outcome])
              actions, rewards, terminations, truncations = map(np.array, zip(*steps))
              observations = np.array(observations)
              buffers.append(EpisodeBuffer(
                  observations=named(observations) if name == "named" else observations, actions=actions,
                  rewards=rewards, terminations=terminations, truncations=truncations))
          minari.create_dataset_from_buffers(
              f"test/{name}-v0", buffers, env="Pendulum-v1", observation_space=space, action_space=env.action_space)
      """, [folder.file("minari")])
    for name in ["plain", "named"] {
      try require(dataset("minari:test/\(name)-v0", "--from", folder.file("minari"), "--out", out + name))
      let info = try run(built("fan-dist"), ["dataset", "info", out + name]).output
      #expect(info.contains("144 rows, 132 transitions in 12 episodes of 11 to 11"), "\(info)")
      #expect(info.contains("actions are scaled to [-1, 1]: (x - 0.0) / 2.0"), "\(info)")
    }
    try python(
      """
      import os, sys
      os.environ["MINARI_DATASETS_PATH"] = sys.argv[1]
      import minari, numpy as np
      for name in ("plain", "named"):
          rows = {k: np.load(f"{sys.argv[2]}{name}/{k}.npy") for k in
              ("observations", "actions", "rewards", "masks", "terminals")}
          start = 0
          for episode in minari.load_dataset(f"test/{name}-v0"):
              o = episode.observations
              if name == "named": o = np.concatenate([o["angle"], o["velocity"]], axis=1)
              end = start + len(o) - 1
              assert np.array_equal(rows["observations"][start : end + 1], o.astype(np.float32))
              assert np.allclose(rows["actions"][start:end], np.clip(episode.actions / 2, -0.99999, 0.99999))
              assert np.array_equal(rows["rewards"][start:end], episode.rewards.astype(np.float32))
              assert np.array_equal(rows["masks"][start:end], 1 - episode.terminations)
              assert not rows["terminals"][start:end].any() and rows["terminals"][end]
              start = end + 1
          assert start == len(rows["rewards"])
      """, [folder.file("minari"), out])
  }

  /// The entries of a dictionary are in the order of the environment's space; the file that describes a dataset loses it.
  @Test func minariKeepsTheOrderOfTheSpace() throws {
    let environment = [
      "PYTHONPATH": FileManager.default.currentDirectoryPath + "/Tests/EnvironmentsTests/Fixtures",
      "MINARI_DATASETS_PATH": folder.file("minari"), "FAN_DIST_DATA": folder.file("datasets"),
    ]
    let program = """
      import sys, gymnasium, minari, numpy as np, probe_environment
      from minari.data_collector import EpisodeBuffer
      sizes = {"b": 2, "a": 1}
      space = gymnasium.make("Ordered-v0", disable_env_checker=True).observation_space
      episodes = [EpisodeBuffer(
        observations={"b": np.full((4, 2), 2, np.float32), "a": {"z": np.ones((4, 1), np.float32)}},
        actions=np.zeros((3, 3), np.float32), rewards=[0.0, 1.0, 2.0], terminations=[False] * 3,
        truncations=[False, False, True]) for _ in range(2)]
      minari.create_dataset_from_buffers(
        "test/ordered-v0", episodes, env=gymnasium.make("probe_environment:Ordered-v0", disable_env_checker=True),
        observation_space=space)
      """
    let made = try run(pythonWithPackages!, ["-W", "ignore", "-c", program], environment: environment)
    try #require(made.code == 0, "\(made)")
    try require(dataset("minari:test/ordered-v0", "--out", out, environment: environment))
    let info = try run(built("fan-dist"), ["dataset", "info", out]).output
    #expect(info.contains("observations are b (2), a/z (1)"), "\(info)")
    #expect(info.contains("observations column 2: 1 to 1"), "\(info)")
    let runs = Runs()
    func train(_ name: String, _ environmentName: String) throws -> CommandResult {
      let line = runs.command(
        name,
        ["--dataset", out, "--env", environmentName, "--steps", "3", "--python", pythonWithPackages!])
      return try run(line[0], Array(line.dropFirst()), environment: environment)
    }
    let trained = try train("run", "minari:test/ordered-v0")
    try #require(trained.code == 0, "\(trained)")
    let saved = try SafetensorsFile(path: runs.checkpoint("run", 3))
    #expect(saved.metadata["observation_order"] == #"["b (2)","a\/z (1)"]"#)
    expectFailure(
      try train("other", "gymnasium:probe_environment:Probe-v0"), 65, ["b (2), a/z (1)", "a (1), b (2)"])
  }

  @Test func aMinariEpisodeThatIsARowShort() throws {
    let program = """
      import os, sys
      os.environ["MINARI_DATASETS_PATH"] = sys.argv[1]
      import gymnasium, h5py, minari, numpy as np
      from minari.data_collector import EpisodeBuffer
      episodes = [EpisodeBuffer(
        observations=np.zeros((11, 3), np.float32), actions=np.zeros((10, 1), np.float32), rewards=[0.0] * 10,
        terminations=[False] * 10, truncations=[False] * 9 + [True]) for _ in range(3)]
      minari.create_dataset_from_buffers("test/short-v0", episodes, env="Pendulum-v1")
      with h5py.File(f"{sys.argv[1]}/test/short-v0/data/main_data.hdf5", "a") as file:
        del file["episode_1/observations"]
        file["episode_1/observations"] = np.zeros((10, 3), np.float32)
      """
    try python(program, [folder.file("minari")])
    let result = try dataset("minari:test/short-v0", "--from", folder.file("minari"), "--out", out)
    expectFailure(result, 65, ["test/short-v0", "episode 1: 10 observations for 10 steps"])
  }

  // MARK: D4RL

  /// Files as published ones look, some without `timeouts`, against the published way to read them, written down row
  /// by row.
  @Test func d4rl() throws {
    let variants = ["antmaze-timeouts", "antmaze-limit", "other-timeouts", "other-limit"]
    try python(
      """
      import h5py, numpy as np, sys
      random = np.random.default_rng(0)
      for name in sys.argv[2:]:
          n = 300
          kind = h5py.enum_dtype({"FALSE": 0, "TRUE": 1}, basetype="i1")
          with h5py.File(f"{sys.argv[1]}/{name}.hdf5", "w") as file:
              file["observations"] = random.normal(size=(n, 3))
              actions = random.uniform(-1.1, 1.1, (n, 2)).astype("f4")
              file.create_dataset("actions", data=actions, compression="gzip", chunks=(70, 1))
              file["rewards"] = random.normal(size=(n, 1)).astype("f4")
              file.create_dataset("terminals", data=random.random(n) < 0.1, dtype=kind)
              if "timeouts" in name: file["timeouts"] = random.random(n) < 0.1
              file["infos/goal"] = np.zeros(n)
      """, [folder.path] + variants)
    for name in variants {
      let limit = name.hasSuffix("limit") ? ["--episode-limit", "7"] : []
      let convention = name.hasPrefix("other") ? [] : ["--convention", "antmaze"]
      let result = try run(
        built("fan-dist"),
        ["dataset", "import", folder.file(name + ".hdf5"), "--out", folder.file(name)] + limit + convention
          + ["--python", pythonWithPackages!])
      try require(result)
      #expect(result.output.contains("action components lay outside [-1, 1]"), "\(result)")
    }
    try python(
      """
      import h5py, numpy as np, sys
      for name in sys.argv[2:]:
          data = {k: v[:] for k, v in h5py.File(f"{sys.argv[1]}/{name}.hdf5").items() if k != "infos"}
          taken, step = [], 0
          for i in range(299):
              done = data["terminals"][i]
              final = data["timeouts"][i] if "timeouts" in data else step == 6
              if final:
                  step = 0
                  continue
              if done: step = 0
              taken.append(i)
              step += 1
          taken = np.array(taken)
          f4 = lambda name: data[name].reshape(300, -1).astype(np.float32)
          o, after, done = f4("observations")[taken], f4("observations")[taken + 1], data["terminals"][taken] != 0
          antmaze = name.startswith("antmaze")
          ends = [True] * len(taken)
          for i in range(len(taken) - 1):
              ends[i] = np.linalg.norm(o[i + 1] - after[i]) > 1e-6 or (done[i] and not antmaze)
          rows = {k: np.load(f"{sys.argv[1]}/{name}/{k}.npy") for k in
              ("observations", "actions", "rewards", "masks", "terminals")}
          starts = np.flatnonzero(~rows["terminals"])
          limit = np.float32(1 - 1e-5)
          assert np.array_equal(rows["observations"][starts], o)
          assert np.array_equal(rows["observations"][starts + 1], after)
          assert np.array_equal(rows["actions"][starts], np.clip(f4("actions")[taken], -limit, limit))
          assert np.array_equal(rows["rewards"][starts], f4("rewards")[taken, 0] - (1 if antmaze else 0))
          assert np.array_equal(rows["masks"][starts], 1 - done)
          assert np.array_equal(rows["terminals"][starts + 1], ends)
      """, [folder.path] + variants)
  }

  @Test func malformedD4RLFiles() throws {
    try python(
      """
      import h5py, numpy as np, sys
      def write(name, **arrays):
          with h5py.File(f"{sys.argv[1]}/{name}.hdf5", "w") as file:
              for key, array in arrays.items(): file[key] = array
      good = dict(observations=np.ones((50, 3)), actions=np.zeros((50, 2)), rewards=np.zeros(50),
          terminals=np.zeros(50, bool), timeouts=np.arange(50) % 10 == 9)
      write("good", **good)
      write("short", **{**good, "rewards": np.zeros(49)})
      write("missing", **{k: v for k, v in good.items() if k != "actions"})
      write("image", **{**good, "observations": np.zeros((50, 4, 4, 3), np.uint8)})
      write("endless", **{k: v for k, v in good.items() if k != "timeouts"})
      write("nan", **{**good, "rewards": np.full(50, np.nan)})
      # Rows at the ends of episodes are taken twice; the file's own are counted.
      states = np.arange(150.0).reshape(50, 3)
      states[35, 1] = np.nan
      terminals, timeouts = np.arange(50) % 5 == 4, np.zeros(50, bool)
      write("late", **{**good, "observations": states, "terminals": terminals, "timeouts": timeouts})
      write("flag", **{**good, "terminals": np.where(np.arange(50) == 7, np.nan, 0)})
      write("narrow", **{**good, "actions": np.zeros((50, 0))})
      write("scalar", **{**good, "rewards": np.float32(1)})
      write("ends", **{**good, "timeouts": np.ones(50, bool)})
      data = open(f"{sys.argv[1]}/good.hdf5", "rb").read()
      open(f"{sys.argv[1]}/cut.hdf5", "wb").write(data[: len(data) // 2])
      open(f"{sys.argv[1]}/text.hdf5", "w").write("observations")
      """, [folder.path])
    for (name, part) in [
      ("short", "'rewards' of shape (49,)"), ("missing", "no 'actions'"), ("image", "(50, 4, 4, 3)"),
      ("endless", "--episode-limit"), ("nan", "nan.hdf5: row 0, rewards: is nan"),
      ("cut", "cut.hdf5: cannot be read: it is damaged or of another kind (OSError: "), ("cut", "truncated"),
      ("text", "not found"), ("late", "late.hdf5: row 35, observations column 1: is nan"),
      ("flag", "flag.hdf5: row 7, terminals: is nan; a flag is 0 or 1"),
      ("narrow", "narrow.hdf5: has no numbers in an action"), ("scalar", "'rewards' is a single number"),
      ("ends", "ends.hdf5: gives no transitions: every row ends an episode"),
    ] {
      expectFailure(try dataset(folder.file(name + ".hdf5"), "--out", out), 65, [part])
      #expect(!FileManager.default.fileExists(atPath: out), "\(name)")
    }
    expectFailure(
      try dataset(folder.file("good.hdf5"), "--out", out, "--episode-limit", "5"), 65,
      ["good.hdf5 has 'timeouts'", "leave --episode-limit out"])
    try require(dataset(folder.file("good.hdf5"), "--out", out))
  }

  // MARK: Python

  /// A program that stands for the interpreter.
  private func interpreter(_ script: String) throws -> String {
    let path = try folder.write("#!/bin/sh\n\(script)\n", to: "interpreter")
    chmod(path, 0o755)
    return path
  }

  @Test func pythonThatIsNotThereOrLacksPackages() throws {
    let file = try folder.write("", to: "data.hdf5")
    let bare = try interpreter("exec \(pythonWithPackages!) -S \"$@\"")
    expectFailure(try dataset(file, "--out", out, "--python", bare), 71, ["numpy", "launch/python-env"])
    let nowhere = folder.file("nowhere")
    expectFailure(try dataset(file, "--out", out, "--python", nowhere), 71, [nowhere])
    let rubbish = try interpreter("echo rubbish; echo sorry >&2")
    expectFailure(
      try dataset(file, "--out", out, "--python", rubbish), 71, ["wrote 'rubbish?'", "its last lines: sorry"])
    let lying = try interpreter("exec \(pythonWithPackages!) -c '\(Self.liar)'")
    expectFailure(try dataset(file, "--out", out, "--python", lying), 71, ["not whole rows"])
    #expect(
      !FileManager.default.fileExists(atPath: out)
        && !FileManager.default.fileExists(atPath: out + ".partial"))
  }

  /// Answers as the reader does, but with fewer bytes than it says.
  private static let liar = """
    import json, struct, sys, time
    def answer(kind, payload):
        sys.stdout.buffer.write(struct.pack("<4sHHI", b"FANW", 1, kind, len(payload)) + payload)
        sys.stdout.buffer.flush()
    answer(4, json.dumps({"observation_shape": [2], "action_size": 1, "has_validation": False, "clips_actions": False, "provenance": {}}).encode())
    answer(5, struct.pack("<I", 7) + bytes(20))
    time.sleep(60)
    """

  /// Starts an import whose reader never answers.
  private func importThatWaits(of file: String) throws -> Command {
    let waiting = try interpreter("cat >/dev/null")
    let command = try Command(
      built("fan-dist"), ["dataset", "import", file, "--out", out, "--python", waiting])
    #expect(command.wait(30) { FileManager.default.fileExists(atPath: out + ".partial/.lock") })
    return command
  }

  /// An import that is asked to stop leaves nothing.
  @Test func aStoppedImport() throws {
    let file = try folder.write("", to: "data.hdf5")
    let command = try importThatWaits(of: file)
    command.send(SIGTERM)
    expectFailure(command.finish(), 76, ["stopped by a signal while \(file) was imported"])
    #expect(!FileManager.default.fileExists(atPath: out + ".partial"))
  }

  /// What a killed import leaves does not look like a dataset, and the next one removes it.
  @Test func anInterruptedImport() throws {
    let command = try importThatWaits(of: folder.write("", to: "data.hdf5"))
    command.send(SIGKILL)
    #expect(command.finish().code == 128 + SIGKILL)
    #expect(!FileManager.default.fileExists(atPath: out))
    try Data().write(to: URL(fileURLWithPath: out + ".partial/observations.npy"))
    let task = "pointmaze-u-stitch-singletask-v0"
    let data = try DatasetFixture(episodes: 3).write(to: folder.file("data.npz"))
    try require(dataset(data, "--env", task, "--out", out))
    #expect(!FileManager.default.fileExists(atPath: out + ".partial"))
  }
}
