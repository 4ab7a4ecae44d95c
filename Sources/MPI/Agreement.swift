import Basics

/// A failure that only this rank knows of, in the middle of an update: nothing but the job's end can tell the others.
public struct RankFailure: Error {
  /// What failed.
  public let failure: Failure

  /// This rank's failure.
  public init(_ failure: Failure) { self.failure = failure }
}

extension Communicator {
  /// Runs `body` on every rank. When it throws on any, all ranks throw the failure of the lowest of those.
  /// Collective; `body` makes no collective calls after a point where it can throw on some ranks only.
  public func together<Result>(_ body: () throws -> Result) throws -> Result {
    var failure: Failure?
    var result: Result?
    do { result = try body() } catch { failure = Failure(error) }
    let failing = try allReduce(Int64(failure == nil ? size : rank), .min)
    guard failing < size else { return result! }
    let text = try broadcast(Array((failure?.message ?? "").utf8), from: Int(failing))
    let code = try broadcast([UInt8(truncatingIfNeeded: failure?.code.rawValue ?? 0)], from: Int(failing))[0]
    throw Failure(Failure.Code(rawValue: Int32(code)) ?? .system, String(decoding: text, as: UTF8.self))
  }

  /// Throws on all ranks unless all give the same value. Collective.
  ///
  /// - Parameter what: names the value in the failure.
  public func requireAgreement(on what: String, _ value: UInt64, advice: String) throws {
    var first = value
    try broadcast(&first, count: 8)
    let differing = try allReduce(Int64(value == first ? size : rank), .min)
    guard differing < size else { return }
    let host = try broadcast(Array(MPI.processorName.utf8), from: Int(differing))
    throw Failure(
      .configuration,
      "rank \(differing) on \(String(decoding: host, as: UTF8.self)) disagrees with rank 0 on \(what): \(advice)"
    )
  }
}
