import Foundation
import FoundationXML
import Report
import TestSupport
import Testing

/// Pages that show what papers report.
@Suite struct PublishedTests {
  private let runs = RecordedRuns()

  /// Writes a finished run of FAN with published settings, unless `settings` changes them.
  private func write(
    _ name: String, _ task: String, settings: String = "", _ figures: [Double], column: String = "success"
  ) throws {
    let rows = figures.enumerated().map { "\(100_000 * ($0 + 1)),policy,done,\($1)\n" }
    try runs.write(
      name,
      configuration:
        "agent: fan\nenv: \(task)\nsteps: \(100_000 * figures.count)\neval_interval: 100000\n" + settings,
      evaluation: "step,actor,status,\(column)\n" + rows.joined())
  }

  /// The rows of the only table, cell by cell.
  private func rows() throws -> [[String]] {
    let report = try Report(paths: [runs.folder.path], showsPublished: true)
    let page = try XMLDocument(data: Data(report.html.utf8))
    return try page.rows("//section[h2='Beside published figures']//table")
  }

  private static let ten = [0, 0, 0, 0, 0, 0, 0, 0.2, 0.3, 0.4]

  @Test func theLastThreeEvaluationsCountInOGBench() throws {
    try write("run", "cube-double-play-singletask-task1-v0", Self.ten)
    let row = try #require(try rows().first)
    #expect(row == ["FAN", "30.0", "1 of 5", "1", "46 ± 11", "–", "nothing"])
  }

  /// OGBench's figures are success, whatever a run's own scores are.
  @Test func successCountsInOGBench() throws {
    try runs.write(
      "run", configuration: "agent: fan\nenv: cube-double-play-singletask-task1-v0\n",
      evaluation: "step,actor,status,success,normalised_score\n100000,policy,done,0.3,65\n")
    #expect(try rows().first?[1] == "30.0")
  }

  /// An update counts once, as it was evaluated last, and not the end that a run had before it was made longer.
  @Test func eachIntervalCountsOnce() throws {
    let figures = [(100, 0.1), (200, 0.2), (250, 0.9), (300, 0.3), (400, 0.9), (400, 0.4)]
    try runs.write(
      "run",
      configuration:
        "agent: fan\nenv: cube-double-play-singletask-task1-v0\nsteps: 400\neval_interval: 100\n",
      evaluation: "step,actor,status,success\n"
        + figures.map { "\($0),policy,done,\($1)\n" }.joined())
    #expect(try rows().first?[1] == "30.0")
  }

  @Test func theLastEvaluationCountsInD4RL() throws {
    try write("run", "minari:D4RL/door/human-v2", [1, 2, 3, 4, 5], column: "normalised_score")
    let row = try #require(try rows().first)
    #expect(row.prefix(5) == ["FAN", "5.0", "1 of 12", "1", "53 ± 4"])
    #expect(row.last?.contains("Minari's data and environment, not D4RL's") == true)
  }

  /// The name without a task's number is the default task's.
  @Test func seedsAndTasksAreCounted() throws {
    for (seed, success) in [0.2, 0.4].enumerated() {
      let figures = [Double](repeating: success, count: 10)
      try write("2-\(seed)", "cube-double-play-singletask-v0", settings: "seed: \(seed)\n", figures)
    }
    try write("2-2", "cube-double-play-singletask-task2-v0", settings: "seed: 2\n", Self.ten)
    try write("5", "ogbench:cube-double-play-singletask-task5-v0", [Double](repeating: 1, count: 10))
    let row = try #require(try rows().first)
    #expect(row[1].hasPrefix("65.0 [") && row[2] == "2 of 5" && row[3] == "1 to 3", "\(row)")
  }

  @Test func whatDiffersIsSaidAndApart() throws {
    try write("a", "scene-play-singletask-v0", settings: "alpha1: 100.0\nalpha2: 3.0\n", Self.ten)
    try write("b", "scene-play-singletask-v0", settings: "alpha1: 7.0\n", Self.ten)
    let remarks = try rows().filter { $0[0] == "FAN" }.compactMap(\.last)
    #expect(remarks == ["nothing", "alpha1 7.0, published 100.0"])
  }

  @Test func unfinishedRunsAreCounted() throws {
    try write("a", "scene-play-singletask-v0", settings: "", [0.1, 0.2])
    try runs.write(
      "a", configuration: "agent: fan\nenv: scene-play-singletask-v0\nsteps: 1000000\n",
      evaluation: "step,actor,status,success\n100000,policy,done,0.1\n200000,policy,done,0.2\n")
    let row = try #require(try rows().first)
    #expect(row[1] == "15.0")
    #expect(row.last == "1 of 1 runs not finished; 1 with fewer evaluations than 3")
  }

  @Test func methodsThatWereNotRunHaveTheirFigures() throws {
    try write("run", "puzzle-3x3-play-singletask-v0", Self.ten)
    let rows = try rows()
    #expect(rows.contains(["IDQL", "–", "–", "–", "19", "–", "–"]))
    #expect(rows.contains(["FQL", "–", "–", "–", "30 ± 4", "30", "–"]))
    // Papers do not report it.
    #expect(!rows.contains { $0[0] == "FAQL" })
  }

  @Test func withoutPublishedTasksThePageSaysSo() throws {
    try write("run", "pointmaze-u-stitch-singletask-v0", Self.ten)
    let report = try Report(paths: [runs.folder.path], showsPublished: true)
    #expect(report.html.contains("None of these runs is of a task that papers report."))
  }
}
