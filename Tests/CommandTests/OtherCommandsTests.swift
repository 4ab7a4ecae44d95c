import Agents
import ArrayFiles
import Foundation
import Kernels
import TestRuns
import TestSupport
import Testing

/// `fan-dist evaluate`.
@Suite(.serialized) struct EvaluateTests {
  private func evaluate(_ path: String, _ options: String...) throws -> CommandResult {
    try run(built("fan-dist"), ["evaluate", path] + options)
  }

  @Test func theSameNumbersTwice() throws {
    let runs = Runs()
    try runs.complete("run", "--steps", "30")
    let best = runs.folder.file("run/checkpoints/best.safetensors")
    let first = try evaluate(best, "--episodes", "8", "--behaviour")
    #expect(first.code == 0 && first.errors == "", "\(first)")
    let lines = first.output.split(separator: "\n")
    #expect(lines.count == 3 && lines[0].contains("update 30"), "\(first.output)")
    #expect(lines[1].hasPrefix("policy: success ") && lines[1].hasSuffix("over 8 episodes"))
    #expect(lines[2].hasPrefix("behaviour cloning: success "))
    #expect(try evaluate(best, "--episodes", "8", "--behaviour").output == first.output)
    let policy = try evaluate(best, "--episodes", "8").output
    #expect(policy.split(separator: "\n") == Array(lines[..<2]))
  }

  /// What training said about the last policy, its checkpoint says again.
  @Test func agreesWithTraining() throws {
    let runs = Runs()
    let trained = try runs.complete("run", "--steps", "30").output
    let line = try #require(trained.split(separator: "\n").first { $0.hasPrefix("update 30: success") })
    let length = try #require(line.split(separator: "length ").last?.split(separator: " ").first)
    let played = try evaluate(runs.checkpoint("run", 30), "--episodes", "5").output
    #expect(played.contains("length \(length) ± "), "\(played) \(line)")
  }

  @Test func damagedAndForeignFiles() throws {
    let runs = Runs()
    try runs.complete("run", "--steps", "3")
    let (good, bad) = (runs.checkpoint("run", 3), runs.folder.file("bad.safetensors"))
    for size in [0, 7, 100, 20_000] {
      try? FileManager.default.removeItem(atPath: bad)
      try FileManager.default.copyItem(atPath: good, toPath: bad)
      try edit(bad) { $0 = $0.prefix(size) }
      expectFailure(try evaluate(bad), 65, ["bad.safetensors"])
    }
    let values: [Float] = [1, 2, 3]
    try values.withUnsafeBufferPointer {
      try SafetensorsWriter.write(path: bad, metadata: ["format": "pt"], tensors: [("x", [3], $0)])
    }
    expectFailure(try evaluate(bad), 65, ["bad.safetensors", "checkpoint"])
    let foreign = runs.folder.file("foreign.safetensors")
    try writeCheckpoint(smallConfiguration(.fan, ["--env=nowhere"]), step: 3, to: foreign)
    expectFailure(try evaluate(foreign), 65, ["foreign.safetensors", "task that is not known", "nowhere"])
    expectFailure(try evaluate(runs.folder.file("none.safetensors")), 66, ["none.safetensors"])
    expectFailure(try evaluate(good, "--env", "nowhere"), 64, ["nowhere"])
    expectFailure(try evaluate(good, "--episodes", "0"), 64, ["--episodes"])
    expectFailure(try evaluate(good, "--video", "maze.gif"), 64, ["--video", "fan-dist report"])
    expectFailure(try evaluate(good, "--video", "maze.txt"), 64, [".mp4 or .gif"])
  }
}

/// `fan-dist dataset`.
@Suite(.serialized) struct DatasetCommandTests {
  private func dataset(_ arguments: String...) throws -> CommandResult {
    try run(built("fan-dist"), ["dataset"] + arguments)
  }

