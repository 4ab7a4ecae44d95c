import ArrayFiles
import Foundation
import TestSupport
import Testing

/// Runs on images: the visual maze and images of one's own.
@Suite(.serialized) struct ImageRunTests {
  static let task = "visual-pointmaze-u-stitch-singletask-v0"
  let runs = Runs()

  /// Data of a few episodes of the visual maze.
  private func data() throws -> String {
    let path = runs.folder.file("data.npz")
    let result = try run(
      built("fan-dist"), ["dataset", "generate", Self.task, "--episodes", "20", "--out", path])
    try #require(result.code == 0, "\(result)")
    return path
  }

  private func options(_ steps: Int, _ others: String...) throws -> [String] {
    ["--env", Self.task, "--dataset", try data(), "--steps", "\(steps)", "--batch-size", "16"]
      + ["--frame-stack", "2", "--p-aug", "0.5"] + others
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func figuresDoNotDependOnTheNumberOfRanks() throws {
    try runs.complete("one", options(6))
    let one = try runs.table("one")
    #expect(one.columns.contains("validation/critic/critic_loss"))
    for ranks in [2, 3] {
      try runs.complete("\(ranks)", ranks: ranks, options(6))
      let other = try runs.table("\(ranks)")
      for column in one.columns where !column.hasPrefix("time/") {
        let (a, b) = (try one.numbers(column), try other.numbers(column))
        let scale = a.map(abs).max()!
        let worst = zip(a, b).map { abs($0 - $1) / max(abs($0), 1e-3 * scale, 1e-12) }.max()!
        #expect(worst <= 1e-3, "\(ranks) ranks, \(column): \(a), \(b)")
      }
    }
  }

  @Test func aRunThatWasContinuedIsTheSame() throws {
    try runs.complete("whole", options(8))
    try runs.complete("parts", options(4))
    try runs.complete("parts", options(8, "--resume", "auto"))
    #expect(try runs.tensors("parts", 8) == runs.tensors("whole", 8))
  }

  @Test func otherFramesOrAugmentationAreAnotherRun() throws {
    try runs.complete("run", options(2))
    for (name, value, before) in [("--frame-stack", "3", "2"), ("--p-aug", "0", "0.5")] {
      let result = try run(ranks: nil, runs.command("run", options(4, "--resume", "auto", name, value)))
      expectFailure(result, 78, ["was trained with \(name) \(before)"])
    }
  }

  @Test func dataInFilesTrainAsInMemory() throws {
    let file = try data()
    let directory = runs.folder.file("data")
    let imported = try run(
      built("fan-dist"), ["dataset", "import", file, "--out", directory, "--env", Self.task])
    try #require(imported.code == 0, "\(imported)")
    #expect(
      imported.output.contains("dataset: images of 20 × 20 pixels (height × width), 3 channels: 24 to 255"))
    try runs.complete("memory", options(5))
    let others = ["--dataset", directory, "--dataset-memory", "0"]
    let result = try runs.complete("files", options(5) + others)
    #expect(result.output.contains("stay in their files"), "\(result)")
    #expect(try runs.tensors("files", 5) == runs.tensors("memory", 5))
    let verified = try run(built("fan-dist"), ["dataset", "info", directory, "--verify"])
    #expect(verified.code == 0 && verified.output.contains("every byte is as it was imported"), "\(verified)")
  }

  @Test func aSavedPolicyPlaysAndIsReported() throws {
    try runs.complete("run", options(4, "--eval-episodes", "3"))
    let best = runs.folder.file("run/checkpoints/best.safetensors")
    let played = try run(built("fan-dist"), ["evaluate", best, "--episodes", "3", "--behaviour"])
    let logged = try runs.table("run", "eval.csv")
    #expect(played.code == 0 && played.output.contains("over 3 episodes"), "\(played)")
    #expect(logged.steps == [4, 4])
    let page = runs.folder.file("report.html")
    let report = try run(built("fan-dist"), ["report", runs.folder.file("run"), "--out", page])
    try #require(report.code == 0 && !report.output.contains("no best policy"), "\(report)")
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(html.components(separatedBy: "src=\"data:image/png;base64,").count == 9)
  }

  @Test func actTakesBytesAndNestedArrays() throws {
    try runs.complete("run", options(2))
    let best = runs.folder.file("run/checkpoints/best.safetensors")
    let bytes = (0..<20 * 20 * 6).map { UInt8($0 * 31 % 256) }
    let text = Data(bytes).base64EncodedString()
    let nested = (0..<20).map { y in
      (0..<20).map { x in Array(bytes[(y * 20 + x) * 6..<(y * 20 + x + 1) * 6]).map { Int($0) } }
    }
    let noise = #""noise": [0.5, -0.5]"#
    let lines = [
      #"{"observation": "\#(text)", \#(noise)}"#, #"{"observation": \#(nested), \#(noise)}"#,
      #"{"observation": "\#(Data(bytes.prefix(1200)).base64EncodedString())"}"#, #"{"observation": [[256]]}"#,
    ]
    let input = try runs.folder.write(lines.joined(separator: "\n") + "\n", to: "lines")
    let result = try run(
      "bash", ["-c", #"exec "$0" act "$1" < "$2""#, built("fan-dist"), best, input])
    let answers = result.output.split(separator: "\n")
    try #require(answers.count == 4 && result.code == 65, "\(result)")
    #expect(answers[0] == answers[1] && answers[0].hasPrefix("["), "\(answers)")
    #expect(
      answers[2].contains("has 1200 bytes, not 2400 bytes of shape [20, 20, 6]: 2 frames"), "\(answers)")
    #expect(answers[3].contains("has shape [1, 1], not 2400 bytes"), "\(answers)")
  }

  @Test func whatDoesNotFitIsRefused() throws {
    let file = try data()
    for (arguments, code, parts) in [
      (["--env", Self.task, "--encoder", "impala_large", "--frame-stack", "65"], 64, ["--frame-stack"]),
      (["--dataset", file], 65, ["images of 20 × 20 × 3 bytes a row", "has 2 numbers"]),
      (["--p-aug", "0.5"], 64, ["--p-aug 0.5", "the observations are vectors"]),
      (["--encoder", "impala_debug"], 64, ["--encoder impala_debug"]),
    ] as [([String], Int32, [String])] {
      let result = try run(ranks: nil, runs.command("refused", ["--steps", "2"] + arguments))
      #expect(result.code == code, "\(arguments): \(result)")
      for part in parts { #expect(result.errors.contains(part), "\(arguments): \(result.errors)") }
    }
  }

  @Test func framesOfVectorsAreStackedToo() throws {
    try runs.complete("run", "--steps", "3", "--frame-stack", "2", "--eval-episodes", "2")
    let tensors = try runs.tensors("run", 3)
    // Two frames of two numbers, an action of two and a time, to 16.
    #expect(tensors["actor_bc_flow/dense0/weight"]?.count == 112)
    let best = runs.folder.file("run/checkpoints/best.safetensors")
    let played = try run(built("fan-dist"), ["evaluate", best, "--episodes", "2"])
    #expect(played.code == 0, "\(played)")
  }
}
