import Basics
import Foundation

/// Where a run stands, for whoever watches.
public struct RunStatus: Sendable {
  /// Updates done.
  public let step: Int
  /// Updates of the whole run.
  public let steps: Int
  /// Whether the figures are this update's, and in train.csv; otherwise some time has passed since.
  public let isLogged: Bool
  /// Updates a second over the last log interval.
  public let updatesPerSecond: Double
  /// Share of the time spent exchanging or waiting for other ranks over the last log interval.
  public let communicationShare: Double
  /// Share of the time spent acting and waiting for environments; nil for a run that never goes online.
  public let environmentShare: Double?
  /// The figures of the last logged update, by name.
  public let figures: [(name: String, value: Double)]
  /// Success of the last evaluation.
  public let success: Double?
  /// Value of the policy in the last judgement by recorded episodes.
  public let value: Double?
  /// Update whose policy is being judged, and the share of the work that is done; training waits.
  public let judging: (step: Int, share: Double)?
  /// Update whose policy is being evaluated, and how many of the episodes have ended.
  public let evaluating: (step: Int, done: Int, episodes: Int)?

  /// Seconds until the last update, at the present speed.
  public var secondsLeft: Double { Double(steps - step) / max(updatesPerSecond, 1e-9) }

  /// The status as a line for people.
  public var line: String {
    let values = Dictionary(uniqueKeysWithValues: figures.map { ($0.name, $0.value) })
    var parts = ["\(step)/\(steps)"]
    for (label, name) in [("critic", "critic/critic_loss"), ("actor", "actor/actor_loss")] {
      if let value = values[name] { parts.append("\(label) \(String(format: "%.4g", value))") }
    }
    if let success { parts.append("success \(decimals(success, 2))") }
    if let value { parts.append("value \(String(format: "%.4g", value))") }
    if let judging { parts.append("judging \(judging.step): \(decimals(100 * judging.share, 0)) %") }
    if let evaluating {
      parts.append("evaluating \(evaluating.step): \(evaluating.done)/\(evaluating.episodes)")
    }
    parts.append("\(decimals(updatesPerSecond, 1)) updates/s")
    parts.append("comm \(decimals(100 * communicationShare, 0)) %")
    if let environmentShare { parts.append("env \(decimals(100 * environmentShare, 0)) %") }
    parts.append("ETA \(clock(secondsLeft))")
    return parts.joined(separator: "  ")
  }
}
