import Basics
import Checkpoints
import Foundation
import Settings

/// The directory of a run: `config.yaml`, `train.csv`, `eval.csv` and `checkpoints/`.
public struct RunDirectory: Sendable {
  /// Its path.
  public let path: String

  /// A run directory at a path; nothing is created yet.
  public init(path: String) { self.path = path }

  /// `runs/TASK-seedN-DATE-TIME` under the current directory.
  public static func fresh(task: String, seed: UInt32) -> RunDirectory {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.dateFormat = "yyyyMMdd-HHmmss"
    return RunDirectory(path: "runs/\(task)-seed\(seed)-\(format.string(from: Date()))")
  }

  /// The settings.
  public var configuration: String { path + "/config.yaml" }
  /// Losses, figures and speed.
  public var training: String { path + "/train.csv" }
  /// Evaluations.
  public var evaluation: String { path + "/eval.csv" }
  package var checkpoints: String { path + "/checkpoints" }
  /// The checkpoint of the best evaluation.
  public var best: String { checkpoints + "/best.safetensors" }

  package func checkpoint(step: Int) -> String { path(.periodic, step: step) }

  /// Why a checkpoint is kept, as the beginning of its name.
  package enum Purpose: String {
    /// The run continues from it.
    case periodic = "step-"
    /// Its policy was being evaluated when a periodic checkpoint was saved. A run that continues from that one
    /// evaluates it again.
    case unevaluated = "unevaluated-"
  }

  package func path(_ purpose: Purpose, step: Int) -> String {
    let zeros = String(repeating: "0", count: max(0, 9 - "\(step)".count))
    return "\(checkpoints)/\(purpose.rawValue)\(zeros)\(step).safetensors"
  }

  /// Creates the directory and takes its lock.
  ///
  /// - Parameter resuming: whether the directory may hold a run already.
  package func open(resuming: Bool) throws -> RunLock {
    do {
      try FileManager.default.createDirectory(atPath: checkpoints, withIntermediateDirectories: true)
    } catch {
      throw Failure(.cannotCreate, "\(path): cannot create this directory: \(error.localizedDescription)")
    }
    guard let lock = RunLock(path: path + "/.lock") else {
      throw Failure(.cannotCreate, "\(path): another run is writing here; choose another --run-dir")
    }
    guard resuming || !FileManager.default.fileExists(atPath: training) else {
      throw Failure(
        .cannotCreate,
        "\(path): holds a run already; continue it with --resume auto, or choose another --run-dir")
    }
    return lock
  }

  /// The newest checkpoint that is whole; the others that were looked at are reported to `rejected`.
  package func newestCheckpoint(rejected: (String) -> Void) -> Checkpoint? {
    for step in steps(.periodic).reversed() {
      do { return try Checkpoint(path: checkpoint(step: step)) } catch { rejected("\(error)") }
    }
    return nil
  }

  /// Whether a run of these settings has come to its end here: all updates done, saved and evaluated.
  ///
  /// False when in doubt: continuing a run that is finished does no harm. It evaluates again, or says what disagrees.
  public func isFinished(_ configuration: Configuration) -> Bool {
    guard let checkpoint = newestCheckpoint(rejected: { _ in }), checkpoint.state.step == configuration.steps,
      let trained = try? checkpoint.configuration(), trained.identity == configuration.identity,
      trained.dataset == configuration.dataset
    else { return false }
    guard configuration.evalEpisodes > 0 else { return true }
    guard
      let evaluations = try? String(contentsOfFile: evaluation, encoding: .utf8)
    else { return false }
    return evaluations.split(separator: "\n").contains { $0.hasPrefix("\(configuration.steps),policy,done,") }
  }

  /// How many periodic checkpoints stay.
  private static let keptCheckpoints = 3

  /// Deletes all but the last periodic checkpoints up to `step`, of which there is a whole one.
  ///
  /// A checkpoint of a later update was found damaged when the run continued, so it does not count among the last.
  package func prune(step: Int) {
    for old in steps(.periodic).filter({ $0 <= step }).dropLast(Self.keptCheckpoints) {
      remove(.periodic, step: old)
    }
  }

  func remove(_ purpose: Purpose, step: Int) {
    try? FileManager.default.removeItem(atPath: path(purpose, step: step))
  }

  /// The updates of which there are such checkpoints, in their order.
  package func steps(_ purpose: Purpose) -> [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
    return names.compactMap { name -> Int? in
      guard name.hasPrefix(purpose.rawValue), name.hasSuffix(".safetensors") else { return nil }
      return Int(name.dropFirst(purpose.rawValue.count).dropLast(".safetensors".count))
    }.sorted()
  }
}
