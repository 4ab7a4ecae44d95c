import Basics

/// How long updates take while an evaluation runs, and while none does.
struct UpdateTimes {
  private struct Sum {
    var seconds = 0.0
    var count = 0
    var mean: Double? { count > 0 ? seconds / Double(count) : nil }
  }
  private var (during, without) = (Sum(), Sum())
  private var wasEvaluating = false

  /// Seconds of an update during the present evaluation.
  var meanwhile: Double? { during.mean }
  /// Seconds of an update without any evaluation, over the run so far.
  var otherwise: Double? { without.mean }

  /// Notes an update, and whether an evaluation runs after it. An update during which that changes does not count.
  mutating func add(_ duration: Duration?, isEvaluating: Bool) {
    defer { wasEvaluating = isEvaluating }
    guard let duration, isEvaluating == wasEvaluating else { return }
    let seconds = duration.seconds
    if isEvaluating {
      during.seconds += seconds
      during.count += 1
    } else {
      without.seconds += seconds
      without.count += 1
    }
  }

  /// Begins with a new evaluation.
  mutating func forgetEvaluation() { during = Sum() }

  /// Says how long an evaluation took and how long updates took meanwhile; empty for an evaluation of less than a
  /// second.
  func text(_ seconds: Double) -> String {
    guard seconds >= 1 else { return "" }
    let updates = meanwhile.map { meanwhile in
      ", updates \(decimals(1e3 * meanwhile, 2)) ms meanwhile"
        + (otherwise.map { ", \(decimals(1e3 * $0, 2)) ms otherwise" } ?? "")
    }
    return "; took \(decimals(seconds, 1)) s\(updates ?? "")"
  }
}
