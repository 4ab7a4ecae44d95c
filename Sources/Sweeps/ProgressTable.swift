import ArrayFiles
import Basics
import Foundation

/// A table of the runs of a sweep that train, redrawn on a terminal; lines for people stand above it.
public final class ProgressTable {
  /// The sizes of the terminal.
  public struct Size: Sendable {
    /// Lines.
    public let rows: Int
    /// Characters of a line.
    public let columns: Int

    /// A terminal of these sizes.
    public init(rows: Int, columns: Int) { (self.rows, self.columns) = (rows, columns) }
  }

  /// A terminal that a table is drawn on.
  public struct Terminal {
    /// Its sizes at the moment.
    let size: () -> Size
    /// Writes to it.
    let write: (String) -> Void

    /// A terminal.
    public init(size: @escaping () -> Size, write: @escaping (String) -> Void) {
      (self.size, self.write) = (size, write)
    }
  }

  private let sweep: Sweep
  /// Runs that train, one after another, in this job.
  private let count: Int
  private let terminal: Terminal
  private var board: ProgressBoard
  /// Lines of the table that stand on the terminal.
  private var drawn = 0
  private var lastDrawing = ContinuousClock.now - interval

  /// Time between two drawings.
  static let interval = Duration.seconds(1)

  /// - Parameters:
  ///   - count: how many runs there are to train.
  ///   - directory: where the runs say how far they are.
  init(_ sweep: Sweep, count: Int, directory: String, _ terminal: Terminal) {
    (self.sweep, self.count, self.terminal) = (sweep, count, terminal)
    board = ProgressBoard(directory: directory)
  }

  /// Looks at the runs and draws the table again.
  func redraw() {
    let view = board.look()
    replace(with: Self.lines(view.runs, sweep, count: count, terminal.size()), below: view.lines)
    lastDrawing = .now
  }

  /// Draws the table again if some time has passed since it was drawn last.
  func redrawNowAndThen() { if ContinuousClock.now - lastDrawing > Self.interval { redraw() } }

  /// Says that the process of a run has ended: with what it has printed itself, and a line about it.
  func end(_ index: Int, _ line: String) {
    let file = "\(board.directory)/\(index)"
    guard let progress = try? ProgressFile(path: file) else { return }
    let output = (try? readFile(path: file + ".output", limit: 1 << 20)) ?? []
    for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
      progress.say("[\(sweep.runs[index].name)] \(line)")
    }
    progress.say(line)
    progress.writeEnd()
    redraw()
  }

  /// Writes what is new and leaves no table.
  func finish() { replace(with: [], below: board.look().lines) }

  private func replace(with table: [String], below lines: [String]) {
    let back = drawn > 0 ? "\u{1B}[\(drawn)A\r\u{1B}[J" : ""
    terminal.write(back + (lines + table).map { $0 + "\n" }.joined())
    drawn = table.count
  }

  /// The lines of the table, no longer and no more than fit on the terminal.
  package static func lines(_ runs: [Int: RunProgress?], _ sweep: Sweep, count: Int, _ size: Size) -> [String]
  {
    let training = runs.filter { $0.value?.hasEnded != true }.sorted { $0.key < $1.key }
    let ended = runs.count - training.count
    let room = max(1, size.rows - 4)
    let shown = training.prefix(training.count > room ? room - 1 : room)
    let rows = shown.map { index, progress in
      let name = sweep.runs.indices.contains(index) ? sweep.runs[index].name : "\(index)"
      guard let progress else { return [name, "starts", "", "", ""] }
      return [
        name, "\(progress.step)/\(progress.steps)", progress.success.map { decimals($0, 2) } ?? "",
        decimals(progress.updatesPerSecond, 1), clock(progress.secondsLeft),
      ]
    }
    let table = [["run", "update", "success", "updates/s", "ETA"]] + rows
    let width = max(12, size.columns - 1 - widths.reduce(0, +))
    var lines = table.map { cells in
      let numbers = zip(cells.dropFirst(), widths).map {
        String(repeating: " ", count: max(1, $1 - $0.count)) + $0
      }
      return shortened(cells[0], to: width).padding(toLength: width, withPad: " ", startingAt: 0)
        + numbers.joined()
    }
    if training.count > shown.count { lines.append("… and \(training.count - shown.count) more") }
    lines.append(
      "\(ended) of \(count) run(s) have ended, \(training.count) train, \(max(0, count - runs.count)) wait")
    return lines.map { String($0.prefix(max(1, size.columns - 1))) }
  }

  /// Characters of the columns of numbers.
  private static let widths = [19, 9, 11, 10]

  /// A name of at most `length` characters; its end tells runs apart.
  private static func shortened(_ name: String, to length: Int) -> String {
    name.count > length ? "…" + name.suffix(length - 1) : name
  }
}

/// Draws a table every second while the calling thread trains.
final class TableThread: @unchecked Sendable {
  // The table is used by the thread, and after its end by whoever ends it.
  private let table: ProgressTable
  private let isWanted = NSCondition()
  private var (ends, hasEnded) = (false, false)

  init(_ table: ProgressTable) throws(Failure) {
    self.table = table
    try startThread("table") { [self] in run() }
  }

  private func run() {
    isWanted.withLock {
      while !ends {
        table.redraw()
        _ = isWanted.wait(until: Date() + ProgressTable.interval.seconds)
      }
      hasEnded = true
      isWanted.broadcast()
    }
  }

  /// Ends the thread and leaves no table.
  func end() {
    isWanted.withLock {
      guard !ends else { return }
      ends = true
      isWanted.broadcast()
      while !hasEnded { isWanted.wait() }
      table.finish()
    }
  }
}
