import ArrayFiles
import Basics
import Checkpoints
import Foundation
import Logging
import Settings

/// The directory of a run: `config.yaml`, `train.csv`, `eval.csv` and `checkpoints/`.
public struct RunDirectory: Sendable {
  /// Its path.
  public let path: String

  /// A run directory at a path; nothing is created yet.
  public init(path: String) { self.path = path }

  /// Makes `runs/TASK-seedN-DATE-TIME` under the current directory, with -2 and so on behind it when another run has
  /// that name.
  ///
  /// - Throws: `FileError` of kind `.unwritable`.
  public static func fresh(task: String, seed: UInt32) throws -> RunDirectory {
    try fresh(task: task, seed: seed, date: Date(), in: "runs")
  }

  /// The same in another directory and at another time.
  package static func fresh(
    task: String, seed: UInt32, date: Date, in directory: String
  ) throws -> RunDirectory {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.dateFormat = "yyyyMMdd-HHmmss"
    let name = "\(directory)/\(pathComponent(task))-seed\(seed)-\(format.string(from: date))"
    try createDirectory(directory)
    var path = name
    var number = 1
    while try !createNewDirectory(path) {
      number += 1
      path = "\(name)-\(number)"
    }
    return RunDirectory(path: path)
  }

  /// Removes the directory if nothing has been written to it, and the one around it if that is empty then.
  public func removeIfEmpty() {
    rmdir(path)
    rmdir(URL(fileURLWithPath: path).deletingLastPathComponent().path)
  }

