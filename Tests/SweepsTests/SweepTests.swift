import Basics
import Foundation
import Settings
import Sweeps
import TestSupport
import Testing

/// Which runs the file of a sweep describes.
@Suite struct SweepTests {
  private let folder = TemporaryDirectory()

  private func sweep(_ text: String) throws -> Sweep {
    try Sweep(path: folder.write(text + "\n", to: "sweep.yaml"))
  }

  private func names(_ text: String) throws -> [String] { try sweep(text).runs.map(\.name) }

  // MARK: Expansion

  /// A mapping under a name that several runs share.
  @Test func mergeKeysAreSettingsOfTheirRuns() throws {
    let sweep = try Sweep(
      path: folder.write(
        "settings: &base {steps: 7}\nruns: [{alpha1: 1, <<: {alpha2: 2}}, {alpha1: 3, alpha2: ~}]\n",
        to: "merged.yaml"))
    #expect(sweep.runs.map(\.name) == ["alpha1=1,alpha2=2,seed=0", "alpha1=3,alpha2=_,seed=0"])
    #expect(sweep.runs[0].arguments.contains("--alpha2=2") && sweep.runs[1].arguments.count == 3)
  }

  @Test func everyCombinationOfTheGridIsARun() throws {
    #expect(
      try names("grid: {alpha1: [1, 3], lr: [0.1, 0.2]}") == [
        "alpha1=1,lr=0.1,seed=0", "alpha1=1,lr=0.2,seed=0", "alpha1=3,lr=0.1,seed=0",
        "alpha1=3,lr=0.2,seed=0",
      ])
  }

  @Test func seedsChangeSlowest() throws {
    #expect(
      try names("grid: {alpha1: [1, 3]}\nseeds: [4, 2]") == [
        "alpha1=1,seed=4", "alpha1=3,seed=4", "alpha1=1,seed=2", "alpha1=3,seed=2",
      ])
  }

  @Test func everyEntryOfRunsGoesWithTheWholeGrid() throws {
    #expect(
      try names("runs: [{z_agg: min}, {z_agg: mean}]\ngrid: {alpha1: [1, 3]}") == [
        "z_agg=min,alpha1=1,seed=0", "z_agg=min,alpha1=3,seed=0", "z_agg=mean,alpha1=1,seed=0",
        "z_agg=mean,alpha1=3,seed=0",
      ])
  }

  @Test func withoutAGridEverySeedIsARun() throws {
    #expect(try names("seeds: [0, 7]") == ["seed=0", "seed=7"])
  }

  @Test func anEmptyMappingIsOneRunOfSeed0() throws {
    #expect(try names("{}") == ["seed=0"])
  }

  @Test func settingsOfAllRunsAreNotInTheirNames() throws {
    let sweep = try sweep("settings: {steps: 77, z-agg: min}\nseeds: [0, 1]")
    #expect(sweep.runs.map(\.name) == ["seed=0", "seed=1"])
    #expect(
      sweep.runs.allSatisfy { $0.configuration.steps == 77 && $0.configuration.hyperparameters.zAgg == .min })
  }

  @Test func aRunHasTheSettingsThatItsNameSays() throws {
    let run = try #require(try sweep("grid: {alpha1: [1, 3], layer_norm: [false]}\nseeds: [9]").runs.last)
    #expect(run.name == "alpha1=3,layer_norm=false,seed=9")
    #expect(
      run.configuration.hyperparameters.alpha1 == 3 && !run.configuration.hyperparameters.layerNorm
        && run.configuration.seed == 9)
  }

  @Test func anEntryOfRunsOverridesTheSettingsOfAllRuns() throws {
    let sweep = try sweep("settings: {alpha1: 1}\nruns: [{alpha1: 5}, {steps: 9}]")
    #expect(sweep.runs.map(\.configuration.hyperparameters.alpha1) == [5, 1])
  }

  @Test func aTasksPresetAppliesBelowTheSweepsSettings() throws {
    let task = "minari:D4RL/antmaze/medium-play-v1"
    let sweep = try sweep("settings: {env: '\(task)', discount: 0.5}")
    let configuration = try #require(sweep.runs.first?.configuration)
    #expect(configuration.steps == 500_000 && configuration.hyperparameters.discount == 0.5)
  }

  @Test func aRunsArgumentsGiveItsConfiguration() throws {
    for run in try sweep(
      "settings: {steps: 7}\ngrid: {layer_norm: [true, false], actor_hidden_dims: [[4, 5]]}"
    ).runs {
      #expect(try Configuration.layered(run.arguments).yaml == run.configuration.yaml, "\(run.name)")
    }
  }

  @Test(arguments: [("{}", 1), ("ranks: 4", 4)]) func ranksAreThoseOfTheFile(text: String, ranks: Int) throws
  {
    #expect(try sweep(text).ranks == ranks)
  }

  // MARK: Names of directories

  @Test(arguments: [
    ("actor-hidden-dims: [[8, 16]]", "actor_hidden_dims=8x16"),
    ("actor_hidden_dims: ['8,16']", "actor_hidden_dims=8x16"),
    ("dataset: [\"../it's $HOME.npz\"]", "dataset=.._it_s__HOME.npz"),
    ("dataset: [Zürich]", "dataset=Z_rich"),
    ("lr: [1e-3]", "lr=1e-3"),
  ]) func aNameIsSafeAsADirectory(setting: String, label: String) throws {
    #expect(try names("grid:\n  \(setting)") == ["\(label),seed=0"])
  }

  @Test func aNameThatIsTooLongIsRefused() throws {
    let failure = #expect(throws: Failure.self) {
      try sweep("grid: {dataset: [\(String(repeating: "x", count: 250))]}")
    }
    #expect(failure?.code == .usage && failure?.message.contains("too long for a directory") == true)
  }

  @Test(arguments: [
    "runs: [{lr: 1}, {lr: 1}]", "seeds: [1, 1]", "grid: {alpha1: [1, 1]}", "grid: {alpha1: [1, 1.0]}",
    "runs: [{alpha1: 3}, {alpha1: 3.0}]", "grid: {layer_norm: [true, yes]}", "grid: {alpha1: [null, ~]}",
  ]) func runsOfTheSameSettingsAreRefused(text: String) throws {
    let failure = #expect(throws: Failure.self) { try sweep(text) }
    #expect(failure?.code == .usage && failure?.message.contains("2 runs would be the same") == true)
  }

  @Test func runsOfOneDirectoryAreRefused() throws {
    let failure = #expect(throws: Failure.self) { try sweep("grid: {dataset: [a b, a_b]}") }
    #expect(
      failure?.code == .usage
        && failure?.message.contains("2 different runs would have one directory") == true)
  }

  // MARK: Mistakes

  /// The line is that of the value, or of the key where the key is what is wrong.
  @Test(arguments: [
    ("grid:\n  alpha1:\n    - 1\n    - -3", 4, "alpha1: --alpha1 must be a finite number, 0 or more"),
    ("\ngrid:\n  alpa1: [1]", 3, "unknown setting 'alpa1'"),
    ("settings:\n  steps: 3\n  lr: x", 3, "lr: The value 'x' is invalid"),
    ("grid:\n  lr: 3", 2, "lr: needs a list of values"),
    ("grid:\n  lr: []", 2, "lr: needs at least one value"),
    ("grid: [1]", 1, "grid: needs a mapping"), ("runs: {lr: 1}", 1, "runs: needs a list"),
    ("runs: [{lr: 1}, 3]", 1, "runs: needs a mapping"),
    ("runs:\n  - lr: 1\n  - 3\n  - lr: 2", 3, "runs: needs a mapping"),
    ("\n\nseeds: 3", 3, "seeds: needs a list"), ("seeds: []", 1, "seeds: needs at least one value"),
    ("seeds:\n  - 1\n  - 4294967296", 3, "seeds: '4294967296' is not a seed"),
    ("seeds:\n  - one", 2, "seeds: 'one' is not a seed"),
    ("settings:\n  seed: 1", 2, "seed: give all seeds as seeds:"),
    ("settings: {lr: 1}\ngrid:\n  lr: [1]", 3, "lr: is in the grid and under settings or runs"),
    ("settings: {z_agg: min}\ngrid:\n  z-agg: [min]", 3, "z-agg: is in the grid and under settings or runs"),
    ("grids:\n  lr: [1]", 1, "grids: unknown"), ("ranks: 0", 1, "ranks: needs a number of ranks"),
  ]) func aMistakeIsNamedByFileLineAndKey(text: String, line: Int, message: String) throws {
    let failure = #expect(throws: Failure.self) { try sweep(text) }
    #expect(failure?.code == .usage)
    #expect(
      failure?.message.hasPrefix("\(folder.file("sweep.yaml")):\(line): \(message)") == true,
      "\(String(describing: failure))")
  }

  /// Such settings are only wrong together, or for the agent of one run.
  @Test(arguments: [
    (
      "settings: {agent: faql}\ngrid: {z_agg: [min]}", "z_agg=min,seed=0",
      "--z-agg: not a setting of --agent faql"
    ),
    ("settings: {agent: value-flows, discount: 1}", "seed=0", "--discount must be below 1"),
  ]) func aMistakeOfAWholeRunIsNamedByTheRun(text: String, run: String, message: String) throws {
    let failure = #expect(throws: Failure.self) { try sweep(text) }
    #expect(failure?.code == .usage)
    #expect(
      failure?.message.hasPrefix("\(folder.file("sweep.yaml")): \(run): ") == true
        && failure?.message.contains(message) == true, "\(String(describing: failure))")
  }

  @Test(arguments: ["[1]", "3", ""]) func aFileThatIsNoMappingIsRefused(text: String) throws {
    let failure = #expect(throws: Failure.self) { try sweep(text) }
    #expect(failure?.code == .usage && failure?.message.contains("sweep.yaml: not a mapping") == true)
  }

  @Test func aFileThatIsNotThereIsRefused() {
    let failure = #expect(throws: Failure.self) { try Sweep(path: folder.file("none.yaml")) }
    #expect(failure?.code == .noInput && failure?.message.contains("none.yaml") == true)
  }

  @Test(arguments: [
    ("runs: []", "no runs"),
    ("seeds: [\(Array(repeating: "1", count: 10_001).joined(separator: ","))]", "more than 10000 runs"),
  ])
  func anImpossibleNumberOfRunsIsRefused(text: String, message: String) throws {
    let failure = #expect(throws: Failure.self) { try sweep(text) }
    #expect(failure?.code == .usage && failure?.message.contains(message) == true)
  }
}
