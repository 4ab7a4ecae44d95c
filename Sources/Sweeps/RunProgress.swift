import ArrayFiles
import Basics
import Foundation
import Running

/// How far a run of a sweep is.
public struct RunProgress: Equatable, Sendable {
  /// Updates done.
  public let step: Int
  /// Updates of the whole run.
  public let steps: Int
  /// The present speed.
  public let updatesPerSecond: Double
  /// Success of the last evaluation.
  public let success: Double?
  /// Whether the run has ended, one way or another.
  public var hasEnded = false

  package init(step: Int, steps: Int, updatesPerSecond: Double, success: Double?) {
    (self.step, self.steps, self.updatesPerSecond, self.success) = (step, steps, updatesPerSecond, success)
  }

  init(_ status: RunStatus) {
    self.init(
      step: status.step, steps: status.steps, updatesPerSecond: status.updatesPerSecond,
      success: status.success)
  }

  /// Seconds until the last update, at the present speed.
  var secondsLeft: Double { Double(steps - step) / max(updatesPerSecond, 1e-9) }

  /// The progress as a line of a file.
  fileprivate var text: String {
    let words = ["\(step)", "\(steps)", decimals(updatesPerSecond, 3), success.map { "\($0)" } ?? "-"]
    return (words + [hasEnded ? "ended" : "trains"]).joined(separator: " ")
  }

  /// Reads a line; nil if it is none of these.
  fileprivate init?(_ text: Substring) {
    let words = text.split(separator: " ")
    guard words.count == 5, let step = Int(words[0]), let steps = Int(words[1]),
      let updatesPerSecond = Double(words[2])
    else { return nil }
    (self.step, self.steps, self.updatesPerSecond) = (step, steps, updatesPerSecond)
    success = Double(words[3])
    hasEnded = words[4] == "ended"
  }
}

/// The file in which a run of a sweep says how far it is, to whoever draws a table of all runs: its progress on a first
/// line of fixed length, which is written again and again, and then lines for people.
public final class ProgressFile {
  private let descriptor: Int32
  private var end = ProgressFile.headLength
  private var progress: RunProgress?

  /// Bytes of the first line.
  fileprivate static let headLength = 96

  /// Opens the file at `path`, and keeps what it says already.
  ///
  /// - Throws: `Failure` if that is not possible.
  public init(path: String) throws(Failure) {
    descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw Failure(.cannotCreate, "\(path): cannot be opened: \(String(cString: strerror(errno)))")
    }
    var head = [UInt8](repeating: 0, count: Self.headLength)
    let count = max(0, pread(descriptor, &head, head.count, 0))
    progress = RunProgress(String(decoding: head.prefix(count), as: UTF8.self).prefix { $0 != "\n" })
    end = max(Self.headLength, Int(lseek(descriptor, 0, SEEK_END)))
  }

  deinit { close(descriptor) }

  /// Says how far the run is. What cannot be written is left out: a run does not depend on who watches it.
  func write(_ progress: RunProgress) {
    self.progress = progress
    let text = progress.text.padding(toLength: Self.headLength - 1, withPad: " ", startingAt: 0) + "\n"
    put(text, at: 0)
  }

  /// Says that the run has ended.
  func writeEnd() {
    var last = progress ?? RunProgress("0 0 0 - trains")!
    last.hasEnded = true
    write(last)
  }

  /// Adds a line for people.
  func say(_ line: String) { end += put(line + "\n", at: end) }

  @discardableResult
  private func put(_ text: String, at offset: Int) -> Int {
    max(0, Array(text.utf8).withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) })
  }
}

/// What a directory of such files says, each named after the number of its run.
struct ProgressBoard {
  let directory: String
  /// Bytes of each file that have been read already.
  private var offsets: [Int: Int] = [:]

  /// What one look at the files finds.
  struct View {
    /// The runs whose file is there, by number; nil for one that has not said anything yet.
    var runs: [Int: RunProgress?] = [:]
    /// The lines that are new since the last look.
    var lines: [String] = []
  }

  init(directory: String) { self.directory = directory }

  /// Looks at all files. Those that cannot be read are left out.
  mutating func look() -> View {
    var view = View()
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    for index in names.compactMap({ Int($0) }).sorted() {
      let path = "\(directory)/\(index)"
      guard let bytes = try? readFile(path: path, limit: 1 << 24) else { continue }
      let head = String(decoding: bytes.prefix(ProgressFile.headLength), as: UTF8.self)
      view.runs[index] = .some(RunProgress(head.prefix { $0 != "\n" }))
      let start = offsets[index] ?? ProgressFile.headLength
      guard bytes.count > start, let last = bytes.lastIndex(of: UInt8(ascii: "\n")), last >= start
      else { continue }
      let text = String(decoding: bytes[start...last], as: UTF8.self)
      view.lines += text.split(separator: "\n").map { printable(String($0), limit: 4096) }
      offsets[index] = last + 1
    }
    return view
  }
}
