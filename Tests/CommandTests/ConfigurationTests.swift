import Foundation
import TestSupport
import Testing

/// What a run writes down repeats it.
@Suite(.serialized) struct ConfigurationTests {
  @Test func theWrittenConfigurationRepeatsTheRun() throws {
    let runs = Runs()
    try runs.complete(
      "a", "--steps", "30", "--seed", "4", "--lr", "0.002", "--no-layer-norm", "--z-agg", "min")
    let file = runs.folder.file("a/config.yaml")
    let result = try run(
      built("fan-dist"), ["--config", file, "--run-dir", runs.folder.file("b"), "--progress", "plain"])
    try #require(result.code == 0, "\(result)")
    #expect(try runs.table("a").steps == Array(1...30))
    #expect(try runs.table("a").timeless == runs.table("b").timeless)
    #expect(try runs.table("a", "eval.csv").timeless == runs.table("b", "eval.csv").timeless)
    #expect(try runs.text("a", "config.yaml") == runs.text("b", "config.yaml"))
  }

  @Test func flagsOverrideTheFile() throws {
    let runs = Runs()
    let file = try runs.folder.write(
      """
      # Lists, dashes and switches
      actor_hidden_dims: [8, 8]
      value-hidden-dims: 12
      layer_norm: false
      seed: 7
      steps: 40
      dataset: null

      """, to: "c.yaml")
    let result = try run(
      built("fan-dist"),
      [
        "train", "--config", file, "--steps", "6", "--layer-norm", "--batch-size", "32", "--eval-episodes",
        "2",
        "--run-dir", runs.folder.file("run"), "--progress", "plain",
      ])
    try #require(result.code == 0, "\(result)")
    let lines = try runs.text("run", "config.yaml").split(separator: "\n")
    for line in [
      "actor_hidden_dims: 8,8", "value_hidden_dims: 12", "layer_norm: true", "seed: 7", "steps: 6",
      "batch_size: 32",
      // The preset of the task, which neither names.
      "discount: 0.97",
    ] { #expect(lines.contains(Substring(line)), "\(line)") }
    let parameters = try runs.tensors("run", 6)
    #expect(parameters["actor_bc_flow/dense1/weight"]?.count == 64 && parameters["critic/norm0/scale"] != nil)
  }

  @Test func anotherSeedIsAnotherRun() throws {
    let runs = Runs()
    try runs.complete("a", "--steps", "3")
    try runs.complete("b", "--steps", "3", "--seed", "1")
    #expect(try runs.table("a").timeless != runs.table("b").timeless)
  }
}