  /// The settings.
  public var configuration: String { path + "/config.yaml" }
  /// Losses, figures and speed.
  public var training: String { path + "/train.csv" }
  /// Evaluations.
  public var evaluation: String { path + "/eval.csv" }
  /// Judgements by recorded episodes.
  public var judgement: String { path + "/fqe.csv" }
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
    /// What a run has collected online up to a transition, since the file before. Checkpoints say which they need.
    case collected = "collected-"
  }

  package func path(_ purpose: Purpose, step: Int) -> String {
    let zeros = String(repeating: "0", count: max(0, 9 - "\(step)".count))
    return "\(checkpoints)/\(purpose.rawValue)\(zeros)\(step).safetensors"
  }

  func path(of file: CollectedFile.Entry) -> String { path(.collected, step: file.end) }

  /// Creates the directory and takes its lock.
  ///
  /// - Parameters:
  ///   - resuming: whether the directory may hold a run already.
  ///   - warn: is told when the file system has no locks.
  package func open(resuming: Bool, warn: (String) -> Void = { _ in }) throws -> RunLock {
    // Before anything is made. What cannot be listed cannot be made either, and that is reported then.
    if !resuming { try requireNoRun((try? namesIfPresent(in: checkpoints)) ?? []) }
    do { try createDirectory(checkpoints) } catch { throw Failure(error) }
    let lock = try RunLock(directory: path, warn: warn)
    // Another process may have begun and ended one meanwhile.
    if !resuming { try requireNoRun(namesIfPresent(in: checkpoints)) }
    if lock.isExclusive { try removeLeftovers() }
    return lock
  }

  /// Throws if there is something of a run that a new one would replace: its table, or a checkpoint among `names`.
  private func requireNoRun(_ names: [String]) throws(Failure) {
    guard !names.contains(where: { $0.hasSuffix(".safetensors") }),
      !FileManager.default.fileExists(atPath: training)
    else {
      throw Failure(
        .cannotCreate,
        "\(path): holds a run already; continue it with --resume auto, or choose another --run-dir")
    }
  }

  /// The newest checkpoint that is whole, nil when there is none at all; the others that were looked at are reported to
  /// `rejected`.
  ///
  /// - Throws: `Failure` when there are checkpoints and none is whole, or when nobody can tell.
  package func newestCheckpoint(rejected: (String) -> Void) throws -> Checkpoint? {
    let steps = try steps(.periodic)
    var problem = ""
    for step in steps.reversed() {
      do {
        let found = try Checkpoint(path: checkpoint(step: step))
        for file in found.state.online?.files ?? [] { _ = try CollectedFile.open(path(of: file), file) }
        return found
      } catch {
        rejected("\(error)")
        if problem.isEmpty { problem = "\(error)" }
      }
    }
    guard steps.isEmpty else {
      throw Failure(
        .data,
        "\(checkpoints): none of the \(steps.count) checkpoint(s) can be used, the newest because \(problem); to begin anew, move the directory \(path) away or choose another --run-dir"
      )
    }
    return nil
  }

  /// Looks at what there is of a run of which there is no checkpoint, so that it begins anew: it may have ended before
  /// it saved, and then the same rows are made again.
  ///
  /// - Parameters:
  ///   - first: updates done when the run begins.
  ///   - warn: is told that there is something.
  /// - Throws: `Failure` when the tables tell of updates after a checkpoint: the rest of a run, which nothing may replace.
  package func requireNothingSaved(
    _ configuration: Configuration, from first: Int = 0, warn: (String) -> Void
  ) throws(Failure) {
    guard let last = rows(of: training).compactMap({ Int($0[0]) }).max() else { return }
    let played = ["\(configuration.updates)", "policy", "done"]
    guard !configuration.savesOnTheWay(from: first, to: last), !hasRow(played, in: evaluation) else {
      throw Failure(
        .data,
        "\(checkpoints): has no checkpoint to continue from, although \(training) goes to update \(last): put one back, or to begin anew, move the directory \(path) away or choose another --run-dir"
      )
    }
    warn("\(path): its run ended at update \(last) or later and had saved nothing; it begins anew")
  }

  /// Whether a run of these settings has come to its end here: all updates done, saved and evaluated.
  ///
  /// False when in doubt: continuing a run that is finished does no harm. It evaluates again, or says what disagrees.
  public func isFinished(_ configuration: Configuration) -> Bool {
    guard let checkpoint = try? newestCheckpoint(rejected: { _ in }),
      checkpoint.state.step == configuration.updates,
      let trained = try? checkpoint.configuration(), trained.identity == configuration.identity,
      trained.dataset == configuration.dataset,
      ![configuration.dataset, configuration.valDataset].contains(where: {
        hasChanged($0, since: checkpoint.state.step)
      })
    else { return false }
    let (hyperparameters, last) = (configuration.hyperparameters, "\(configuration.updates)")
    let clones = hyperparameters.agent.behaviour(checkpoint.state.spec, hyperparameters, rows: 1) != nil
    return (clones ? ["policy", "behaviour"] : ["policy"]).allSatisfy { actor in
      let played = [last, actor, "done", "\(configuration.evalEpisodes)"]
      return (configuration.evalEpisodes == 0 || hasRow(played, in: evaluation))
        && (configuration.fqeInterval == nil || hasRow([last, actor], in: judgement))
    }
  }

  /// Whether the data at a path may have changed since a checkpoint was written.
  private func hasChanged(_ data: String?, since step: Int) -> Bool {
    guard let data else { return false }
    let files = [data] + ((try? namesIfPresent(in: data)) ?? []).map { "\(data)/\($0)" }
    var (saved, status) = (stat(), stat())
    guard stat(checkpoint(step: step), &saved) == 0 else { return true }
    return files.contains { stat($0, &status) == 0 && seconds(status.st_ctim) > seconds(saved.st_mtim) }
  }

  private func seconds(_ time: timespec) -> Double { Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 }

  /// Whether a table has a row that begins with these fields.
  private func hasRow(_ fields: [String], in table: String) -> Bool {
    rows(of: table).contains { $0.starts(with: fields) { $0 == $1 } }
  }

  /// The fields of a table's lines; none if it cannot be read.
  private func rows(of table: String) -> [[Substring]] {
    let text = (try? String(contentsOfFile: table, encoding: .utf8)) ?? ""
    return text.split(whereSeparator: \.isNewline).map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
  }

  /// How many periodic checkpoints stay.
  private static let keptCheckpoints = 3

  /// Deletes all but the last periodic checkpoints up to `step`, of which there is a whole one.
  ///
  /// A checkpoint of a later update was found damaged when the run continued, so it does not count among the last.
  package func prune(step: Int) throws {
    for old in try steps(.periodic).filter({ $0 <= step }).dropLast(Self.keptCheckpoints) {
      remove(.periodic, step: old)
    }
  }

  func remove(_ purpose: Purpose, step: Int) {
    try? FileManager.default.removeItem(atPath: path(purpose, step: step))
  }

  /// The best policy so far; nil if there is none. One that cannot be read is put aside, so that
  /// what replaces it, perhaps a worse one, does not destroy it.
  func bestSoFar(_ logger: Logger) throws -> Checkpoint? {
    let problem: any Error
    do { return try Checkpoint(path: best) } catch { problem = error }
    var status = stat()
    if lstat(best, &status) != 0 && errno == ENOENT { return nil }
    let aside = unreadableBest
    guard rename(best, aside) == 0 else {
      throw Failure(
        .cannotCreate, "\(problem); and it cannot be moved to \(aside): \(String(cString: strerror(errno)))")
    }
    logger.warning(
      "the best policy so far cannot be read and is now \(aside); the next one that is evaluated takes its place, even a worse one: \(problem)"
    )
    return nil
  }

  /// Where a best policy that cannot be read goes, so that the next one does not replace it.
  private var unreadableBest: String {
    let names = (1...).lazy.map { "\(checkpoints)/best-unreadable-\($0).safetensors" }
    return names.first { access($0, F_OK) != 0 }!
  }

  /// The updates of which there are such checkpoints, in their order.
  ///
  /// - Throws: `FileError` when the directory cannot be listed, which does not mean that there are none.
  package func steps(_ purpose: Purpose) throws -> [Int] {
    try namesIfPresent(in: checkpoints).compactMap { name -> Int? in
      guard name.hasPrefix(purpose.rawValue), name.hasSuffix(".safetensors") else { return nil }
      return Int(name.dropFirst(purpose.rawValue.count).dropLast(".safetensors".count))
    }.sorted()
  }

  /// Removes what a process that was killed while it wrote has left: files that were to be renamed. Only the holder of
  /// the lock may do that.
  private func removeLeftovers() throws {
    for directory in [path, checkpoints] {
      for name in try namesIfPresent(in: directory) where isTemporaryName(name) {
        try? FileManager.default.removeItem(atPath: "\(directory)/\(name)")
      }
    }
  }
}
