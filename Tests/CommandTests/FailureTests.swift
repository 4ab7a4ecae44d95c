import Foundation
import TestSupport
import Testing

/// Exit codes, and one line that says what is wrong and where.
@Suite(.serialized) struct FailureTests {
  // MARK: Usage

  @Test(arguments: [
    ["--nonsense"], ["--lr", "fast"], ["--lr", "0"], ["--lr=-1"], ["--discount", "2"], ["--steps", "0"],
    ["--batch-size", "0"], ["--seed=-1"], ["--actor-hidden-dims", "16,,16"], ["--actor-hidden-dims", "0"],
    ["--z-agg", "max"], ["--env", "nowhere"], ["--resume", "sometimes"], ["--progress", "silent"],
    ["--threads", "0"], ["--ranks-per-node", "0"], ["stray"],
  ]) func wrongArguments(arguments: [String]) throws {
    let folder = TemporaryDirectory()
    expectFailure(try run(built("fan-dist"), arguments, in: folder.path), 64)
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(left == [], "a run was begun")
  }

  @Test func negativeNumbersAreValues() throws {
    expectFailure(try run(built("fan-dist"), ["--lr", "-1"]), 64, ["--lr must be"])
    expectFailure(try run(built("fan-dist"), ["--lr", "--steps"]), 64, ["Missing value", "--lr"])
  }

  /// A line stays one line that a terminal only shows, whatever it quotes.
  @Test(arguments: ["--seed", "--env", "--agent", "--config", "--run-dir"])
  func charactersThatDoNotShow(option: String) throws {
    let folder = TemporaryDirectory()
    let text = "\(option == "--run-dir" ? folder.file("file") + "/" : "")x\n\u{1B}[31mRED\u{7}"
    _ = try folder.write("", to: "file")
    let result = try run(built("fan-dist"), Runs.small + ["--steps", "5", option, text], in: folder.path)
    #expect(![0, 128 + 4].contains(result.code), "\(result)")
    expectFailure(result, result.code, ["?[31mRED?"])
    #expect(!result.errors.contains("\u{1B}") && !result.errors.contains("\u{7}"))
  }

  @Test(arguments: [("-n 12", 71, "files may be open"), ("-f 100", 73, "too large")])
  func limitsOfTheSystem(limit: String, code: Int32, line: String) throws {
    let runs = Runs()
    let command = runs.command("run", ["--steps", "5"])
    let result = try run("bash", ["-c", "ulimit \(limit); exec \"$@\"", "bash"] + command)
    expectFailure(result, code, [])
    #expect(result.errors.lowercased().contains(line), "\(result)")
  }

  @Test(arguments: [["--lr", "inf"], ["--alpha1", "nan"], ["--alpha2=inf"]])
  func numbersThatAreNotFinite(option: [String]) throws {
    expectFailure(try run(built("fan-dist"), option), 64, ["must be a finite number"])
  }

  @Test func theEmbeddedDataHaveAName() throws {
    let result = try Runs().train("run", "--steps", "5", "--encoder", "impala")
    expectFailure(result, 64, ["the data of pointmaze-u-stitch-singletask-v0: observations are vectors"])
  }

