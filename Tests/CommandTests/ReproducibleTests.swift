import Agents
import Foundation
import Kernels
import TestSupport
import Testing

/// The same bits on any number of ranks.
@Suite(
  .serialized, .enabled(if: hasMPIRun, "\(noMPIRun)"),
  .enabled(if: ProductKernels.canReproduce, "this processor has no AVX2"))
struct ReproducibleTests {
  /// Parameters, targets, moments, figures and evaluations, for ranks that share memory, or so many of them, also with a
  /// change of both in the middle.
  @Test(arguments: AgentKind.allCases) func allAgentsLearnTheSameBits(agent: AgentKind) throws {
    let runs = Runs()
    let options = ["--agent", agent.rawValue, "--reproducible", "--steps", "20"]
    try runs.complete("one", options)
    for (ranks, shared) in [(2, nil), (3, 2), (8, nil), (16, 4)] as [(Int, Int?)] {
      let name = "\(ranks)-\(shared ?? ranks)"
      try runs.complete(name, ranks: ranks, options + sharing(shared))
      try expectSameBits(runs, name, "one")
    }
    try runs.complete("parts", ranks: 4, options + ["--steps", "11", "--ranks-per-node", "1"])
    try runs.complete("parts", ranks: 3, options + ["--resume", "auto"])
    try expectSameBits(runs, "parts", "one")
  }

  /// Batches that chunks do not divide evenly, normalised losses, more chunks than 16.
  @Test(
    arguments: [
      "--batch-size 77", "--normalize-value-loss --batch-size 90 --reproducible-chunks 32",
      "--agent rebrac --reproducible-chunks 8 --batch-size 8",
      "--agent codac --normalize-q-loss --batch-size 41",
      "--agent value-flows --batch-size 600 --normalize-q-loss",
    ])
  func otherSizesLearnTheSameBits(settings: String) throws {
    let runs = Runs()
    let options = settings.split(separator: " ").map(String.init) + ["--reproducible", "--steps", "6"]
    try runs.complete("one", options)
    for (ranks, shared) in [(5, nil), (7, 3)] as [(Int, Int?)] {
      let name = "\(ranks)-\(shared ?? ranks)"
      try runs.complete(name, ranks: ranks, options + sharing(shared))
      try expectSameBits(runs, name, "one")
    }
  }

  @Test(arguments: [AgentKind.fan, .iqn]) func imagesLearnTheSameBits(agent: AgentKind) throws {
    let runs = Runs()
    let options = [
      "--agent", agent.rawValue, "--env", "visual-pointmaze-u-stitch-singletask-v0", "--encoder",
      "impala_debug",
      "--batch-size", "16", "--eval-episodes", "0", "--reproducible", "--steps", "3",
    ]
    try runs.complete("one", options)
    try runs.complete("three", ranks: 3, options)
    try expectSameBits(runs, "three", "one", step: 3)
  }

  @Test func theLogHasADigest() throws {
    let runs = Runs()
    let digests = try [1, 2].map { ranks in
      let output = try runs.complete("\(ranks)", ranks: ranks, "--reproducible", "--steps", "5").output
      return try #require(
        output.split(separator: "\n").first { $0.contains(": saved ") }?.split(separator: " ").last)
    }
    #expect(digests[0] == digests[1] && digests[0].count == 16)
  }

  @Test func moreRanksThanChunks() throws {
    let result = try Runs().train(
      "run", ranks: 3, "--steps", "5", "--reproducible", "--reproducible-chunks", "2")
    expectFailure(result, 64, ["--reproducible", "3 ranks", "2 chunks"])
  }

  @Test func chunksThatAreNoPowerOfTwo() throws {
    let result = try Runs().train("run", "--reproducible", "--reproducible-chunks", "12")
    #expect(result.code == 64 && result.errors.contains("--reproducible-chunks must be a power of two"))
  }

  /// On the command line or in a file. The file of a run without chunks names none, and so it loads again.
  @Test func chunksOfARunThatIsNotReproducible() throws {
    let runs = Runs()
    for options in [["--reproducible-chunks", "16"], ["--no-reproducible", "--reproducible-chunks=4"]] {
      let result = try run(ranks: nil, runs.command("refused", options + ["--steps", "5"]))
      expectFailure(result, 64, ["--reproducible-chunks needs --reproducible"])
    }
    let file = try runs.folder.write("reproducible_chunks: 4\n", to: "chunks.yaml")
    expectFailure(
      try runs.train("refused", "--config", file, "--steps", "5"), 64,
      ["--reproducible-chunks needs --reproducible"])
    try runs.complete("both", "--config", file, "--reproducible", "--steps", "5")
    try runs.complete("plain", "--steps", "5")
    try runs.complete("again", "--config", runs.folder.file("plain/config.yaml"))
  }

  /// A run that is reproducible does not go on as one that is not.
  @Test func resumingWithoutIt() throws {
    let runs = Runs()
    try runs.complete("run", "--reproducible", "--steps", "5")
    let result = try runs.train("run", "--steps", "10", "--resume", "auto")
    expectFailure(result, 78, ["--reproducible true"])
  }

  private func sharing(_ ranks: Int?) -> [String] { ranks.map { ["--ranks-per-node", "\($0)"] } ?? [] }

  private func expectSameBits(
    _ runs: Runs, _ name: String, _ other: String, step: Int? = nil,
    location: SourceLocation = #_sourceLocation
  ) throws {
    let (a, b) = (try runs.table(name).timeless, try runs.table(other).timeless)
    #expect(a == b, "\(name)", sourceLocation: location)
    let last = try step ?? #require(a.steps.last)
    let (x, y) = (try runs.tensors(name, last), try runs.tensors(other, last))
    #expect(x.keys == y.keys, sourceLocation: location)
    for (tensor, values) in x {
      let same = values.map(\.bitPattern) == y[tensor]?.map(\.bitPattern)
      #expect(same, "\(name): \(tensor)", sourceLocation: location)
    }
    guard FileManager.default.fileExists(atPath: runs.folder.file("\(other)/eval.csv")) else { return }
    // A run in parts is also evaluated at the end of its first one.
    func evaluations(_ name: String) throws -> [[String]] {
      try runs.table(name, "eval.csv").timeless.rows.filter { $0[0] == "\(last)" }
    }
    let (played, others) = (try evaluations(name), try evaluations(other))
    #expect(played == others && !played.isEmpty, "\(name)", sourceLocation: location)
  }
}
