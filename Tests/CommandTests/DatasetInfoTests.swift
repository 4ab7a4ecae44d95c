import ArrayFiles
import Foundation
import FoundationXML
import TestSupport
import Testing

/// `fan-dist dataset info` as a doctor: what is wrong with a dataset is found, and what is right is not.
@Suite(.serialized) struct DatasetInfoTests {
  private let folder = TemporaryDirectory()
  private var path: String { folder.file("data.npz") }

  /// Data of ten episodes of 20 transitions whose steps have the reward −1, but for the fourth.
  private func fixture() -> DatasetFixture {
    var fixture = DatasetFixture(episodes: 10)
    fixture.rewards = fixture.terminals.indices.map { $0 % 4 == 3 ? 0 : -1 }
    return fixture
  }

  private func info(_ options: String...) throws -> CommandResult {
    try run(built("fan-dist"), ["dataset", "info", path] + options)
  }

  /// What is told of a dataset as suspicious.
  private func warnings(_ change: (inout DatasetFixture) -> Void) throws -> [Substring] {
    var fixture = fixture()
    change(&fixture)
    try fixture.write(to: path)
    let result = try info()
    try #require(result.code == 0 && result.errors == "", "\(result)")
    return warnings(result)
  }

  private func warnings(_ result: CommandResult) -> [Substring] {
    result.output.split(separator: "\n").filter { $0.hasPrefix("warning: ") }.map { $0.dropFirst(9) }
  }