  @Test func resumeNeedsADirectory() throws {
    let folder = TemporaryDirectory()
    let file = try folder.write("seed: 1\n", to: "c.yaml")
    for arguments in [["--resume", "auto"], ["--resume", "auto", "--config", file]] {
      expectFailure(try run(built("fan-dist"), arguments, in: folder.path), 64, ["--run-dir"])
    }
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func theLineIsPrintedOnce() throws {
    expectFailure(try run(ranks: 3, [built("fan-dist"), "--nonsense"]), 64, ["--nonsense"])
  }

  // MARK: Configuration files

  @Test(arguments: [
    ("seed: 1\n# a comment\nlearning_rate: 3\n", ["c.yaml:3", "learning"]),
    ("batch_size: 0\n", ["c.yaml", "batch"]), ("lr: fast\n", ["c.yaml", "lr"]),
    ("seed: 1\nsteps: [1\n", ["c.yaml"]), ("- seed\n- 1\n", ["c.yaml"]),
    ("seed: 1\nlr: {a: 1}\n", ["c.yaml:2", "lr"]), ("seed: 1\nseed: 2\n", ["c.yaml: 'seed' is there twice"]),
    ("layer_norm: 3\n", ["c.yaml", "layer-norm"]), ("resume: auto\n", ["c.yaml:1", "resume"]),
  ]) func wrongConfigurationFiles(text: String, parts: [String]) throws {
    let runs = Runs()
    let file = try runs.folder.write(text, to: "c.yaml")
    expectFailure(try runs.train("run", "--steps", "5", "--config", file), 64, parts)
  }

  @Test func missingFiles() throws {
    let runs = Runs()
    for option in ["--config", "--dataset"] {
      let path = runs.folder.file("nowhere")
      expectFailure(try runs.train("run", "--steps", "5", option, path), 66, [path])
    }
  }

  /// A new run replaces nothing of another, whatever of it is left, and a refused one leaves nothing.
  @Test(arguments: [["train.csv"], ["config.yaml", "train.csv", "eval.csv"], ["checkpoints"]])
  func directoriesThatHoldARun(lost: [String]) throws {
    let runs = Runs()
    try runs.complete("run", "--steps", "10", "--save-interval", "5")
    for name in lost { try FileManager.default.removeItem(atPath: runs.folder.file("run/\(name)")) }
    func files() throws -> [String: Data?] {
      let names = try FileManager.default.subpathsOfDirectory(atPath: runs.folder.file("run"))
      return Dictionary(
        uniqueKeysWithValues: names.map {
          ($0, FileManager.default.contents(atPath: runs.folder.file("run/\($0)")))
        })
    }
    let before = try files()
    expectFailure(try runs.train("run", "--steps", "5", "--seed", "9"), 73, ["holds a run already"])
    #expect(try files() == before)
  }

  @Test func directoriesThatCannotBeMade() throws {
    let runs = Runs()
    let file = try runs.folder.write("", to: "file")
    let result = try run(built("fan-dist"), Runs.small + ["--steps", "5", "--run-dir", "\(file)/run"])
    expectFailure(result, 73, [file])
  }

  // MARK: Datasets

  /// A way to be wrong, and what the line must name.
  enum Fault: CaseIterable {
    case truncated, nan, infinite, outOfRange, wrongSize, rowsMissing, noEpisodes, notAnArchive

    func write(_ path: String) throws -> [String] {
      var data = DatasetFixture(episodes: 10)
      var parts = ["data.npz"]
      switch self {
      case .truncated, .notAnArchive: break
      case .nan:
        data.observations[101] = .nan
        parts += ["'observations'", "row 50 column 1", "nan"]
      case .infinite:
        data.actions[7] = .infinity
        parts += ["'actions'", "row 3 column 1", "inf"]
      case .outOfRange:
        data.actions[8] = -1.5
        parts += ["'actions'", "row 4 column 0", "-1.5", "outside [-1, 1]"]
      case .wrongSize:
        data.observationSize = 6
        data.observations += data.observations + data.observations
        parts += ["'observations'", "6", "2"]
      case .rowsMissing:
        data.actions.removeLast(2)
        parts += ["'actions'", "209", "210"]
      case .noEpisodes:
        data.terminals = data.terminals.map { _ in 0 }
        parts += ["'terminals'"]
      }
      try data.write(to: path)
      if self == .truncated { try edit(path) { $0 = $0.prefix($0.count * 2 / 3) } }
      if self == .notAnArchive { try edit(path) { $0 = Data("observations".utf8) } }
      return parts
    }
  }

  @Test(arguments: Fault.allCases) func damagedDatasets(fault: Fault) throws {
    let runs = Runs()
    let path = runs.folder.file("data.npz")
    let parts = try fault.write(path)
    expectFailure(try runs.train("run", "--steps", "5", "--dataset", path), 65, parts)
    let info = try run(
      built("fan-dist"), ["dataset", "info", path, "--env", "pointmaze-u-stitch-singletask-v0"])
    if fault == .outOfRange {
      // Whoever only looks is told how many there are, and sees the rest, too.
      expectFailure(info, 65, ["1 action components lie outside [-1, 1]", "--action-range"])
      #expect(info.output.contains("warning: 1 action components lie outside [-1, 1]"))
    } else {
      expectFailure(info, 65, parts)
    }
  }

  /// All ranks end, and one of them speaks.
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)"), arguments: [Fault.truncated, .nan, .wrongSize])
  func damagedDatasetsOnTwoRanks(fault: Fault) throws {
    let runs = Runs()
    let path = runs.folder.file("data.npz")
    let parts = try fault.write(path)
    expectFailure(try runs.train("run", ranks: 2, "--steps", "5", "--dataset", path), 65, parts)
  }

