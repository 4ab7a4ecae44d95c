import ArgumentParser
import Basics
import Report
import Settings

/// `fan-dist report RUN…`: a page about runs.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Write a page with charts about runs, finished or not.",
    discussion: "The page is one file that needs nothing else: charts, settings and numbers, for any browser."
  )

  @Argument(help: ArgumentHelp("Run directories, or directories that contain runs.", valueName: "run"))
  var runs: [String]

  @Option(help: "The page to write.")
  var out = "report.html"

  @Flag(help: "Show what papers report of the same tasks, too.")
  var published = false

  func validate() throws { try requirePath(out, "--out") }

  func run() throws {
    let report = try Report(paths: runs, showsPublished: published)
    try report.write(to: out)
    for note in report.notes { try StandardStream.output.say("note: \(note)") }
    try StandardStream.output.say("\(out): \(report.runCount) run(s)")
  }
}
