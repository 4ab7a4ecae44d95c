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
}
