import Basics

/// What ranks free together when a piece of work ends: windows above all, whose freeing waits for all ranks.
///
/// The rule for errors: a `Failure` that leaves collective code leaves it on all ranks alike, because `together`,
/// `requireAgreement` or a reduced value decided on it; so all ranks come to the end of the work and can free. Any
/// other error, such as `RankFailure` or `MPIError`, may be known to one rank alone. The others are then still inside
/// the work, perhaps waiting in a collective; whoever waited for them to free something would wait for ever. So
/// nothing is freed, and the error goes on to whoever ends the job with `MPI.abort`.
public final class Releases {
  private var releases: [() throws -> Void] = []

  private init() {}

  /// Adds what gives one thing back. Collective calls are in the same order on all ranks.
  public func add(_ release: @escaping () throws -> Void) { releases.append(release) }

  /// Runs `body`, then what it has added, newest first. Collective.
  public static func around<Result>(_ body: (Releases) throws -> Result) throws -> Result {
    let releases = Releases()
    let result: Result
    do { result = try body(releases) } catch let failure as Failure {
      try releases.run()
      throw failure
    }
    try releases.run()
    return result
  }

  private func run() throws {
    while let release = releases.popLast() { try release() }
  }
}