  @Test(.enabled(if: hasNumPy, "\(noNumPy)")) func pickledDatasets() throws {
    let runs = Runs()
    let path = runs.folder.file("data.npz")
    let script = """
      import numpy as np, sys
      o = np.array([[1, 2]] * 30, dtype=object)
      np.savez_compressed(sys.argv[1], observations=o, actions=np.zeros((30, 2), np.float32),
        terminals=np.arange(30) % 10 == 9)
      """
    try #require(try run("python3", ["-c", script, path]).code == 0)
    expectFailure(
      try runs.train("run", "--steps", "5", "--dataset", path), 65, ["data.npz", "'observations'", "pickle"])
  }

  @Test func theDigestMustBeTheOneAskedFor() throws {
    let runs = Runs()
    let path = try DatasetFixture(episodes: 10).write(to: runs.folder.file("data.npz"))
    let wrong = try runs.train("a", "--steps", "5", "--dataset", path, "--dataset-digest", "0123456789abcdef")
    expectFailure(wrong, 78, ["0123456789abcdef"])
    let digest = try #require(
      wrong.errors.split(separator: " ").first { $0.count == 17 && $0.hasSuffix(",") })
    try runs.complete(
      "b", "--steps", "5", "--dataset", path, "--dataset-digest", String(digest.dropLast()))
  }

  // MARK: Numbers

  /// Ends, and no checkpoint holds a number that is not finite.
  @Test(
    arguments: [("1e30", nil, nil), ("1e39", nil, nil), ("1e30", 2, nil), ("1e30", 4, 2)]
      as [(String, Int?, Int?)])
  func aRunWhoseNumbersGoWrong(lr: String, ranks: Int?, ranksPerNode: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let runs = Runs()
    let result = try runs.train(
      "run", ranks: ranks, "--steps", "50", "--lr", lr, "--save-interval", "1", "--eval-interval", "1",
      "--log-interval", "1", "--ranks-per-node", "\(ranksPerNode ?? 64)")
    expectFailure(result, 70, ["update ", "not finite", "--lr"])
    if lr == "1e30" {
      // Updates after the first are skipped. Their gradients have a name and no norm.
      #expect(result.errors.contains(/the gradient of [a-z_]+\/dense/), "\(result.errors)")
      #expect(try runs.table("run").numbers("grad/norm").last?.isNaN == true)
    }
    for name in try runs.checkpoints("run") where name.hasPrefix("step-") {
      let step = try #require(Int(name.dropFirst(5).prefix(9)))
      for (tensor, values) in try runs.tensors("run", step) {
        #expect(values.allSatisfy { $0.isFinite }, "\(tensor) after update \(step)")
      }
    }
  }

  @Test func gradientsAreChecked() throws {
    let result = try run(built("fan-dist"), ["--check"])
    #expect(result.code == 0 && result.errors == "", "\(result)")
    #expect(result.output.contains("critic_z/norm0/scale"), "\(result.output)")
    #expect(result.output.hasSuffix("all gradients agree on 32 samples\n"), "\(result.output)")
  }

  @Test func theCheckNamesWhereNumbersGoWrong() throws {
    let runs = Runs()
    var data = DatasetFixture(episodes: 10)
    data.observations = data.observations.map { _ in 1e38 }
    let path = try data.write(to: runs.folder.file("data.npz"))
    let result = try run(built("fan-dist"), ["--check", "--dataset", path])
    expectFailure(result, 70, ["critic_z/dense0", "forward pass"])
  }
}
