import Checkpoints
import Datasets

/// What a run has collected online, in files beside its checkpoints. Rank 0 writes them.
final class CollectedFiles {
  /// The files so far, in the order of their transitions.
  private(set) var entries: [CollectedFile.Entry] = []
  private let directory: RunDirectory

  /// The most transitions of a file.
  private static let mostRows = 1 << 18

  /// No files.
  init(_ directory: RunDirectory) { self.directory = directory }

  /// Goes on behind the files of a checkpoint.
  func restore(_ entries: [CollectedFile.Entry]) { self.entries = entries }

  /// Writes what was collected since the last call and is still in the buffer. Files that no checkpoint needs, left by a
  /// run that was continued from an earlier one, are replaced or removed.
  func save(_ buffer: ReplayBuffer) throws {
    var first = max(entries.last?.end ?? 0, buffer.firstKept)
    while first < buffer.collected {
      let (end, width) = (min(first + Self.mostRows, buffer.collected), buffer.plan.rowWidth)
      var rows: [Float] = []
      rows.reserveCapacity((end - first) * width)
      for transition in first..<end {
        rows += UnsafeBufferPointer(start: buffer.row(transition), count: width)
      }
      entries.append(
        try CollectedFile.write(
          rows, width: width, first: first, to: directory.path(.collected, step: end)))
      first = end
    }
    let needed = Set(entries.map(\.end))
    for end in try directory.steps(.collected) where end <= buffer.collected && !needed.contains(end) {
      directory.remove(.collected, step: end)
    }
  }
}
