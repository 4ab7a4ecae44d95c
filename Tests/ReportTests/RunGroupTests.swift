import Report
import Testing

/// Which runs belong together.
@Suite struct RunGroupTests {
  private let runs = RecordedRuns()

  /// The groups of runs with these configurations, called "0", "1", ….
  private func groups(_ configurations: String...) throws -> [RunGroup] {
    let recorded = try configurations.enumerated().map { index, configuration in
      try runs.write("\(index)", configuration: configuration, training: "step\n")
      return RecordedRun(path: runs.folder.file("\(index)"))
    }
    return RunGroup.groups(of: recorded)
  }

  @Test func runsThatDifferInTheSeedAloneAreOneGroup() throws {
    let groups = try groups("lr: 1\nseed: 0\n", "lr: 1\nseed: 1\n", "lr: 1\n")
    #expect(groups.count == 1 && groups[0].runs.count == 3)
  }

  @Test func runsThatDifferInAnotherSettingAreGroupsOfTheirOwn() throws {
    let groups = try groups("lr: 1\nseed: 0\n", "lr: 2\nseed: 0\n", "lr: 1\nseed: 1\n")
    #expect(groups.map { $0.runs.map(\.name) } == [["0", "2"], ["1"]])
  }

  /// Nobody knows whether they belong together.
  @Test func runsWhoseSettingsCannotBeReadAreGroupsOfTheirOwn() throws {
    let groups = try groups("[broken", "lr: 1\n", "[broken", "")
    #expect(groups.map { $0.runs.map(\.name) } == [["0"], ["1"], ["2"], ["3"]])
    #expect(Set(groups.map(\.name)).count == 4)
  }

  @Test func dashesAndUnderscoresAreTheSameSetting() throws {
    #expect(try groups("batch-size: 1\nseed: 0\n", "batch_size: 1\nseed: 1\n").count == 1)
  }

  @Test func aGroupsRunsAreSortedBySeed() throws {
    let groups = try groups("seed: 10\n", "seed: 9\n", "seed: 0\n")
    #expect(groups[0].runs.map(\.name) == ["2", "1", "0"])
  }

  @Test func groupsAreInTheOrderOfTheirFirstRuns() throws {
    #expect(try groups("lr: 2\n", "lr: 1\n", "lr: 3\n").map(\.name) == ["lr 2", "lr 1", "lr 3"])
  }

  @Test func aGroupIsNamedByTheSettingsThatTellItFromTheOthers() throws {
    let groups = try groups(
      "env: m\nlr: 1\ntau: 1\nalpha1: 5\n", "env: m\nlr: 1\ntau: 2\nalpha1: 6\n",
      "env: m\nlr: 2\ntau: 1\nalpha1: 7\n")
    // alpha1 alone would do, but earlier settings count more.
    #expect(groups.map(\.name) == ["lr 1, tau 1", "lr 1, tau 2", "lr 2, tau 1"])
  }

  @Test func allDifferingSettingsAreListed() throws {
    let groups = try groups("lr: 1\ntau: 1\nenv: m\n", "lr: 2\nenv: m\n")
    #expect(groups.map { $0.differing.map(\.name) } == [["lr", "tau"], ["lr", "tau"]])
    #expect(groups.map { $0.differing.map(\.value) } == [["1", "1"], ["2", "–"]])
  }

  @Test func anAgentsNameIsTheGroupsName() throws {
    #expect(try groups("agent: fan\n", "agent: iqn\n").map(\.name) == ["fan", "iqn"])
  }

  @Test func wholeNumbersLoseTheirPoint() throws {
    #expect(try groups("lr: 10.0\n", "lr: 2.5\n").map(\.name) == ["lr 10", "lr 2.5"])
  }

  @Test(arguments: [("agent: fan\nlr: 1\n", "fan"), ("lr: 1\n", "all runs")])
  func aSingleGroupIsNamedByItsAgentIfItHasOne(configuration: String, name: String) throws {
    #expect(try groups(configuration).map(\.name) == [name])
  }

  @Test func withoutRunsThereAreNoGroups() throws {
    #expect(try groups().isEmpty)
  }
}
