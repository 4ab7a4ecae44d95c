import Basics
import Settings
import Testing

/// Configuration files as arguments.
@Suite struct ConfigurationFileTests {
  private func arguments(_ text: String) throws -> [String] {
    try Settings.arguments(ofConfiguration: text, file: "c.yaml")
  }

  @Test(arguments: ["steps: ~\nseed: 1", "steps: null\nseed: 1", "steps:\nseed: 1"])
  func nullLeavesASettingAlone(text: String) throws {
    #expect(try arguments(text) == ["--seed=1"])
  }

  @Test func mergeKeysAddTheSettingsOfAnotherMapping() throws {
    let text = "lr: 0.1\n<<: {lr: 0.2, batch-size: 8}\nseed: 1"
    #expect(try arguments(text) == ["--lr=0.1", "--seed=1", "--batch-size=8"])
  }

  @Test func ofSeveralMappingsTheFirstWins() throws {
    let text = "<<: [{lr: 0.1}, {lr: 0.2, batch_size: 8, <<: {batch-size: 9, tau: 0.1}}]"
    #expect(try arguments(text) == ["--lr=0.1", "--batch-size=8", "--tau=0.1"])
  }

  @Test(arguments: ["seed: 1\n<<: 3", "seed: 1\n<<: [1]", "seed: 1\n<<: {nonsense: 1}"])
  func whatCannotBeMergedIsRefused(text: String) {
    let failure = #expect(throws: Failure.self) { try arguments(text) }
    #expect(
      failure?.code == .usage && failure?.message.contains("c.yaml:2") == true, "\(failure?.message ?? "")")
  }

  /// Each line names the one before six times.
  @Test func mergesThatNeverEndAreRefused() {
    let lines = (1..<30).map { line in
      "a\(line): &a\(line) {<<: [\(Array(repeating: "*a\(line - 1)", count: 6).joined(separator: ", "))]}"
    }
    let text = (["a0: &a0 {steps: 5}"] + lines + ["<<: *a29"]).joined(separator: "\n")
    let failure = #expect(throws: Failure.self) { try arguments(text) }
    #expect(failure?.message.contains("mappings are merged") == true, "\(failure?.message ?? "")")
  }

  /// Each line names the one before ten times, and keys are compared number by number.
  @Test(arguments: [
    "? *a20\n: 1", "*a20 : 1", "[*a20]: 1", "{x: *a20}: 1", "x: {? *a20 : 1}", "x: {[*a20]: 1}",
  ])
  func keysThatNeverEndAreRefused(key: String) {
    let lines = (1...20).map { line in
      "a\(line): &a\(line) [\(Array(repeating: "*a\(line - 1)", count: 10).joined(separator: ", "))]"
    }
    let text = (["a0: &a0 [1]"] + lines + [key, key]).joined(separator: "\n")
    let failure = #expect(throws: Failure.self) { try arguments(text) }
    #expect(
      failure?.code == .usage && failure?.message.hasPrefix("c.yaml:22: a key") == true,
      "\(failure?.message ?? "")")
  }

  /// Comments may look like such keys; a text that begins in an earlier line may end in what looks like a comment.
  @Test func commentsAreNoKeys() throws {
    let text = "# scaled to [-1, 1]: (x - 'a')\nlr: 0.1  # of {a, b}: the better\n  # *a : b\nseed: 1\n"
    #expect(try arguments(text) == ["--lr=0.1", "--seed=1"])
    let hidden = "seed: &a [1]\nx: {\"text\n  # \": 1, *a : 2}"
    let failure = #expect(throws: Failure.self) { try arguments(hidden) }
    #expect(failure?.message.hasPrefix("c.yaml:3: a key") == true, "\(failure?.message ?? "")")
  }

  /// What the program writes, it reads.
  @Test(arguments: [
    "a]: b", "*x : {y} :", "two\nlines\u{1B}[31m", "it's \"q\" \\ [0]:", "größe ]: 9", "# no comment", "~",
    "{\"a\": [1]}",
  ])
  func textsOfSettingsAreReadAgain(text: String) throws {
    let file = try Configuration.parse(["--dataset", text, "--env", "a\(text)"]).yaml
    let read = try arguments(file)
    #expect(read.contains("--dataset=\(text)") && read.contains("--env=a\(text)"), "\(file)")
  }

  @Test(arguments: ["env: \"a\\0b\"", "actor_hidden_dims: [\"6\\0\", 4]"]) func theCharacterNUL(text: String)
  {
    let failure = #expect(throws: Failure.self) { try arguments(text) }
    #expect(failure?.code == .usage && failure?.message.contains("NUL") == true)
  }

  @Test(arguments: [
    "seed: 1\nactor_hidden_dims: [[64, 8], 16]", "seed: 1\nbatch_size: [{a: 3}, 16]",
    "batch_size: 16\nbatch-size: 8",
  ]) func valuesThatAreNotReadAreRefused(text: String) {
    let failure = #expect(throws: Failure.self) { try arguments(text) }
    #expect(
      failure?.code == .usage && failure?.message.contains("c.yaml:2") == true, "\(failure?.message ?? "")")
  }
}