  @Test func generatesTheSameBytes() throws {
    let folder = TemporaryDirectory()
    for name in ["a", "b"] {
      let result = try dataset(
        "generate", "--episodes", "30", "--seed", "3", "--out", folder.file("\(name).npz"))
      #expect(result.code == 0 && result.errors == "" && result.output.contains("630 rows"), "\(result)")
    }
    // Neither file is replaced, not even by itself.
    try FileManager.default.removeItem(atPath: folder.file("a-val.npz"))
    expectFailure(try dataset("generate", "--out", folder.file("a.npz")), 73, ["a.npz: exists already"])
    expectFailure(
      try dataset("generate", "--out", folder.file("b-val.npz")), 73, ["b-val.npz: exists already"])
    try FileManager.default.removeItem(atPath: folder.file("a.npz"))
    try #require(
      try dataset("generate", "--episodes", "30", "--seed", "3", "--out", folder.file("a.npz")).code == 0)
    for end in [".npz", "-val.npz"] {
      let contents = ["a", "b"].map { FileManager.default.contents(atPath: folder.file($0 + end)) }
      #expect(contents[0] != nil && contents[0] == contents[1], "\(end)")
    }
  }

  @Test func infoDescribes() throws {
    let folder = TemporaryDirectory()
    let path = folder.file("data.npz")
    try #require(try dataset("generate", "--episodes", "30", "--out", path).code == 0)
    let result = try dataset("info", path, "--env", "pointmaze-u-stitch-singletask-v0")
    #expect(result.code == 0 && result.errors == "", "\(result)")
    for part in ["630 rows", "600 transitions", "30 episodes of 20 to 20", "digest ", "rewards -1 to 0"] {
      #expect(result.output.contains(part), "\(part): \(result.output)")
    }
    // Without a task nobody knows the rewards.
    expectFailure(try dataset("info", path), 65, ["rewards"])
  }

  @Test func trainsOnWhatItGenerated() throws {
    let runs = Runs()
    let path = runs.folder.file("data.npz")
    try #require(try dataset("generate", "--out", path).code == 0)
    try runs.complete("file", "--steps", "5", "--dataset", path)
    try runs.complete("embedded", "--steps", "5")
    #expect(try runs.table("file").timeless == runs.table("embedded").timeless)
  }

  @Test(.enabled(if: hasNumPy, "\(noNumPy)")) func numPyReadsIt() throws {
    let folder = TemporaryDirectory()
    let path = folder.file("data.npz")
    try #require(try dataset("generate", "--episodes", "30", "--out", path).code == 0)
    let script = """
      import numpy as np, sys
      d = np.load(sys.argv[1])
      for k in sorted(d.files): print(k, d[k].dtype, d[k].shape)
      print(int(d["terminals"].sum()), float(np.abs(d["actions"]).max()) <= 1)
      """
    let result = try run("python3", ["-c", script, path])
    #expect(
      result.output == """
        actions float32 (630, 2)
        observations float32 (630, 2)
        qpos float32 (630, 2)
        qvel float32 (630, 2)
        terminals bool (630,)
        30 True

        """, "\(result)")
  }

  @Test func placesThatCannotBeWritten() throws {
    let path = TemporaryDirectory().file("nowhere/data.npz")
    expectFailure(try dataset("generate", "--episodes", "3", "--out", path), 73, [path])
    expectFailure(try dataset("generate", "nowhere"), 64, ["nowhere"])
  }
}

/// `fan-dist bench`.
@Suite(.serialized) struct BenchTests {
  private struct Figures: Decodable {
    let update: Double
    let allocations: Double
    let blas: String
    let kernelRate: Double
    let actions: Double
    let actionRate: Double
  }

  private func figures(_ options: String...) throws -> Figures {
    try decoded(["--rounds", "3", "--updates", "20"] + options)
  }

  private func decoded<Result: Decodable>(_ options: [String]) throws -> Result {
    let sizes = ["--actor-hidden-dims", "16,16", "--value-hidden-dims", "16,16", "--batch-size", "16"]
    let result = try run(built("fan-dist"), ["bench", "--json"] + options + sizes)
    return try JSONDecoder().decode(Result.self, from: Data(result.output.utf8))
  }

  /// What updates need, they have from the start.
  @Test func updatesAskForNoMemory() throws {
    let figures = try figures()
    #expect(figures.update > 0 && figures.allocations == 0, "\(figures)")
    #expect(figures.actions > 0 && figures.actionRate > 0, "\(figures)")
  }

