import ArgumentParser
import Basics
import Examples
import Foundation
import Kernels
import Report
import Settings

/// `fan-dist example`: small examples that explain something.
struct Example: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a small example that explains something.", subcommands: [Returns.self])

  /// `fan-dist example returns`: what three critics see of the returns in a decision problem of two steps.
  struct Returns: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "What a mean critic, a critic of quantiles and FAN's see of the returns of one policy.",
      discussion: """
        A decision problem of two steps, left or right at each. One path of the four has a large reward and the best \
        return, 24, which the average over a policy that goes either way hides. Trains the three critics, prints what \
        they say of the first step beside the exact numbers, and draws it.
        """)

    @Option(help: "Seed of data, initial parameters and batches.")
    var seed: UInt32 = 0

    @Option(help: "The page to write.")
    var out = "returns.html"

    func validate() throws { try requirePath(out, "--out") }

    func run() throws {
      BLAS.setThreads(1)
      let example = ReturnsExample(seed: seed)
      try StandardStream.output.say(
        "\(ReturnsExample.episodes) episodes of a uniform policy, \(ReturnsExample.updates) updates, seed \(seed)"
      )
      try StandardStream.output.say(line("", "left", "right", "goes", "exact left", "exact right"))
      for row in example.table {
        try StandardStream.output.say(
          line(
            row.name, decimals(row.learned.left, 2), decimals(row.learned.right, 2), "\(row.choice)",
            decimals(row.exact.left, 0), decimals(row.exact.right, 0)))
      }
      try ReturnsPage(example).write(to: out)
      try StandardStream.output.say("page in \(out)")
    }

    private func line(_ name: String, _ columns: String...) -> String {
      let widths = [8, 8, 7, 12, 13]
      return name.padding(toLength: 28, withPad: " ", startingAt: 0)
        + zip(columns, widths).map { String(repeating: " ", count: max(1, $1 - $0.count)) + $0 }.joined()
    }
  }
}
