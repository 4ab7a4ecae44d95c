import Foundation
import FoundationXML
import TestSupport
import Testing

/// `fan-dist report`, on the files of runs that the tests write.
@Suite(.serialized) struct ReportTests {
  private let folder = TemporaryDirectory()

  /// Writes the files of a run.
  private func write(_ name: String, configuration: String, training: String = "", evaluation: String = "")
    throws
  {
    try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
    for (file, text) in [("config.yaml", configuration), ("train.csv", training), ("eval.csv", evaluation)] {
      _ = try folder.write(text, to: "\(name)/\(file)")
    }
  }

  /// The text of eval.csv with the given successes, every 100 updates.
  private func evaluation(_ successes: [Double]) -> String {
    "step,actor,episodes,success,return,return_standard_error,length\n"
      + successes.enumerated().map { "\(100 * ($0 + 1)),policy,10,\($1),\(10 * $1),0.5,20\n" }.joined()
  }

  /// The text of train.csv with the given losses, every 50 updates at 200 updates a second.
  private func training(_ losses: [Double]) -> String {
    "step,critic/critic_loss,critic/q_mean,critic/q_max,critic/q_min,validation/critic/critic_loss,time/updates_per_second,time/communication_share\n"
      + losses.enumerated().map { "\(50 * ($0 + 1)),\($1),-3,-1,-5,\($1 + 1),200,0.25\n" }.joined()
  }

  private func report(_ names: String...) throws -> CommandResult {
    try run(
      built("fan-dist"), ["report", "--out", folder.file("page.html")] + names.map { folder.file($0) })
  }

  private func page() throws -> XMLDocument { try checkedPage(folder.file("page.html")) }

  /// The first chart whose description starts with `description`.
  private func chart(_ description: String) throws -> XMLElement {
    let charts = try page().nodes(forXPath: "//svg[starts-with(@aria-label, '\(description)')]")
    return try #require(charts.first as? XMLElement, "\(description)")
  }

  /// The points of a line or of the outline of a band, in the units of the axes.
  private func values(_ chart: XMLElement, _ path: String) throws -> [(x: Double, y: Double)] {
    let lines = try chart.nodes(forXPath: ".//g[@class='plot']" + path).compactMap(\.stringValue)
    return try lines.flatMap { line in
      try line.split(whereSeparator: "MLZ".contains).map { pair in
        try valuesAt(chart, pair.split(separator: " ").compactMap { Double($0) })
      }
    }
  }