  @Test(arguments: ProductKernels.usable) func kernelsOfProducts(kernels: ProductKernels) throws {
    let figures = try figures("--products", kernels.rawValue)
    let own = "own products (\(kernels.rawValue)), "
    #expect(figures.blas.hasPrefix(kernels == .openBLAS ? "OpenBLAS" : own), "\(figures)")
    #expect(figures.kernelRate > 0)
  }

  /// The constants of the scaling model, with images: the time of 1, 2, 4, 8 and 16 rows.
  @Test func theModelOfUpdatesOnImages() throws {
    struct Model: Decodable {
      let compute: [Double]
      let parameters: Int
    }
    let options = ["--model", "--encoder", "impala_debug", "--observation-shape", "8,8,3"]
    let model: Model = try decoded(options)
    #expect(model.compute.count == 5 && model.compute.allSatisfy { $0 > 0 })
    #expect(model.parameters > 4 * (2 * 2 * 4 * 512 + 512), "four encoders: \(model)")
  }

  /// Several threads are OpenBLAS's.
  @Test func kernelsThatThereAreNot() throws {
    #expect(try figures("--threads", "2").blas.hasPrefix("OpenBLAS"))
    expectFailure(
      try run(built("fan-dist"), ["bench", "--products", "best"]), 64, ["--products", "openblas"])
    expectFailure(
      try run(built("fan-dist"), ["bench", "--products", "openblas", "--threads", "2"]), 64, ["--products"])
  }

  /// Also when they have the values that they have by default.
  @Test(arguments: [
    ("--env=pointmaze-u-stitch-singletask-v0", "is for --online"),
    ("--updates-per-step 1", "is for --online"),
    ("--online-environments 1", "is for --online"),
    ("--python python3", "is for --online"),
    ("--model-ranks-per-node 16", "is for --model"),
    ("--reproducible-chunks 16", "is for --reproducible"),
    ("--observation-size 37 --observation-shape 8,8,3", ": --observation-shape"),
    ("--observation-size 37 --online", ": --online"),
    ("--observation-shape 8,8,3 --online", ": --online"),
    ("--action-size 5 --online", ": --online"),
    ("--ranks-per-node 1 --online", ": --online"),
    ("--rounds 7 --model", ": --model"),
    ("--updates 1 --model", ": --model"),
  ]) func settingsThatWouldNotCount(settings: String, reason: String) throws {
    let words = settings.split(separator: " ").map(String.init)
    let name = words[0].prefix { $0 != "=" }
    expectFailure(try run(built("fan-dist"), ["bench"] + words), 64, ["\(name)", reason])
  }
}

/// `fan-dist bench --agents`.
@Suite(.serialized) struct AgentComparisonTests {
  private struct Cost: Decodable {
    let agent: String
    let passes: Double
    let countedGigaOperations: Double
    let gigaOperations: Double
    let relativeUpdate: Double
    let doublings: [Doubling]
  }

  private struct Doubling: Decodable {
    let setting: String
    let from: Int
    let to: Int
    let relativeOperations: Double
    let relativeUpdate: Double
  }

  private let sizes = [
    "--json", "--rounds", "1", "--updates", "3", "--actor-hidden-dims", "16,12", "--value-hidden-dims",
    "12,16", "--batch-size", "16",
  ]

  private func costs(ranks: Int? = nil, _ options: [String]) throws -> [Cost] {
    let result = try run(ranks: ranks, [built("fan-dist"), "bench"] + options + sizes)
    return try JSONDecoder().decode([Cost].self, from: Data(result.output.utf8))
  }

  /// The command itself compares the count of each agent's networks with the kernels' and fails if they differ.
  @Test(arguments: [[], ["--encoder", "impala_debug", "--observation-shape", "8,8,6"]])
  func everyAgentIsCountedAndTimed(observations: [String]) throws {
    let costs = try costs(["--agents", "all"] + observations)
    #expect(costs.map(\.agent) == AgentKind.allCases.map(\.rawValue))
    #expect(costs[0].passes == 34 && costs[0].relativeUpdate == 1)
    for cost in costs {
      #expect(cost.countedGigaOperations > 0 && cost.countedGigaOperations <= cost.gigaOperations)
      #expect(cost.relativeUpdate > 0)
    }
  }

