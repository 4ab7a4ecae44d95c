import TestSupport
import Testing

/// The same numbers on any number of ranks.
@Suite(.serialized, .enabled(if: hasMPIRun, "\(noMPIRun)"))
struct RanksTests {
  @Test func figuresDoNotDependOnTheNumberOfRanks() throws {
    let runs = Runs()
    try runs.complete("one", "--steps", "100")
    let one = try runs.table("one")
    for (ranks, shared) in [(1, 0), (2, 0), (3, 0), (4, 0), (8, 0), (2, 1), (4, 2), (3, 2), (4, 3)] {
      let name = "\(ranks)-\(shared)"
      let options = shared > 0 ? ["--ranks-per-node", "\(shared)"] : []
      let result = try run(ranks: ranks, runs.command(name, ["--steps", "100"] + options))
      try #require(result.code == 0 && result.errorLines == [], "\(result)")
      let other = try runs.table(name)
      #expect(other.columns == one.columns && other.steps == Array(1...100))
      for column in one.columns where !column.hasPrefix("time/") {
        let (a, b) = (try one.numbers(column), try other.numbers(column))
        #expect(
          abs(a[0] - b[0]) <= 1e-5 * max(abs(a[0]), 1e-2), "\(ranks) ranks, \(column): \(a[0]), \(b[0])")
        // Values that cross zero are measured by the size of the others.
        let scale = a.map(abs).max()!
        let worst = zip(a, b).map { abs($0 - $1) / max(abs($0), 1e-3 * scale, 1e-12) }.max()!
        #expect(worst <= 1e-3, "\(ranks) ranks, \(column)")
      }
    }
  }

  /// A validation set with fewer transitions than parts is divided otherwise than the training data.
  @Test func aSmallValidationSetOnSeveralRanks() throws {
    let runs = Runs()
    let path = try DatasetFixture(episodes: 10).write(to: runs.folder.file("data.npz"))
    var tiny = DatasetFixture(episodes: 1)
    tiny.observations = Array(tiny.observations.suffix(22))
    tiny.actions = Array(tiny.actions.suffix(22))
    tiny.terminals = Array(tiny.terminals.suffix(11))
    try tiny.write(to: runs.folder.file("data-val.npz"))
    try runs.complete("one", "--steps", "5", "--dataset", path)
    try runs.complete("four", ranks: 4, "--steps", "5", "--dataset", path)
    let column = "validation/critic/critic_loss"
    let (a, b) = (try runs.table("one").numbers(column), try runs.table("four").numbers(column))
    for (x, y) in zip(a, b) { #expect(abs(x - y) <= 1e-4 * abs(x)) }
    #expect(a.count == 5 && b.count == 5)
  }

  /// Training goes on without validation, and says so.
  @Test func fewerValidationTransitionsThanRanks() throws {
    let runs = Runs()
    let path = try DatasetFixture(episodes: 10).write(to: runs.folder.file("data.npz"))
    var tiny = DatasetFixture(episodes: 1)
    tiny.observations = Array(tiny.observations.suffix(6))
    tiny.actions = Array(tiny.actions.suffix(6))
    tiny.terminals = Array(tiny.terminals.suffix(3))
    try tiny.write(to: runs.folder.file("data-val.npz"))
    let result = try runs.complete("run", ranks: 3, "--steps", "5", "--dataset", path)
    #expect(result.output.contains("warning: the validation data are left out: 2 transition(s)"), "\(result)")
    // With fewer ranks the same run has them again.
    let fewer = try runs.complete("run", ranks: 2, "--steps", "10", "--dataset", path, "--resume", "auto")
    #expect(!fewer.output.contains("left out"), "\(fewer)")
    let table = try runs.table("run")
    let column = try #require(table.columns.firstIndex(of: "validation/critic/critic_loss"))
    #expect(table.rows.map { $0[column].isEmpty } == (1...10).map { $0 <= 5 })
  }

  @Test func moreRanksThanPartsOfTheData() throws {
    let result = try Runs().train("run", ranks: 3, "--steps", "5", "--virtual-shards", "2")
    expectFailure(result, 64, ["3 ranks", "2 virtual shards"])
  }

  @Test func ranksWithDifferentSettings() throws {
    let runs = Runs()
    let result = try run(
      mpirun,
      mpirunArguments([
        (1, runs.command("run", ["--steps", "5", "--seed", "0"])),
        (1, runs.command("run", ["--steps", "5", "--seed", "1"])),
      ]))
    expectFailure(result, 78, ["rank 1", "configuration"])
  }
}
