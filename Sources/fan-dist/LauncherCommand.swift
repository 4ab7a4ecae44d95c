import ArgumentParser
import Basics
import MPI

/// `fan-dist launcher`: how ranks are started here.
struct LauncherCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "launcher", abstract: "Print the command that starts ranks on this machine.",
    discussion: """
      The command is that of the MPI library that this program was built with, with the flags for this machine. The \
      ranks' command follows it:

        $(fan-dist launcher -n 4) fan-dist --seed 1

      The variable FAN_DIST_MPIRUN names another program in place of mpirun or mpiexec.hydra.
      """)

  @Option(name: [.customShort("n"), .long], help: "Number of ranks; as many as fit the cores by default.")
  var ranks: Int?

  @Option(name: .shortAndLong, help: "Threads of each rank.")
  var threads = 1

  @Flag(help: "Let the system choose the ranks' cores, on a machine that others use, too.")
  var unbound = false

  func validate() throws {
    guard 1...9999 ~= threads else { throw ValidationError("-t must be between 1 and 9999") }
    guard 1...99999 ~= ranks ?? 1 else { throw ValidationError("-n must be between 1 and 99999") }
  }

  func run() throws {
    let cores = Launcher.coreCount
    let ranks = self.ranks ?? max(1, cores / threads)
    let words = Launcher.command(ranks: ranks, threads: threads, binds: !unbound)
    try StandardStream.output.say(words.joined(separator: " "))
    if ranks * threads > cores {
      StandardStream.error.attempt(
        "\(ranks) x \(threads) threads share \(cores) core(s); training will be slow.\n")
    }
  }
}
