import Agents
import ArgumentParser
import ArrayFiles
import Basics
import Foundation
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

  @Option(help: "The page to write, ending in .html.")
  var out = "report.html"

  @Flag(help: "Show what papers report of the same tasks, too.")
  var published = false

  func validate() throws { try requirePage(out, "--out") }

  func run() throws {
    let report = try Report(paths: runs, showsPublished: published)
    try report.write(to: out)
    // A page that goes into a stream stays alone in it.
    let messages = isStream(out) ? StandardStream.error : .output
    for note in report.notes { try messages.say("note: \(note)") }
    try messages.say("\(out): \(report.runCount) run(s)")
  }
}

/// Throws an error of validation when a page that is to be written has a name that pages do not have: it could
/// be that of a run's or a dataset's own file, which the page would replace.
func requirePage(_ path: String?, _ option: String) throws {
  try requirePath(path, option)
  try require(path.map { $0.hasSuffix(".html") || isStream($0) } ?? true, "\(option) must end in .html")
}
