import ArrayFiles
import Basics
import Foundation

/// The lock of a run's directory, or of a sweep's, which nobody else can take, in this process or another one, until the
/// last reference to it goes.
///
/// Some file systems of clusters know no locks. There a file in the directory names the run that writes: a run on the
/// same host is found at the start, and one on another host when either of them saves.
package final class RunLock {
  private let descriptor: Int32
  /// The file that names the owner and what it says of this run; nil where the lock itself holds.
  private let owner: (path: String, text: String)?

  private let words: Words

  /// The words of messages: what it is that writes here, and the option that names another place.
  package struct Words {
    let writer: String
    let option: String

    package static let run = Words(writer: "run", option: "--run-dir")
    package static let sweep = Words(writer: "job of a sweep", option: "--out")
  }

  /// Takes the lock.
  ///
  /// - Parameters:
  ///   - words: the words of messages.
  ///   - warn: is told when the file system has no locks.
  /// - Throws: `Failure` that says whether somebody else holds it or what else is wrong.
  package init(directory: String, _ words: Words = .run, warn: (String) -> Void) throws {
    self.words = words
    let path = directory + "/.lock"
    let descriptor = Glibc.open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure(path, words, "the lock's file cannot be opened") }
    var result = flock(descriptor, LOCK_EX | LOCK_NB)
    while result != 0 && errno == EINTR { result = flock(descriptor, LOCK_EX | LOCK_NB) }
    do {
      owner = try result == 0 ? nil : Self.withoutLock(directory, words, path, warn)
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
  }

  deinit {
    close(descriptor)
    if let owner, (try? readFile(path: owner.path, limit: 4096)) == Array(owner.text.utf8) {
      unlink(owner.path)
    }
  }

  /// Whether nobody else can be writing here.
  var isExclusive: Bool { owner == nil }

  /// Throws `Failure` if another run has begun to write here.
  func requireHeld() throws {
    guard let owner else { return }
    let text = try? readFileIfPresent(path: owner.path)
    guard text != Array(owner.text.utf8) else { return }
    let other = text.map { String(decoding: $0, as: UTF8.self) }.flatMap(Owner.init)
    throw Failure(
      .cannotCreate,
      "\(owner.path): names another owner now, \(other?.description ?? "which cannot be read"): another \(words.writer) is writing here. Nothing more is saved; choose another \(words.option) for one of the two"
    )
  }

  private static func failure(_ path: String, _ words: Words, _ problem: String) -> Failure {
    Failure(
      .cannotCreate,
      "\(path): \(problem): \(String(cString: strerror(errno))); repair that, or choose another \(words.option)"
    )
  }

  /// What to do after the lock was not given: throws unless the file system has none and no other run is known.
  private static func withoutLock(
    _ directory: String, _ words: Words, _ path: String, _ warn: (String) -> Void
  ) throws -> (String, String) {
    let reason = String(cString: strerror(errno))
    guard errno != EWOULDBLOCK else {
      throw Failure(
        .cannotCreate, "\(directory): another \(words.writer) is writing here; choose another \(words.option)"
      )
    }
    guard lacksLocks(errno) else { throw failure(path, words, "cannot be locked") }
    let file = directory + "/.owner"
    if let text = try readFileIfPresent(path: file),
      let other = Owner(String(decoding: text, as: UTF8.self))
    {
      guard !other.isRunningHere else {
        throw Failure(
          .cannotCreate,
          "\(directory): another \(words.writer) is writing here, \(other); choose another \(words.option)")
      }
      if other.isElsewhere {
        warn(
          "\(directory): was last written by \(other), which did not end as it should; if it still runs, end it"
        )
      }
    }
    warn(
      "\(directory): this file system has no locks (\(reason)); do not start two \(words.writer)s in it: they notice each other only when they save"
    )
    let own = Owner.current.text
    try writeFile(Array(own.utf8), path: file)
    return (file, own)
  }
}

/// The process that writes a run.
private struct Owner: CustomStringConvertible {
  let host: String
  let process: Int32
  /// When the process began, as the system counts it.
  let start: String

  /// This process.
  static var current: Owner {
    Owner(host: ownHost, process: getpid(), start: startTime(getpid()) ?? "")
  }

  private init(host: String, process: Int32, start: String) {
    (self.host, self.process, self.start) = (host, process, start)
  }

  /// Reads what `text` says.
  init?(_ text: String) {
    let words = text.split(separator: "\n").first?.split(separator: " ").map(String.init) ?? []
    guard words.count == 3, let process = Int32(words[1]) else { return nil }
    self.init(host: words[0], process: process, start: words[2])
  }

  var text: String { "\(host) \(process) \(start)\n" }
  var description: String { "process \(process) on \(host)" }
  var isElsewhere: Bool { host != Self.ownHost }
  var isRunningHere: Bool {
    !isElsewhere && (process != getpid() && Self.startTime(process) == start || text == Self.current.text)
  }

  private static var ownHost: String {
    let name = ProcessInfo.processInfo.hostName
    return name.isEmpty ? "localhost" : name.replacing(" ", with: "_")
  }

  /// The 22nd field of the process's statistics; nil if there is no such process.
  private static func startTime(_ process: Int32) -> String? {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
      let end = text.lastIndex(of: ")")
    else { return nil }
    let fields = text[end...].split(separator: " ")
    return fields.count > 20 ? String(fields[20]) : nil
  }
}
