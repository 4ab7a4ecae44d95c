import ArrayFiles
import Foundation
import TestSupport
import Testing

/// Runs on images: the visual maze and images of one's own.
@Suite(.serialized) struct ImageRunTests {
  let runs = Runs()

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func figuresDoNotDependOnTheNumberOfRanks() throws {
    try runs.complete("one", runs.onImages(steps: 6))
    let one = try runs.table("one")
    #expect(one.columns.contains("validation/critic/critic_loss"))
    for ranks in [2, 3] {
      try runs.complete("\(ranks)", ranks: ranks, runs.onImages(steps: 6))
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
    try runs.complete("whole", runs.onImages(steps: 8))
    try runs.complete("parts", runs.onImages(steps: 4))
    try runs.complete("parts", runs.onImages(steps: 8, ["--resume", "auto"]))
    #expect(try runs.tensors("parts", 8) == runs.tensors("whole", 8))
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func aRunGoesOnWithOtherRanks() throws {
    try runs.complete("whole", runs.onImages(steps: 8))
    try runs.complete("parts", ranks: 2, runs.onImages(steps: 4))
    try runs.complete("parts", ranks: 3, runs.onImages(steps: 8, ["--resume", "auto"]))
    let (whole, parts) = (try runs.table("whole"), try runs.table("parts"))
    #expect(parts.steps == whole.steps)
    for column in whole.columns where column.hasSuffix("loss") {
      let (a, b) = (try whole.numbers(column), try parts.numbers(column))
      #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-3 * abs($0) }, "\(column): \(a), \(b)")
    }
  }

  @Test func gradientsOfEncodersAgreeWithDifferences() throws {
    let result = try run(ranks: nil, runs.command("run", runs.onImages(steps: 1, ["--check"])))
    #expect(result.code == 0 && result.output.contains("all gradients agree on 4 samples"), "\(result)")
    #expect(result.output.contains("actor_onestep_flow/encoder/stack1/conv2/weight"), "\(result)")
  }

  @Test func otherFramesOrAugmentationAreAnotherRun() throws {
    try runs.complete("run", runs.onImages(steps: 2))
    for (name, value, before) in [("--frame-stack", "3", "2"), ("--p-aug", "0", "0.5")] {
      let result = try run(
        ranks: nil, runs.command("run", runs.onImages(steps: 4, ["--resume", "auto", name, value])))
      expectFailure(result, 78, ["was trained with \(name) \(before)"])
    }
  }

  @Test func dataInFilesTrainAsInMemory() throws {
    let file = try runs.images()
    let directory = runs.folder.file("data")
    let imported = try run(
      built("fan-dist"), ["dataset", "import", file, "--out", directory, "--env", Runs.visualMaze])
    try #require(imported.code == 0, "\(imported)")
    #expect(
      imported.output.contains("dataset: images of 20 × 20 pixels (height × width), 3 channels: 24 to 255"))
    try runs.complete("memory", runs.onImages(steps: 5))
    let others = ["--dataset", directory, "--dataset-memory", "0"]
    let result = try runs.complete("files", runs.onImages(steps: 5, others))
    #expect(result.output.contains("stay in their files"), "\(result)")
    #expect(try runs.tensors("files", 5) == runs.tensors("memory", 5))
    let verified = try run(built("fan-dist"), ["dataset", "info", directory, "--verify"])
    #expect(verified.code == 0 && verified.output.contains("every byte is as it was imported"), "\(verified)")
  }

  @Test func aSavedPolicyPlaysAndIsReported() throws {
    try runs.complete("run", runs.onImages(steps: 4, ["--eval-episodes", "3"]))
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
    try runs.complete("run", runs.onImages(steps: 2))
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
    let file = try runs.images()
    for (arguments, code, parts) in [
      (
        ["--env", Runs.visualMaze, "--encoder", "impala_large", "--frame-stack", "65"], 64, ["--frame-stack"]
      ),
      (["--dataset", file], 65, ["images of 20 × 20 × 3 bytes a row", "has 2 numbers"]),
      (["--p-aug", "0.5"], 64, ["--p-aug 0.5", "the observations are vectors"]),
      (["--encoder", "impala_debug"], 64, ["--encoder impala_debug"]),
    ] as [([String], Int32, [String])] {
      let result = try run(ranks: nil, runs.command("refused", ["--steps", "2"] + arguments))
      #expect(result.code == code, "\(arguments): \(result)")
      for part in parts { #expect(result.errors.contains(part), "\(arguments): \(result.errors)") }
    }
  }

  /// The batch alone takes 800 GB.
  @Test func imagesThatDoNotFitMemoryAreRefused() throws {
    let sizes = [
      "--encoder", "impala_small", "--observation-shape", "512,512,3", "--batch-size", "1048576",
    ]
    expectFailure(
      try run(built("fan-dist"), ["bench"] + sizes), 71, ["GB of memory are needed", "--batch-size"])
  }

  @Test func aStackMayBeLongerThanAnEpisode() throws {
    try runs.complete("run", runs.onImages(steps: 2, ["--frame-stack", "30", "--eval-episodes", "2"]))
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
