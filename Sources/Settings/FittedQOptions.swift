import Agents
import ArgumentParser

/// How fitted Q evaluation judges a policy.
public struct FittedQOptions: ParsableArguments, Sendable {
  @Option(help: "Hidden layers of the networks that learn the policy's value.")
  public var fqeHiddenDims = HiddenDims([256, 256])

  @Option(help: ArgumentHelp("Updates of each network.", valueName: "n"))
  public var fqeUpdates = 20_000

  @Option(help: ArgumentHelp("Networks, each with a seed of its own.", valueName: "n"))
  public var fqeSeeds = 3

  /// Settings that only a parser can fill, as with every `ParsableArguments`.
  public init() {}

  /// Rejects values that are out of range.
  public func validate() throws {
    try require((1...10_000_000).contains(fqeUpdates), "--fqe-updates must be between 1 and 10000000")
    try require((1...100).contains(fqeSeeds), "--fqe-seeds must be between 1 and 100")
  }
}