  /// The values on the axes at a point of a chart.
  private func valuesAt(_ chart: XMLElement, _ place: [Double]) throws -> (x: Double, y: Double) {
    let plot = try #require(try chart.nodes(forXPath: ".//g[@class='plot']").first as? XMLElement)
    func value(_ name: String, _ position: Double) throws -> Double {
      let ends = try #require(plot.attribute(forName: name)?.stringValue).split(separator: " ").compactMap {
        Double($0)
      }
      try #require(ends.count == 4)
      return ends[0] + (position - ends[2]) / (ends[3] - ends[2]) * (ends[1] - ends[0])
    }
    try #require(place.count == 2)
    return (try value("data-x", place[0]), try value("data-y", place[1]))
  }

  private func expect(
    _ points: [(x: Double, y: Double)], _ expected: [(Double, Double)],
    location: SourceLocation = #_sourceLocation
  ) {
    #expect(points.count == expected.count, "\(points)", sourceLocation: location)
    for (point, value) in zip(points, expected) {
      #expect(
        abs(point.x - value.0) < 2 && abs(point.y - value.1) < 0.005, "\(point), \(value)",
        sourceLocation: location)
    }
  }

  // MARK: Charts

  /// Writes runs of two settings with two seeds each. One run has made less progress than the others.
  private func sweep() throws {
    for (alpha, seed, successes) in [
      (1, 0, [0, 0.5, 1]), (1, 1, [0, 0.1, 0.8]), (3, 0, [0, 0, 0.2]), (3, 1, [0.2, 0.4]),
    ] {
      try write(
        "sweep/alpha1=\(alpha),seed=\(seed)",
        configuration: "# data of 7 rows\nenv: maze\nsteps: 300\nseed: \(seed)\nalpha1: \(alpha)\n",
        training: training([4, 3, 2, 1, 0.5, 0.25]), evaluation: evaluation(successes))
    }
  }

  @Test func curvesAreMeansOverSeedsWithTheirIntervals() throws {
    try sweep()
    let result = try report("sweep")
    #expect(result.code == 0 && result.errors == "" && result.output.contains("4 run(s)"), "\(result)")
    let chart = try chart("success over updates")
    expect(try values(chart, "/g[@data-name='alpha1 1']/path/@d"), [(100, 0), (200, 0.3), (300, 0.9)])
    // The band of two values goes from one to the other: drawing the same value twice is not rare.
    let band = try values(chart, "/g[1]/path[@class='band']/@d")
    expect(band, [(100, 0), (200, 0.5), (300, 1), (300, 0.8), (200, 0.1), (100, 0)])
    // The line is dotted where only one of the two runs has an evaluation.
    expect(try values(chart, "/g[@data-name='alpha1 3' and @class='s1']/path/@d"), [(100, 0.1), (200, 0.2)])
    expect(
      try values(chart, "/g[@data-name='alpha1 3' and @class='s1 dashed']/path/@d"), [(200, 0.2), (300, 0.2)])
    let names = try chart.nodes(forXPath: ".//text[@class='name']").compactMap(\.stringValue)
    #expect(names.sorted() == ["alpha1 1", "alpha1 3"])
  }

  @Test func theSameRunsGiveTheSamePage() throws {
    try sweep()
    let pages = try (0..<2).map { _ in
      try #require(try report("sweep").code == 0)
      return FileManager.default.contents(atPath: folder.file("page.html"))
    }
    #expect(pages[0] == pages[1])
  }

  @Test func timesAreIntegratedFromUpdateRates() throws {
    try sweep()
    #expect(try report("sweep").code == 0)
    let chart = try chart("success over training time")
    let seconds = try values(chart, "/g[@data-name='alpha1 1']/path/@d").map(\.x)
    for (second, expected) in zip(seconds, [0.5, 1, 1.5]) { #expect(abs(second - expected) < 0.01) }
    let bars = try self.chart("time of an update").nodes(forXPath: ".//g[@data-name='alpha1 1']/rect/@width")
    let widths = bars.compactMap { $0.stringValue.flatMap { Double($0) } }
    #expect(widths.count == 2 && abs(widths[1] / (widths[0] + widths[1]) - 0.25) < 0.001, "\(widths)")
  }

  @Test func agentsAreComparedByCostAndSuccess() throws {
    for (agent, rate, success) in [("codac", 100, 0.5), ("fan", 200, 0.75)] {
      for seed in 0...1 {
        try write(
          "agents/\(agent)-\(seed)", configuration: "env: maze\nagent: \(agent)\nseed: \(seed)\n",
          training: training([2, 1]).replacing(",200,", with: ",\(rate),"),
          evaluation: evaluation([0, success]))
      }
    }
    #expect(try report("agents").code == 0)
    let chart = try chart("success of the last evaluation against milliseconds an update")
    for (agent, milliseconds, success) in [("fan", 5.0, 0.75), ("codac", 10, 0.5)] {
      let place = try chart.nodes(
        forXPath: ".//g[@data-name='\(agent)']/circle/@*[name() = 'cx' or name() = 'cy']")
      let point = try valuesAt(chart, place.compactMap { $0.stringValue.flatMap { Double($0) } })
      #expect(abs(point.x - milliseconds) < 0.05 && abs(point.y - success) < 0.005, "\(point)")
    }
    #expect(
      try chart.nodes(forXPath: ".//text[@class='name']").compactMap(\.stringValue) == ["codac", "fan"])
    // Times are relative to FAN's, although FAN is not the first agent.
    let bars = try self.chart("time of an update relative to fan")
    #expect(
      try bars.nodes(forXPath: ".//text[@class='value']").compactMap(\.stringValue) == [
        "2.00 × (10.0 ms)", "1.00 × (5.00 ms)",
      ])
    let widths = try bars.nodes(forXPath: ".//rect/@width").compactMap {
      $0.stringValue.flatMap { Double($0) }
    }
    #expect(widths.count == 2 && abs(widths[0] / widths[1] - 2) < 0.001, "\(widths)")
  }

  @Test func eachLossHasAChartWithItsValidationLoss() throws {
    try sweep()
    #expect(try report("sweep").code == 0)
    let chart = try chart("critic/critic_loss over updates")
    let lines = try values(chart, "/g[@data-name='alpha1 1']/path/@d")
    expect(
      lines,
      [5, 4, 3, 2, 1.5, 1.25, 4, 3, 2, 1, 0.5, 0.25].enumerated().map { (Double(50 * ($0 % 6 + 1)), $1) })
    #expect(try page().nodes(forXPath: "//svg[starts-with(@aria-label, 'validation')]").isEmpty)
  }

  @Test func differingSettingsAreMarked() throws {
    try sweep()
    #expect(try report("sweep").code == 0)
    let page = try page()
    #expect(try page.nodes(forXPath: "//mark").compactMap(\.stringValue) == ["1", "3"])
    #expect(try page.nodes(forXPath: "//dl/div").compactMap(\.stringValue) == ["envmaze", "steps300"])
    #expect(try page.nodes(forXPath: "//li").compactMap(\.stringValue).contains("data of 7 rows"))
    // A table holds the numbers of the curves.
    let table = try page.nodes(forXPath: "//figure[1]//tr[th='200']/td").compactMap(\.stringValue)
    #expect(table.prefix(2) == ["0.300 [0.100, 0.500]", "0.200 [0.000, 0.400]"])
  }

  // MARK: Policies in the embedded mazes

  /// Writes three runs of a setting with the same policy, trained for 20 updates. The last success of
  /// "second" is in the middle.
  private func mazeRuns() throws {
    let runs = Runs()
    try runs.complete("run", "--steps", "20")
    for (seed, name, success) in [(0, "first", 0.9), (1, "second", 0.5), (2, "third", 0.1)] {
      try write(
        "mazes/\(name)", configuration: "env: pointmaze-u-stitch-singletask-v0\nagent: fan\nseed: \(seed)\n",
        training: training([2, 1]), evaluation: evaluation([0, success]))
      try FileManager.default.createDirectory(
        atPath: folder.file("mazes/\(name)/checkpoints"), withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        atPath: runs.folder.file("run/checkpoints/best.safetensors"), toPath: best(name))
    }
  }

  private func best(_ name: String) -> String {
    folder.file("mazes/\(name)/checkpoints/best.safetensors")
  }

  @Test func theBestPolicyIsDrawnInItsMaze() throws {
    try mazeRuns()
    let result = try report("mazes")
    #expect(result.code == 0 && !result.output.contains("note:"), "\(result)")
    let map = try chart("ways of fan through the maze")
    #expect(try map.nodes(forXPath: "./path[starts-with(@class, 'way')]").count == 16)
    #expect(try map.nodes(forXPath: "./text").compactMap(\.stringValue) == ["start", "goal"])
    // As many episodes reach the goal as in `fan-dist evaluate`.
    let evaluated = try run(built("fan-dist"), ["evaluate", best("second"), "--episodes", "16"])
    let success = try #require(
      evaluated.output.split(separator: "success ").last?.prefix { $0 != " " }, "\(evaluated)")
    let arrived = Int(16 * (try #require(Double(success))))
    #expect(try map.nodes(forXPath: "./path[starts-with(@class, 'way lost')]").count == 16 - arrived)
    let captions = try page().nodes(forXPath: "//figcaption").compactMap(\.stringValue)
    #expect(captions.contains("fan: run second, update 20, \(arrived) of 16 reach the goal"), "\(captions)")
    // The chart has the returns that the critics expect and the actual one: 60 steps without the goal, with
    // discount 0.97.
    let chart = try chart("returns that the critics expect at the start")
    #expect(try !chart.nodes(forXPath: ".//g[@data-name='fan']/rect[@class='bar']").isEmpty)
    let marks = try chart.nodes(forXPath: ".//text[@class='place']").compactMap(\.stringValue)
    #expect(marks.count == 2 && marks[0].hasPrefix("Z ") && marks[1] == "actual −28.0", "\(marks)")
  }

  @Test func aPolicyThatCannotBeReadIsNoted() throws {
    try mazeRuns()
    let damages: [(String, (Data) -> Data?)] = [
      ("missing", { _ in nil }), ("cut off", { $0.prefix($0.count / 2) }),
      ("not a checkpoint", { _ in Data("{}".utf8) }),
    ]
    let whole = try #require(FileManager.default.contents(atPath: best("second")))
    for (damage, change) in damages {
      try FileManager.default.removeItem(atPath: best("second"))
      if let data = change(whole) { try data.write(to: URL(fileURLWithPath: best("second"))) }
      let result = try report("mazes")
      #expect(result.code == 0 && result.errors == "", "\(damage): \(result)")
      #expect(result.output.contains("note: second: no best policy to draw: "), "\(damage): \(result)")
      let page = try page()
      let notes = try page.nodes(forXPath: "//section[h2='Policies']/ul/li").compactMap(\.stringValue)
      #expect(notes.count == 1 && notes[0].contains("best.safetensors"), "\(damage): \(notes)")
      #expect(try page.nodes(forXPath: "//section[h2='Policies']//svg").isEmpty, "\(damage)")
      try whole.write(to: URL(fileURLWithPath: best("second")))
    }
  }

  @Test func aPolicyOfAnotherTaskIsNoted() throws {
    try mazeRuns()
    try edit(folder.file("mazes/second/config.yaml")) {
      $0 = Data(String(decoding: $0, as: UTF8.self).replacing("u-stitch", with: "medium-stitch").utf8)
    }
    let result = try report("mazes/second")
    #expect(result.code == 0, "\(result)")
    #expect(result.output.contains("was not trained for pointmaze-medium-stitch-singletask-v0"), "\(result)")
  }

  // MARK: Untrusted and damaged files

  @Test func hostileTextIsShownAsText() throws {
    let attack = "</style><script>alert(1)</script><img src=x onerror=alert(1)>\u{202E}&\"'"
    for seed in 0...1 {
      try write(
        "<b>\(seed)",
        configuration: "# \(attack)\nenv: >-\n  \(attack)\n\"\(seed)<i>\": 1\nseed: \(attack)\n",
        training: "step,<u>x\",critic/<s>\u{1}_mean\n1,2,3\n2,3,4\n",
        evaluation: "step,actor,success,<i>\n1,policy,0.5,</table>\n")
    }
    let result = try report("<b>0", "<b>1")
    #expect(result.code == 0 && result.errors == "", "\(result)")
    let page = try page()
    for name in ["b", "i", "u", "s"] { #expect(try page.nodes(forXPath: "//\(name)").isEmpty) }
    let heading = try #require(try page.nodes(forXPath: "//h1").first?.stringValue)
    #expect(heading.hasPrefix("</style><script>alert(1)") && heading.hasSuffix("&\"'"), "\(heading)")
    #expect(!heading.contains("\u{202E}"))
    #expect(try chart("<u>x\" over updates").stringValue != nil)
  }

  @Test(arguments: [
    ("", "", ""), ("env: maze\n", "step", "step,actor"), ("[1", "\n\n\n", "\u{0}\u{1}\n"),
    (
      "env: {a: b}\n", "step,a\n1,nan\n2,inf\n3,-inf\nx,1\n4\n5,1e308\n6,-1e308\n7,1",
      "step,actor,success\n1,policy,\n"
    ),
    ("seed: x\nsteps: -1\n", "a,b\n1e300,1\n-5,2\n0,0\n", "success\n1\n"),
    (
      "env: maze\nenv: maze\n", "step,time/updates_per_second,time/x_share\n1,0,7\n2,-1,-3\n3,1e-300,nan\n",
      "step,actor,success\n3,policy,0.5\n2,policy,0.1\n3,policy,0.7\n"
    ),
  ]) func unfinishedAndDamagedRunsGiveAPage(configuration: String, training: String, evaluation: String)
    throws
  {
    try write("bad", configuration: configuration, training: training, evaluation: evaluation)
    let result = try report("bad")
    #expect(result.code == 0 && result.errors == "", "\(result)")
    let page = try page()
    #expect(try page.nodes(forXPath: "//h1").count == 1)
    #expect(!page.xmlString.contains("nan") && !page.xmlString.contains("inf\""))
  }

  @Test func missingAndDamagedFilesAreNoted() throws {
    try FileManager.default.createDirectory(atPath: folder.file("run"), withIntermediateDirectories: true)
    _ = try folder.write("step,a\n1,2\n2,oops\n3,3,3\n4,", to: "run/train.csv")
    let result = try report("run")
    #expect(result.code == 0, "\(result)")
    for note in ["config.yaml: missing", "eval.csv: missing", "train.csv: 1 damaged line(s) passed over"] {
      #expect(result.output.contains("note: run: \(note)\n"), "\(result.output)")
      #expect(try page().nodes(forXPath: "//li").compactMap(\.stringValue).contains("run: \(note)"))
    }
  }

  /// Updates that no number of the program can hold, or that no run does, in each of its tables.
  @Test(arguments: ["9223372036854775807", "99999999999999999999", "9.3e18", "0x1p70", "-1", "1.5"])
  func rowsOfImpossibleUpdatesAreNoted(step: String) throws {
    try write(
      "run", configuration: "env: maze\n", training: training([2]) + "\(step),1,-3,-1,-5,2,200,0.25\n",
      evaluation: evaluation([0.5]) + "\(step),policy,10,0.5,5,0.5,20\n")
    _ = try folder.write("step,actor,value\n50,policy,-3\n\(step),policy,-3\n", to: "run/fqe.csv")
    let result = try report("run")
    #expect(result.code == 0 && result.errors == "", "\(result)")
    for file in ["train.csv", "eval.csv", "fqe.csv"] {
      #expect(result.output.contains("note: run: \(file): 1 damaged line(s) passed over\n"), "\(result)")
    }
    #expect(try page().nodes(forXPath: "//h1").count == 1)
  }

  /// By the name of one of the run's own files, the page would replace it.
  @Test(arguments: ["run/train.csv", "run/config.yaml", "page", "page.html.txt"])
  func aPageByAnotherNameIsRefused(name: String) throws {
    try write("run", configuration: "env: maze\n", training: training([2]), evaluation: evaluation([0.5]))
    let before = FileManager.default.contents(atPath: folder.file(name))
    let result = try run(
      built("fan-dist"), ["report", folder.file("run"), "--out", folder.file(name)])
    expectFailure(result, 64, ["--out must end in .html"])
    #expect(FileManager.default.contents(atPath: folder.file(name)) == before)
  }

  /// It would count as two seeds.
  @Test func aRunThatIsNamedTwiceIsOneRun() throws {
    try write("all/run", configuration: "env: maze\n", training: training([2]), evaluation: evaluation([0.5]))
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("link"), withDestinationPath: folder.file("all/run"))
    let result = try report("all", "all/run", "all/run/", "link")
    #expect(result.code == 0 && result.output.hasSuffix("page.html: 1 run(s)\n"), "\(result)")
  }

  /// As an editor on another system leaves them, and where a link leads.
  @Test func otherEndsOfLinesAndLinks() throws {
    try write("run", configuration: "env: maze\r\nseed: 3\r\n")
    for (file, text) in [("train.csv", training([2, 1])), ("eval.csv", evaluation([0.5]))] {
      _ = try folder.write(text.replacing("\n", with: "\r\n"), to: file)
      try FileManager.default.removeItem(atPath: folder.file("run/\(file)"))
      try FileManager.default.createSymbolicLink(
        atPath: folder.file("run/\(file)"), withDestinationPath: "../\(file)")
    }
    let result = try report("run")
    #expect(result.code == 0 && !result.output.contains("note: "), "\(result)")
  }

  @Test func pathsWithoutRunsAreRefused() throws {
    try FileManager.default.createDirectory(
      atPath: folder.file("empty/nested"), withIntermediateDirectories: true)
    expectFailure(try report("empty"), 66, ["empty: no run here"])
    expectFailure(try report("nowhere"), 66, ["nowhere: no such directory"])
    try sweep()
    let result = try run(
      built("fan-dist"), ["report", folder.file("sweep"), "--out", folder.file("no/page.html")])
    expectFailure(result, 73, ["page.html"])
  }
}