  private func expect(
    _ warnings: [Substring], _ parts: String..., location: SourceLocation = #_sourceLocation
  ) {
    #expect(
      warnings.contains { line in parts.allSatisfy(line.contains) }, "\(warnings)", sourceLocation: location)
  }

  // MARK: What is right

  @Test(arguments: ["pointmaze-u-stitch-singletask-v0", "pointmaze-medium-navigate-singletask-v0"])
  func cleanDataRaiseNoAlarm(task: String) throws {
    let count = task.contains("-u-") ? "300" : "20"
    let generated = try run(
      built("fan-dist"), ["dataset", "generate", task, "--episodes", count, "--out", path])
    try #require(generated.code == 0, "\(generated)")
    let result = try info("--env", task)
    #expect(result.code == 0 && warnings(result).isEmpty, "\(result.output)")
  }

  @Test func columnsEpisodesAndRewardsAreDescribed() throws {
    var fixture = fixture()
    // Ten steps up and ten down, between 0 and 1.
    for row in 0..<210 { fixture.observations[2 * row] = Float(10 - abs(row % 21 - 10)) / 10 }
    for row in 0..<210 { fixture.actions[2 * row] = row % 2 == 0 ? 0.5 : -1 }
    try fixture.write(to: path)
    let output = try info().output
    for line in [
      "dataset: episodes: length 20 to 20, mean 20; return -15 to -15, mean -15",
      "dataset: episodes: 0 end with a mask of 0 (terminal), 10 are cut off (timeout); masks of 0 before the end: 0; transitions that change nothing: 0 %",
      "dataset: rewards: -1 to 0, mean -0.75 ± 0.433; 75 % are the lowest, 25 % the highest",
      "dataset: observations column 0: 0 to 1, mean 0.4762 ± 0.3038; 0 % as in the row before, 9.5 % the lowest and 4.8 % the highest",
      "dataset: actions column 0: -1 to 0.5, mean -0.25 ± 0.75; 0 % as in the row before; 0 above -1, 0.5 below 1, 50 % at these bounds",
    ] { #expect(output.contains(line), "\(line)\n\(output)") }
  }

  // MARK: What is wrong

  @Test func aColumnThatNeverChanges() throws {
    let found = try warnings { for row in 0..<210 { $0.observations[2 * row + 1] = 0.25 } }
    expect(found, "observations column 1 is 0.25 in every row: leave it out")
    #expect(found.count == 2, "\(found)")
  }

  /// Training refuses it, so the command fails, after it has told everything.
  @Test func numbersThatAreNone() throws {
    var fixture = fixture()
    (fixture.observations[2 * 50], fixture.observations[2 * 70]) = (.nan, .infinity)
    try fixture.write(to: path)
    let result = try info()
    expectFailure(result, 65, ["data.npz", "row 50 column 0 is nan"])
    expect(
      warnings(result),
      "observations column 0: 2 number(s) are NaN or infinite, the first in row 50, episode 2: training refuses them; leave these episodes out"
    )
    #expect(result.output.contains("dataset: observations column 1: 0 to "))
  }

  @Test func anEpisodeInAnotherUnit() throws {
    let found = try warnings { fixture in
      for row in 63..<84 { fixture.observations[2 * row + 1] *= 1000 }
    }
    expect(
      found,
      "observations column 1 reaches ±990.1 in episode 3, and stays below 1 in all others: bring it to the same unit"
    )
  }

  @Test func aJumpWithinAnEpisode() throws {
    let found = try warnings { fixture in
      for row in 0..<210 { fixture.observations[2 * row] += (95..<105).contains(row) ? 150 : 100 }
    }
    expect(
      found, "observations column 0 changes by ", " in episode 4, and by less than 1 in all others",
      "end the episode")
  }

  @Test func anEpisodeThatRepeatsAnother() throws {
    let found = try warnings { fixture in
      for index in 0..<42 {
        fixture.observations[42 * 5 + index] = fixture.observations[42 * 2 + index]
        fixture.actions[42 * 5 + index] = fixture.actions[42 * 2 + index]
      }
    }
    expect(
      found,
      "1 episode(s) repeat an earlier one, first episode 5, which is episode 2 again: leave the copies out")
  }

  @Test func masksThatAreAllOne() throws {
    expect(try warnings { _ in }, "every mask is 1", "Set masks to 0 where it ends")
  }

  @Test func episodesOfOneRow() throws {
    let found = try warnings { ($0.terminals[21], $0.terminals[22]) = (1, 1) }
    expect(
      found, "episodes of one row, which give no transition: 2; look whether terminals end episodes too early"
    )
  }

  @Test func actionsThatWereCutOff() throws {
    let found = try warnings { $0.actions = $0.actions.map { $0 < 0 ? -1 : 1 } }
    expect(
      found, "100 % of the action components lie at ±1 and were clipped", "Scale them by their true bounds")
  }

  @Test func aColumnOfActionsThatIsNotScaled() throws {
    let found = try warnings { for row in 0..<210 { $0.actions[2 * row] *= 0.01 } }
    expect(found, "actions column 0 stays within ±0.009", "scale it")
  }

  @Test func observationsThatStandStill() throws {
    let found = try warnings { fixture in
      for row in 0..<210 { fixture.observations[2 * row] = Float(row / 3) }
      for row in 0..<210 { fixture.observations[2 * row + 1] = Float(row / 6) }
    }
    expect(found, "of the transitions lead to the observation that they come from", "sensor that stood still")
  }

  @Test func imagesOfOneColour() throws {
    let writer = try NpzWriter(path: path)
    let images = (0..<8 * 48).map { (index: Int) -> UInt8 in index / 48 == 5 ? 7 : UInt8(index * 7 % 251) }
    try writer.add("observations", images, shape: [8, 4, 4, 3])
    let numbers = (0..<8).map { Float($0 % 2) }
    try writer.add("actions", numbers, shape: [8, 1])
    for name in ["rewards", "masks"] { try writer.add(name, numbers, shape: [8]) }
    let ends = (0..<8).map { (row: Int) -> Bool in row % 4 == 3 }
    try writer.add("terminals", ends, shape: [8])
    try writer.finish()
    let result = try info("--html", folder.file("page.html"))
    expect(warnings(result), "1 image(s) have one colour only, the first in row 5, episode 1", "camera")
    #expect(result.output.contains("dataset: observations channel 2: "), "\(result)")
    #expect(result.output.contains("images of 4 × 4 pixels (height × width), 3 channels"), "\(result)")
    _ = try checkedPage(folder.file("page.html"))
  }

  /// A dataset directory, whose rows come from its files.
  @Test func dataThatWereImported() throws {
    var fixture = fixture()
    for row in 63..<84 { fixture.observations[2 * row + 1] *= 1000 }
    let file = try fixture.write(to: folder.file("file.npz"))
    let imported = try run(built("fan-dist"), ["dataset", "import", file, "--out", path])
    try #require(imported.code == 0, "\(imported)")
    let result = try info("--verify")
    #expect(result.code == 0 && result.output.contains("every byte is as it was imported"), "\(result)")
    expect(warnings(result), "observations column 1 reaches ±990.1 in episode 3")
  }

  // MARK: Many columns, and the page

  /// Data of 400 columns, of which the last 20 never change.
  private func wide() throws {
    let writer = try NpzWriter(path: path)
    let values = (0..<84 * 400).map { (index: Int) -> Float in
      index % 400 < 380 ? Float(index * 37 % 10_007) / 10_007 : 1
    }
    try writer.add("observations", values, shape: [84, 400])
    let numbers = (0..<84).map { Float($0 % 2) }
    try writer.add("actions", numbers, shape: [84, 1])
    for name in ["rewards", "masks"] { try writer.add(name, numbers, shape: [84]) }
    let ends = (0..<84).map { (row: Int) -> Bool in row % 21 == 20 }
    try writer.add("terminals", ends, shape: [84])
    try writer.finish()
  }

  @Test func fourHundredColumnsStayReadable() throws {
    try wide()
    let brief = try info()
    let lines = brief.output.split(separator: "\n")
    #expect(brief.code == 0 && lines.count < 30, "\(brief.output)")
    #expect(
      brief.output.contains("warning: 15 more column(s) never change: --all-columns"), "\(brief.output)")
    #expect(brief.output.contains("dataset: observations: 400 columns, 0 to 1;"), "\(brief.output)")
    #expect(brief.output.contains("dataset: observations column 380: 1 to 1"), "\(brief.output)")
    let all = try info("--all-columns").output.split(separator: "\n")
    #expect(all.count { $0.hasPrefix("dataset: observations column ") } == 400)
    #expect(all.count { $0.hasPrefix("warning: ") } == 20)
  }

  @Test func thePageShowsWhatTheTerminalTells() throws {
    let name = "a<b>&\"c\".npz"
    var fixture = fixture()
    for row in 63..<84 { fixture.observations[2 * row + 1] *= 1000 }
    let file = try fixture.write(to: folder.file(name))
    let page = folder.file("page.html")
    let result = try run(built("fan-dist"), ["dataset", "info", file, "--html", page])
    #expect(result.code == 0 && result.output.contains("page.html: the page"), "\(result)")
    let document = try checkedPage(page)
    #expect(try document.nodes(forXPath: "//h1").first?.stringValue == name)
    let notes = try document.nodes(forXPath: "//ul[@class='notes']/li").compactMap(\.stringValue)
    #expect(notes == warnings(result).map(String.init))
    // Each column has a histogram and a line over the episodes; so have lengths, returns and rewards.
    #expect(try document.nodes(forXPath: "//svg[starts-with(@aria-label, 'distribution of')]").count == 7)
    #expect(try document.nodes(forXPath: "//svg[contains(@aria-label, 'over the episodes')]").count == 7)
    #expect(try document.nodes(forXPath: "//tbody//mark").first?.stringValue == "observations column 1")
  }

  @Test func thePageOfWideDataHasEveryColumnInItsTable() throws {
    try wide()
    let page = folder.file("page.html")
    #expect(try info("--html", page).code == 0)
    let document = try checkedPage(page)
    #expect(try document.nodes(forXPath: "//tbody/tr").count == 402)
  }

  @Test func aPageThatCannotBeWritten() throws {
    try fixture().write(to: path)
    expectFailure(try info("--html", folder.file("nowhere/page.html")), 73, ["nowhere/page.html"])
    expectFailure(try info("--html", ""), 64, ["--html is empty"])
    // Nor does it replace the data.
    let before = FileManager.default.contents(atPath: path)
    expectFailure(try info("--html", path), 64, ["--html must end in .html"])
    #expect(FileManager.default.contents(atPath: path) == before)
  }
}
