import ArrayFiles
import Basics
import Foundation
import FoundationXML
import Report
import Running
import TestSupport
import Testing

/// Pages about runs.
@Suite struct PageTests {
  private let runs = RecordedRuns()

  // MARK: Charts of evaluations

  /// The lines of the chart of success, as the data of their paths.
  private func lines(_ page: XMLDocument) throws -> [String] {
    try page.chart("success over updates").texts(".//path[@class='line']/@d")
  }

  @Test func withoutEvaluationsThereIsNoChartOfThem() throws {
    try runs.write("run", successes: [])
    #expect(try runs.page().nodes(forXPath: "//section[h2='Learning']").isEmpty)
  }

  @Test func aSinglePointIsDrawnAsADot() throws {
    try runs.write("run", successes: ["0.5"])
    let lines = try lines(runs.page())
    #expect(lines.count == 1 && lines[0].hasSuffix("h0"), "\(lines)")
  }

  @Test(arguments: ["nan", "inf", "-inf", "1e31"]) func aPointThatCannotBeDrawnIsAGap(value: String) throws {
    try runs.write("run", successes: ["0.1", "0.2", value, "0.4", "0.5"])
    let lines = try lines(runs.page())
    #expect(
      lines.count == 2 && lines.allSatisfy { $0.hasPrefix("M") && $0.split(separator: "L").count == 2 },
      "\(lines)")
  }

  @Test func aChartWhosePointsCannotBeDrawnHasNoLine() throws {
    try runs.write("run", successes: ["nan", "nan"])
    #expect(try lines(runs.page()).isEmpty)
  }

  @Test(arguments: [["nan"], ["inf", "0.5"], ["-inf", "1e308", "-1e308"]])
  func noCoordinateIsInfinite(successes: [String]) throws {
    try runs.write("run", successes: successes)
    let coordinates = try runs.page().texts("//svg//@*[name() != 'aria-label' and name() != 'class']")
    #expect(!coordinates.contains { $0.contains("nan") || $0.contains("inf") })
  }

  @Test func severalSeedsHaveABand() throws {
    for seed in 0...1 {
      try runs.write("\(seed)", configuration: "env: maze\nseed: \(seed)\n", successes: ["0.\(seed)", "0.5"])
    }
    #expect(
      try runs.page().chart("success over updates").nodes(forXPath: ".//path[@class='band']").count == 1)
  }

  @Test func theMomentFromWhichARunIsOnlineIsMarked() throws {
    try runs.write(
      "run", configuration: "env: maze\nsteps: 200\nonline_steps: 300\n",
      successes: ["0", "0", "0.5", "1", "1"])
    let chart = try runs.page().chart("success over updates")
    #expect(try chart.nodes(forXPath: ".//line[@class='switch']").count == 1)
  }

  @Test func aSingleRunHasNoBand() throws {
    try runs.write("run", successes: ["0.1", "0.5"])
    #expect(try runs.page().chart("success over updates").nodes(forXPath: ".//path[@class='band']").isEmpty)
  }

  @Test func pointsSayTheirValues() throws {
    try runs.write("run", configuration: "agent: fan\n", successes: ["0.25"])
    #expect(try runs.page().chart("success over updates").texts(".//title") == ["fan: 0.250 at 100"])
  }

  @Test func behaviourCloningIsALineAcrossTheChart() throws {
    try runs.write(
      "run", configuration: "env: maze\n",
      evaluation: "step,actor,success\n100,policy,0.5\n100,behaviour,0.3\n200,policy,0.6\n200,behaviour,0.4\n"
    )
    let chart = try runs.page().chart("success over updates")
    let names = try chart.texts(".//g[@class='plot']/g/@data-name")
    #expect(names.contains("behaviour cloning"))
  }

  @Test func valuesByRecordedEpisodesHaveTheirCurve() throws {
    try runs.write("run", successes: [])
    _ = try runs.folder.write(
      "step,actor,value\n100,policy,-3\n200,policy,-2\n200,behaviour,-4\n", to: "run/fqe.csv")
    let page = try runs.page()
    let chart = try page.chart("value by recorded episodes over updates")
    #expect(try chart.texts(".//title") == ["all runs: −3.00 at 100", "all runs: −2.00 at 200"])
    let names = try chart.texts(".//g[@class='plot']/g/@data-name")
    #expect(names.contains("behaviour cloning"))
  }

  // MARK: Charts of figures

  /// The vertical positions of the ends of the chart's y axis in its values.
  private func limits(_ training: String, _ column: String) throws -> [Double] {
    try runs.write("run", configuration: "env: maze\n", training: training)
    let ends = try runs.page().chart("\(column) over updates").texts(".//g[@class='plot']/@data-y")
    return try #require(ends.first).split(separator: " ").prefix(2).compactMap { Double($0) }
  }

  @Test func lossesOverSeveralPowersOfTenAreLogarithmic() throws {
    let limits = try limits("step,loss\n1,1000\n2,10\n3,2\n", "loss")
    #expect(limits == [2, 1000])
  }

  @Test(arguments: ["step,loss\n1,100\n2,10\n3,2\n", "step,loss\n1,1000\n2,10\n3,-2\n"])
  func otherLossesAreLinear(training: String) throws {
    let limits = try limits(training, "loss")
    #expect(limits[0] <= 0)
  }

  @Test func aColumnWithoutNumbersHasNoChart() throws {
    try runs.write("run", configuration: "env: maze\n", training: "step,a,b\n1,,2\n2,nan,3\n")
    let charts = try runs.page().texts("//section[h2='Losses']//svg/@aria-label")
    #expect(charts == ["b over updates"])
  }

  @Test func validationFiguresShareTheChartOfTheirFigure() throws {
    try runs.write("run", configuration: "env: maze\n", training: "step,a,validation/a\n1,1,2\n2,3,4\n")
    let page = try runs.page()
    #expect(try page.texts("//section[h2='Losses']//svg/@aria-label") == ["a over updates"])
    #expect(try page.chart("a over updates").nodes(forXPath: ".//path[@class='line']").count == 2)
  }

  // MARK: Tables

  @Test func theOutcomeIsTheLastEvaluationOfEveryGroup() throws {
    for (seed, success) in [(0, "0.2"), (1, "0.4")] {
      try runs.write("a\(seed)", configuration: "lr: 1\nseed: \(seed)\n", successes: ["0", success])
    }
    try runs.write("b", configuration: "lr: 2\nseed: 0\n", successes: ["0.9"])
    let page = try runs.page()
    let table = "//section[h2='Outcome']//table"
    #expect(try page.texts("\(table)/thead/tr/th") == ["", "seeds", "updates", "success", "updates/s"])
    #expect(
      try page.rows(table) == [
        ["lr 1", "2", "200", "0.300 [0.200, 0.400]", "–"], ["lr 2", "1", "100", "0.900", "–"],
      ])
  }

  @Test func chartsHaveTablesOfTheirNumbers() throws {
    try runs.write("a", configuration: "lr: 1\n", successes: ["0.1", "0.2"])
    try runs.write("b", configuration: "lr: 2\n", successes: ["0.3"])
    let table =
      "//section[h2='Learning']//figure[.//svg[starts-with(@aria-label, 'success over updates')]]//table"
    let page = try runs.page()
    #expect(try page.texts("\(table)/thead/tr/th") == ["updates", "lr 1", "lr 2"])
    #expect(try page.rows(table) == [["100", "0.100", "0.300"], ["200", "0.200", "–"]])
  }

  @Test func settingsThatDifferAreMarked() throws {
    for lr in 1...2 { try runs.write("\(lr)", configuration: "env: maze\nlr: \(lr)\n", successes: ["0"]) }
    #expect(try runs.page().texts("//section[h2='Settings']//mark") == ["1", "2"])
  }

  @Test func settingsOfAllRunsAreListedOnce() throws {
    for lr in 1...2 {
      try runs.write("\(lr)", configuration: "env: maze\nlr: \(lr)\nseed: 4\n", successes: ["0"])
    }
    let page = try runs.page()
    #expect(try page.texts("//section[h2='Settings']//dt") == ["env"])
    #expect(try page.texts("//section[h2='Settings']//dd") == ["maze"])
  }

  @Test func everyRunIsListed() throws {
    try runs.write("run", configuration: "seed: 3\nsteps: 40000\n", successes: ["0.1", "0.25"])
    #expect(
      try runs.page().rows("//section[h2='Runs']//table") == [
        ["run", "3", "200", "40\u{202F}000", "200", "0.250", "–"]
      ])
  }

  // MARK: Which runs

  @Test func runsOfADirectoryAreSortedAsNumbers() throws {
    for name in ["run-10", "run-9", "run-1"] { try runs.write(name, successes: ["0"]) }
    #expect(
      try runs.page().rows("//section[h2='Runs']//table").map { $0[0] } == ["run-1", "run-9", "run-10"])
  }

  @Test func runsThatAreNamedAreInTheOrderOfTheirNaming() throws {
    for name in ["a", "b"] { try runs.write(name, successes: ["0"]) }
    #expect(try runs.page("b", "a").rows("//section[h2='Runs']//table").map { $0[0] } == ["b", "a"])
  }

  @Test func directoriesWithoutRunsAreLeftOut() throws {
    try runs.write("run", successes: ["0"])
    try FileManager.default.createDirectory(
      atPath: runs.folder.file("other"), withIntermediateDirectories: true)
    #expect(try runs.report().runCount == 1)
  }

  @Test func aPathWithoutRunsIsRefused() throws {
    let failure = #expect(throws: Failure.self) { try runs.report() }
    #expect(failure?.code == .noInput && failure?.message.contains("no run here") == true)
  }

  @Test func aPathThatIsNotThereIsRefused() throws {
    let failure = #expect(throws: Failure.self) { try runs.report("nowhere") }
    #expect(failure?.code == .noInput && failure?.message.contains("nowhere: no such directory") == true)
  }

  @Test func theSameRunsGiveTheSamePage() throws {
    for seed in 0...2 {
      try runs.write("\(seed)", configuration: "seed: \(seed)\n", successes: ["0.\(seed)"])
    }
    #expect(try runs.report().html == runs.report().html)
  }

  @Test func aPageThatCannotBeWrittenIsRefused() throws {
    try runs.write("run", successes: ["0"])
    let report = try runs.report()
    let error = #expect(throws: FileError.self) { try report.write(to: runs.folder.file("no/page.html")) }
    #expect(error?.code == .cannotCreate && error?.description.contains("no/page.html") == true)
  }

  // MARK: Notes

  @Test(arguments: [
    ("eval.csv: missing", nil, "step,a\n1,2\n"),
    ("eval.csv: no rows yet", "step,actor,success\n", "step,a\n1,2\n"),
    ("train.csv: 2 damaged line(s) passed over", "step,actor,success\n1,policy,0\n", "step,a\n1,2\nx,1\n5\n"),
  ]) func whatIsMissingOrDamagedIsNoted(note: String, evaluation: String?, training: String) throws {
    try runs.write("run", configuration: "a: b\n", training: training, evaluation: evaluation)
    #expect(try runs.report().notes == ["run: \(note)"])
    #expect(try runs.page().texts("//section[h2='Runs']//li") == ["run: \(note)"])
  }

  @Test func aRunOfCheckpointsAloneIsListed() throws {
    try FileManager.default.createDirectory(
      atPath: runs.folder.file("run/checkpoints"), withIntermediateDirectories: true)
    let missing = ["config.yaml", "train.csv", "eval.csv"]
    #expect(try runs.report().notes == missing.map { "run: \($0): missing" })
    #expect(try runs.page().rows("//section[h2='Runs']//table").map { $0[0] } == ["run"])
  }

  @Test func aSeedThatCountsTwiceIsNoted() throws {
    for (name, seed) in [("a", 0), ("b", 1), ("c", 0)] {
      try runs.write(
        name, configuration: "lr: 1\nseed: \(seed)\n", training: "step\n1\n", evaluation: "step\n1\n")
    }
    let note = "seed 0 of the same settings: a, c; means count each of them"
    #expect(try runs.report().notes == [note])
    #expect(try runs.page().texts("//section[h2='Runs']//li") == [note])
  }

  @Test func aRunWithoutEpisodesMissesNothing() throws {
    try runs.write("run", configuration: "eval_episodes: 0\n", training: "step,a\n1,2\n")
    #expect(try runs.report().notes == [])
  }

  @Test(arguments: ["[1", "- 1\n", "text"]) func aConfigurationThatIsNoMappingIsNoted(configuration: String)
    throws
  {
    try runs.write("run", configuration: configuration, training: "step,a\n1,2\n", evaluation: "step\n1\n")
    #expect(try runs.report().notes == ["run: config.yaml: not a mapping of settings to values"])
  }

  // MARK: Text from files

  private static let attack = "</style><script>alert(1)</script>&\"'"

  /// Each of these places gets hostile text, which must come out as text.
  @Test(arguments: ["directory", "task", "setting", "value", "column", "comment"])
  func hostileTextIsShownAsText(place: String) throws {
    let attack = Self.attack
    func text(_ of: String, _ otherwise: String) -> String { of == place ? attack : otherwise }
    let quoted = { (text: String) in "'" + text.replacing("'", with: "''") + "'" }
    let name = place == "directory" ? "<script>alert(1)&\"'" : "run"
    try runs.write(
      name,
      configuration:
        "# \(text("comment", "data"))\nenv: \(quoted(text("task", "maze")))\n\(quoted(text("setting", "lr"))): \(quoted(text("value", "1")))\n",
      training: "step,\(text("column", "loss"))\n1,2\n2,3\n", evaluation: "step,actor,success\n1,policy,0.5\n"
    )
    let page = try runs.page()
    #expect(try page.nodes(forXPath: "//script").isEmpty && page.nodes(forXPath: "//style").count == 1)
    let shown = place == "directory" ? name : attack
    let texts = try page.texts("//text() | //@aria-label")
    #expect(texts.contains { $0.contains(shown) }, "\(place)")
  }

  @Test(arguments: ["\u{1}", "\u{7F}", "\u{202E}", "\u{2066}"])
  func charactersThatXMLOrReadersDoNotBearAreReplaced(character: String) throws {
    try runs.write(
      "run", configuration: "# a\(character)b\nenv: maze\n", training: "step,x\(character)y\n1,2\n2,3\n")
    let html = try runs.report().html
    #expect(html.unicodeScalars.allSatisfy { String($0) != character } && html.contains("x\u{FFFD}y"))
  }

  @Test func longTextIsCutOff() throws {
    try runs.write(
      "run", configuration: "env: \(String(repeating: "x", count: 100_000))\n", training: "step\n")
    #expect(try runs.report().html.utf8.count < 50_000)
  }

  @Test func aPageRunsAndLoadsNothing() throws {
    try runs.write("run", successes: ["0.5"])
    let page = try runs.page()
    let policy = try page.texts("//meta[@http-equiv='Content-Security-Policy']/@content")
    #expect(policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"])
    #expect(try page.nodes(forXPath: "//@href | //@src | //@*[starts-with(name(), 'on')]").isEmpty)
  }
}
