import ArrayFiles
import Basics
import Foundation
import Running

/// The queue of the runs that the ranks of a job train, as files in the sweep's directory: the first group of ranks that
/// makes a run's file takes the run.
///
/// Messages would need somebody to answer them. Every rank computes, some without any call of MPI for minutes, and a
/// group whose run ends must not wait for one that is in the middle of its own.
package struct RunQueue: Sendable {
  /// Where the files are; each of them is also the run's `ProgressFile`.
  let directory: String
  private let order: [Int]
  private var position = 0

  /// A queue of these runs in a directory that all ranks see.
  package init(directory: String, order: [Int]) { (self.directory, self.order) = (directory, order) }

  /// The directory of the queue in a sweep's directory.
  static func directory(in sweep: SweepDirectory) -> String { sweep.path + "/.queue" }

  /// Makes the directory anew, empty. Only the job that holds the sweep's lock may do that.
  static func prepare(_ directory: String) throws {
    try? FileManager.default.removeItem(atPath: directory)
    try createDirectory(directory)
  }

  /// Removes the directory, when no rank uses it any more.
  func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// Waits until the directory that another host has made is seen here, too.
  ///
  /// - Throws: `Failure` if it is not after a while: then this host looks at another disk.
  func requireVisible() throws(Failure) {
    for _ in 0..<Self.attempts {
      // Opening asks the file server; a look at the name alone may be answered from memory.
      let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      if descriptor >= 0 {
        close(descriptor)
        return
      }
      usleep(Self.pause)
    }
    throw Failure(
      .configuration,
      "\(directory): is not seen on \(ProcessInfo.processInfo.hostName): a job of several hosts needs the sweep's directory on a disk that all of them share; name another with --out"
    )
  }

  /// How often a host looks for the directory, and the microseconds in between.
  private static let (attempts, pause) = (60, useconds_t(500_000))

  /// Takes the next run that nobody has taken; nil if none is left.
  package mutating func next() throws(Failure) -> Int? {
    while position < order.count {
      let index = order[position]
      position += 1
      let descriptor = open(file(index), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o644)
      if descriptor >= 0 {
        close(descriptor)
        return index
      }
      guard errno == EEXIST else {
        throw Failure(.cannotCreate, "\(file(index)): cannot be made: \(String(cString: strerror(errno)))")
      }
    }
    return nil
  }

  /// The file of a run.
  func file(_ index: Int) -> String { "\(directory)/\(index)" }

  /// Asks all groups of the job to save and stop.
  package func askToStop() { close(open(stopFile, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)) }

  /// Whether some group has asked.
  package var isAskedToStop: Bool { access(stopFile, F_OK) == 0 }

  private var stopFile: String { directory + "/stop" }
}
