import ArrayFiles
import Datasets
import Foundation
import Testing

/// A rule that gives every transition the reward 0 and the mask 1.
private let noReward: RewardRule = { _ in (0, 1) }

@Suite struct OGBenchTests {
  let directory = TemporaryDirectory()
  var path: String { "\(directory.path)/data.npz" }

  private func load(_ fixture: Fixture, rewards rule: RewardRule? = noReward) throws -> Loaded {
    try fixture.write(to: path)
    return try Loaded(try OGBenchSource(path: path, rewards: rule))
  }

  /// The error with which opening or loading `path` fails; "accepted" if it does not fail.
  private func refusal(of path: String, rewards rule: RewardRule? = noReward) -> String {
    do throws(FileError) {
      _ = try Loaded(try OGBenchSource(path: path, rewards: rule))
      return "accepted"
    } catch {
      return error.description
    }
  }

  private func refusal(_ fixture: Fixture, rewards rule: RewardRule? = noReward) throws -> String {
    try fixture.write(to: path)
    return refusal(of: path, rewards: rule)
  }

  @Test func transitionsStayWithinEpisodes() throws {
    let loaded = try load(Fixture([3, 4])) { observation in
      (observation[0] * 10, observation[1] == -4 ? 0 : 1)
    }
    let dataset = loaded.dataset
    #expect(dataset.plan.transitions == 5)
    #expect(try (0..<5).map { try dataset.transition($0).observation[0] } == [0, 1, 3, 4, 5])
    #expect(
      try dataset.transition(3)
        == Transition(
          observation: [4, -4], action: [0.04], reward: 40, mask: 0, nextObservation: [5, -5],
          nextAction: [0.05]))
  }

  @Test func statisticsDescribeTheTransitions() throws {
    var fixture = Fixture([3, 4])
    fixture.rewards = [0, 1, 99, 2, 3, 4, 99]
    fixture.masks = [1, 1, 0, 1, 1, 0, 0]
    let statistics = try load(fixture, rewards: nil).statistics
    #expect(statistics.rows == 7 && statistics.episodes == 2 && statistics.transitions == 5)
    #expect(statistics.episodeLength == .init(minimum: 2, mean: 2.5, maximum: 3))
    #expect(statistics.reward == .init(minimum: 0, mean: 2, maximum: 4))
    #expect(statistics.mask == .init(minimum: 0, mean: 0.8, maximum: 1))
    #expect(statistics.actionMinimum == 0 && statistics.actionMaximum == 0.06)
    #expect(statistics.digest.count == 16 && statistics.warnings(areClipped: false).isEmpty)
    #expect(try load(fixture, rewards: nil).statistics == statistics)
    fixture.rewards![4] = 3.0000002
    #expect(try load(fixture, rewards: nil).statistics.digest != statistics.digest)
  }

  @Test func anUnfinishedEpisodeEndsWithTheFile() throws {
    var fixture = Fixture([3, 4])
    fixture.terminals[6] = 0
    let loaded = try load(fixture)
    #expect(loaded.dataset.plan.transitions == 5 && loaded.statistics.episodes == 2)
  }

  @Test func columnsMayHaveTheShapeOfOneColumnMatrices() throws {
    var fixture = Fixture([3, 4])
    fixture.columnShape = [7, 1]
    fixture.rewards = fixture.actions
    fixture.masks = fixture.terminals
    #expect(try load(fixture, rewards: nil).dataset.transition(3).reward == 0.04)
  }

  @Test func actionsAreClipped() throws {
    var fixture = Fixture([4])
    fixture.actions = [1, -1, 0.5, 1 + 5e-7]
    let loaded = try load(fixture)
    let transitions = try (0..<3).map { try loaded.dataset.transition($0) }
    let actions = transitions.map { $0.action[0] } + [transitions[2].nextAction[0]]
    #expect(actions == [0.99999, -0.99999, 0.5, 0.99999])
    #expect(loaded.statistics.actionMinimum == -1 && loaded.statistics.actionMaximum == 1 + 5e-7)
    #expect(loaded.statistics.clippedShare == 0.75)
    #expect(loaded.statistics.warnings(areClipped: false).contains { $0.hasPrefix("75 %") })
  }

  /// A survey counts them; loading for training refuses them.
  @Test func actionsOutsideTheirRangeAreCounted() throws {
    var fixture = Fixture([4])
    fixture.actions = [3, -1.5, 0.5, 1]
    try fixture.write(to: path)
    let statistics = try OGBenchSource(path: path, rewards: noReward).survey()
    #expect(statistics.actionsOutside == 2 && statistics.actionMaximum == 3)
    #expect(
      statistics.warnings(areClipped: false).contains {
        $0.hasPrefix("2 action components lie outside [-1, 1]")
      })
    #expect(refusal(of: path).contains("'actions': row 0 is 3.0, outside [-1, 1]"))
  }

  @Test func suspiciousDataGiveWarnings() throws {
    func warnings(_ change: (inout Fixture) -> Void) throws -> String {
      var fixture = Fixture([3, 4])
      fixture.rewards = (0..<7).map { Float($0) }
      fixture.masks = fixture.terminals.map { 1 - $0 }
      fixture.masks![0] = 0
      change(&fixture)
      return try load(fixture, rewards: nil).statistics.warnings(areClipped: false).joined(separator: "\n")
    }
    #expect(try warnings { _ in } == "")
    #expect(try warnings { $0.masks = [Float](repeating: 1, count: 7) }.contains("every mask is 1"))
    #expect(try warnings { $0.masks = [Float](repeating: 0, count: 7) }.contains("every mask is 0"))
    #expect(try warnings { $0.rewards = [Float](repeating: -1, count: 7) }.contains("every reward is -1.0"))
    #expect(try warnings { $0.actions = $0.actions.map { $0 / 10 } }.contains("scaled to [-1, 1]"))
    #expect(try warnings { $0.actions = $0.actions.map { _ in 0.5 } }.contains("every action is 0.5"))
    #expect(try warnings { $0.terminals[0] = 1 }.contains("give no transition: 1"))
  }

  @Test func numbersOutOfRangeAreRefused() throws {
    func refusal(_ change: (inout Fixture) -> Void) throws -> String {
      var fixture = Fixture([3, 4])
      fixture.rewards = (0..<7).map { Float($0) }
      fixture.masks = fixture.terminals
      change(&fixture)
      return try self.refusal(fixture, rewards: nil)
    }
    #expect(try refusal { $0.observations[5] = .nan }.contains("'observations': row 2 column 1 is nan"))
    #expect(
      try refusal { $0.observations[0] = -.infinity }.contains("row 0 column 0 is -inf, not a finite number"))
    #expect(try refusal { $0.actions[5] = .nan }.contains("'actions': row 5 is nan"))
    #expect(try refusal { $0.actions[3] = -1.01 }.contains("'actions': row 3 is -1.01, outside [-1, 1]"))
    #expect(try refusal { $0.rewards![1] = .infinity }.contains("'rewards': row 1 is inf"))
    #expect(try refusal { $0.masks![1] = 1.5 }.contains("'masks': row 1 is 1.5, outside [0, 1]"))
    #expect(try refusal { $0.masks![1] = -.nan }.contains("'masks': row 1 is"))
    #expect(try refusal { $0.terminals[1] = .nan }.contains("'terminals': contains NaN; 0 or 1 is needed"))
    #expect(try refusal { $0.terminals[1] = 2 }.contains("'terminals': contains 2.0; 0 or 1 is needed"))
  }

  /// What the last row of an episode holds beside its state is documented as unused.
  @Test func unusedNumbersMayBeAnything() throws {
    for value in [Float.nan, .infinity, 7, -3e30] {
      var fixture = Fixture([3, 4])
      fixture.rewards = [0, 1, value, 2, 3, 4, value]
      fixture.masks = [1, 1, value, 1, 0, 1, value]
      (fixture.actions[2], fixture.actions[6]) = (value, value)
      let loaded = try load(fixture, rewards: nil)
      let last = try loaded.dataset.transition(4)
      #expect(last.reward == 4 && last.mask == 1 && last.action == [0.05], "\(value): \(last)")
      #expect(abs(last.nextAction[0]) < 1 && loaded.statistics.actionsOutside == 0, "\(value): \(last)")
      // What a survey counts is what training reads.
      #expect(
        try OGBenchSource(path: path, rewards: nil).survey().digest == loaded.statistics.digest, "\(value)")
    }
    var fixture = Fixture([1, 4])
    fixture.actions[0] = .nan
    #expect(try load(fixture).dataset.plan.transitions == 3)
  }

  /// D4RL's, d3rlpy's and Gymnasium's names for the rows in which an episode was cut off.
  @Test(arguments: ["timeouts", "truncations", "truncated"]) func episodesEndWhereTheyWereCutOff(name: String)
    throws
  {
    var fixture = Fixture([7])
    fixture.others[name] = [0, 0, 1, 0, 0, 0, 0]
    let loaded = try load(fixture)
    #expect(loaded.dataset.plan == DatasetPlan(rows: 7, episodes: 2, observationSize: 2, actionSize: 1))
    #expect(try (0..<5).map { try loaded.dataset.transition($0).observation[0] } == [0, 1, 3, 4, 5])
    // They are enough where no episode reached a terminal state.
    fixture.terminals = [Float](repeating: 0, count: 7)
    #expect(try load(fixture).statistics.digest == loaded.statistics.digest)
    fixture.others[name]![1] = .nan
    #expect(try refusal(fixture).contains("'\(name)': contains NaN"))
  }

  @Test func membersThatAreNotReadAreNamed() throws {
    var fixture = Fixture([3, 4])
    fixture.others = ["discounts": fixture.actions, "qpos": fixture.actions]
    try fixture.write(to: path)
    let source = try OGBenchSource(path: path, rewards: noReward)
    #expect(source.provenance == ["members that are not used": "discounts"])
    fixture.others["next_observations"] = fixture.actions
    #expect(try refusal(fixture).contains("member 'next_observations': is not read"))
  }

  @Test func rangesOfColumnsShowWhatIsTooLarge() throws {
    var fixture = Fixture([3, 4])
    #expect(
      try load(fixture).statistics.columnLines == [
        "dataset: observations column 0: 0 to 6", "dataset: observations column 1: -6 to 0",
      ])
    func warnings() throws -> String {
      try load(fixture).statistics.warnings(areClipped: false).joined(separator: "\n")
    }
    #expect(try load(fixture).statistics.hugeValue == nil)
    // 2²⁴ + 1 is the first whole number that is rounded, to 2²⁴.
    fixture.observations[3] = 16_777_216
    #expect(try warnings().contains("column 1 goes beyond 16777215"))
    fixture.observations[4] = 1e12
    #expect(try warnings().contains("observations column 0 reaches 1e+12"))
    #expect(try load(fixture).statistics.hugeValue == "observations column 0 reaches 1e+12")
  }

  @Test func dataWithoutEpisodesOrTransitionsAreRefused() throws {
    var fixture = Fixture([3, 4])
    fixture.terminals = [Float](repeating: 0, count: 7)
    #expect(try refusal(fixture).contains("'terminals': is zero everywhere: no episodes"))
    #expect(try refusal(Fixture([1, 1, 1])).contains("no transitions"))
    #expect(try refusal(Fixture([])).contains("'observations': has shape [0, 2]"))
  }

  @Test func missingAndMisshapenMembersAreRefused() throws {
    for name in ["observations", "actions", "terminals"] {
      var fixture = Fixture([3, 4])
      fixture.without = [name]
      #expect(try refusal(fixture).contains("member '\(name)': is not in the file, which has:"))
    }
    var fixture = Fixture([3, 4])
    fixture.actions.removeLast()
    fixture.actionShape = [6, 1]
    #expect(try refusal(fixture).contains("'actions': has 6 rows where observations has 7"))
    fixture = Fixture([3, 4])
    fixture.actionShape = [7]
    #expect(try refusal(fixture).contains("'actions': has shape [7]; (rows, numbers per row)"))
    fixture = Fixture([3, 4])
    fixture.observationShape = [7, 2, 1]
    #expect(try refusal(fixture).contains("'observations': is float32 of shape [7, 2, 1]"))
    fixture = Fixture([3, 4])
    fixture.columnShape = [6]
    fixture.terminals.removeLast()
    #expect(try refusal(fixture).contains("'terminals': has shape [6] where observations has 7 rows"))
  }

  @Test func rewardsAreNotComputedFromImages() throws {
    let writer = try NpzWriter(path: path)
    try writer.add("observations", [UInt8](repeating: 0, count: 24), shape: [2, 2, 2, 3])
    try writer.add("actions", [Float(0), 0], shape: [2, 1])
    try writer.add("terminals", [false, true])
    try writer.finish()
    #expect(refusal(of: path).contains("'observations': has images, from which no rewards can be computed"))
  }

  @Test func rewardsAndMasksComeTogetherOrFromARule() throws {
    var fixture = Fixture([3, 4])
    #expect(
      try refusal(fixture, rewards: nil).contains(
        "has no rewards and masks; add members 'rewards' and 'masks'"))
    fixture.rewards = fixture.actions
    #expect(try refusal(fixture).contains("member 'masks': is missing although the file has rewards"))
    (fixture.rewards, fixture.masks) = (nil, fixture.terminals)
    #expect(try refusal(fixture).contains("member 'rewards': is missing although the file has masks"))
    fixture.rewards = fixture.actions
    #expect(try load(fixture, rewards: nil).dataset.transition(1).reward == 0.01)
    // Rewards in the file take precedence over the rule.
    #expect(try load(fixture) { _ in (7, 1) }.dataset.transition(1).reward == 0.01)
    #expect(try OGBenchSource(path: path).hasRewards)
    #expect(try refusal(Fixture([3]), rewards: { _ in (.nan, 1) }).contains("'rewards': row 0 is nan"))
  }

  @Test func theFilesOfADirectoryAreReadInOrder() throws {
    var second = Fixture([5])
    second.observations = second.observations.map { $0 + 100 }
    second.terminals[4] = 0
    try second.write(to: "\(directory.path)/set-001.npz")
    try Fixture([3, 4]).write(to: "\(directory.path)/set-000.npz")
    try Fixture([2]).write(to: "\(directory.path)/set-000-val.npz")
    try Fixture([2]).write(to: "\(directory.path)/._set-000.npz")
    let source = try OGBenchSource(path: directory.path, rewards: noReward)
    #expect(source.plan == DatasetPlan(rows: 12, episodes: 3, observationSize: 2, actionSize: 1))
    let loaded = try Loaded(source)
    #expect(
      try (0..<9).map { try loaded.dataset.transition($0).observation[0] } == [
        0, 1, 3, 4, 5, 100, 101, 102, 103,
      ])
    #expect(loaded.statistics.episodes == 3)
    second.actions[2] = 3
    try second.write(to: "\(directory.path)/set-001.npz")
    #expect(refusal(of: directory.path).contains("set-001.npz: member 'actions': row 2 is 3.0"))
  }

  @Test func filesThatDisagreeAreRefused() throws {
    try Fixture([3, 4]).write(to: "\(directory.path)/a.npz")
    var other = Fixture([4])
    other.actionShape = [2, 2]
    other.observations.removeLast(4)
    other.observationShape = [2, 2]
    other.columnShape = [2]
    other.terminals.removeLast(2)
    other.terminals[1] = 1
    try other.write(to: "\(directory.path)/b.npz")
    #expect(refusal(of: directory.path).contains("b.npz: member 'actions': has 2 numbers a row, but 1 in "))
    var rewarded = Fixture([4])
    (rewarded.rewards, rewarded.masks) = (rewarded.actions, rewarded.terminals)
    try rewarded.write(to: "\(directory.path)/b.npz")
    #expect(
      refusal(of: directory.path).contains("b.npz: has rewards and masks, but no rewards and masks in "))
    let writer = try NpzWriter(path: "\(directory.path)/b.npz")
    try writer.add("observations", [0.0, 1, 2, 3], shape: [2, 2])
    try writer.add("actions", [Float(0), 0], shape: [2, 1])
    try writer.add("terminals", [Float(0), 1])
    try writer.finish()
    #expect(refusal(of: directory.path).contains("b.npz: member 'observations': is float64, but float32 in "))
  }

  @Test func pathsWithoutDataAreRefused() throws {
    #expect(refusal(of: directory.path).contains("has no .npz files"))
    #expect(refusal(of: path).contains("data.npz: cannot be opened"))
  }

  @Test func theValidationFileIsFound() throws {
    #expect(OGBenchSource.companionPath(of: path) == nil)
    #expect(OGBenchSource.companionPath(of: directory.path) == nil)
    try Fixture([3]).write(to: path)
    try Fixture([2]).write(to: "\(directory.path)/data-val.npz")
    #expect(OGBenchSource.companionPath(of: path) == "\(directory.path)/data-val.npz")
    #expect(OGBenchSource.companionPath(of: directory.path) == "\(directory.path)/data-val.npz")
    #expect(OGBenchSource.companionPath(of: "\(directory.path)/data-val.npz") == nil)
  }

  @Test func aPlanIsRecoveredFromItsWords() {
    let plan = DatasetPlan(rows: 1001, episodes: 1, observationSize: 29, actionSize: 5)
    #expect(DatasetPlan(words: plan.words) == plan)
    let offsets = [
      plan.observationsOffset, plan.actionsOffset, plan.rewardsOffset, plan.masksOffset,
      plan.episodesOffset, plan.byteCount,
    ]
    #expect(offsets.allSatisfy { $0 % 64 == 0 })
    for (size, (start, end)) in zip(
      [1001 * 29, 1001 * 5, 1001, 1001, 2], zip(offsets, offsets.dropFirst()))
    {
      #expect((4 * size..<4 * size + 64).contains(end - start))
    }
  }
}