  /// Quantiles, candidates, samples and flow steps of the agents that have them, each doubled.
  @Test func whatCostsGoWith() throws {
    let costs = try costs(["--agents", "fan,iqn", "--num-quantiles", "3"])
    #expect(costs[0].doublings.isEmpty)
    #expect(costs[1].doublings.map(\.setting) == ["num-quantiles", "num-samples", "flow-steps"])
    #expect(costs[1].doublings.map(\.from) == [3, 16, 10] && costs[1].doublings.map(\.to) == [6, 32, 20])
    for doubling in costs[1].doublings {
      #expect(
        doubling.relativeOperations > 1 && doubling.relativeOperations < 2 && doubling.relativeUpdate > 0)
    }
  }

  /// Operations over all ranks are those of one.
  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func countsOnTwoRanks() throws {
    let options = ["--agents", "fql,fan", "--flow-steps", "3"]
    let (one, two) = (try costs(options), try costs(ranks: 2, options))
    #expect(one.map(\.agent) == ["fql", "fan"] && two.map(\.agent) == ["fql", "fan"])
    #expect(one.map(\.countedGigaOperations) == two.map(\.countedGigaOperations))
    #expect(one.map(\.passes) == [22, 34])
  }

  @Test func wrongLists() throws {
    for list in ["", "fan,fan", "fan,nobody"] {
      expectFailure(try run(built("fan-dist"), ["bench", "--agents", list]), 64, ["--agents"])
    }
    expectFailure(
      try run(built("fan-dist"), ["bench", "--agents", "fan,faql", "--flow-steps", "3"]), 64,
      ["--flow-steps"])
  }
}

/// What people see.
@Suite(.serialized) struct ConsoleTests {
  @Test(arguments: [
    ["--help"], ["--version"], ["train", "--help"], ["evaluate", "--help"], ["dataset", "--help"],
    ["dataset", "generate", "--help"], ["help", "train"],
  ]) func helpIsNoFailure(arguments: [String]) throws {
    let result = try run(built("fan-dist"), arguments)
    #expect(result.code == 0 && result.errors == "" && !result.output.isEmpty, "\(result)")
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func helpIsPrintedOnce() throws {
    let result = try run(ranks: 2, [built("fan-dist"), "--version"])
    #expect(result.code == 0 && result.output.split(separator: "\n").count == 1, "\(result)")
  }

  @Test func plainProgressHasNoCarriageReturns() throws {
    let plain = try Runs().complete("run", "--steps", "5").output
    #expect(!plain.utf8.contains(13) && !plain.utf8.contains(27) && plain.contains("\n5/5  critic "))
    let live = try Runs().complete("run", "--steps", "5", "--progress", "live").output
    #expect(live.utf8.contains(13))
    // Nobody watches a file.
    let auto = try Runs().complete("run", "--steps", "5", "--progress", "auto").output
    #expect(!auto.utf8.contains(13))
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func nobodyWatchesAFileUnderMpirun() throws {
    let auto = try Runs().complete("run", ranks: 2, "--steps", "5", "--progress", "auto").output
    #expect(!auto.utf8.contains(13) && auto.contains("5/5  critic "))
  }

  /// Whoever reads the output may go; the training goes on and ends well.
  @Test(arguments: ["| head -n 1", "| true", ">&-", ">&- 2>&- <&-"]) func aClosedOutput(redirection: String)
    throws
  {
    let runs = Runs()
    let line = runs.command("run", ["--steps", "50"]).map { "'\($0)'" }.joined(separator: " ")
    let script = "\(line) \(redirection); exit ${PIPESTATUS[0]}"
    let result = try run("bash", ["-c", script])
    #expect(result.code == 0 && result.errors == "", "\(result)")
    #expect(try runs.table("run").steps == Array(1...50))
    #expect(try !runs.tensors("run", 50).isEmpty)
  }
}
