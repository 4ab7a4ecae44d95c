import Basics

/// How the runs of a sweep ended.
struct SweepOutcome {
  /// The exit codes of the runs that were tried.
  private(set) var codes: [Int: Int32] = [:]
  /// The runs that were finished before.
  var skipped = 0

  /// Notes how a run ended.
  mutating func note(_ index: Int, code: Int32) { codes[index] = code }

  /// How a run ended that is not finished, from its exit code.
  static func ending(_ code: Int32) -> String {
    switch Failure.Code(rawValue: code) {
    case .requeue: "was stopped and is saved (exit code \(code))"
    case .stoppedUnsaved: "was stopped, and nothing was saved since its last checkpoint (exit code \(code))"
    default: "failed with exit code \(code)"
    }
  }

  /// Throws with the code of the first run that failed or was stopped, if there is one.
  ///
  /// - Parameter count: the runs of the sweep that were asked for.
  func requireSuccess(_ sweep: Sweep, of count: Int) throws(Failure) {
    let failures = codes.filter { $1 != 0 }.sorted { $0.key < $1.key }
    guard let first = failures.first else { return }
    let names = failures.map { "\(sweep.runs[$0.key].name) (\($0.value))" }.joined(separator: ", ")
    throw Failure(
      Failure.Code(rawValue: first.value) ?? .system,
      "\(failures.count) of \(count) run(s) failed: \(names); the same command tries them again")
  }
}
