import Foundation
import TestSupport
import Testing

/// What a checkpoint counts on is on the disk before the checkpoint has its name.
@Suite(.enabled(if: hasCompiler, "there is no C compiler")) struct PowerCutTests {
  @Test func everythingIsSyncedBeforeACheckpointHasItsName() throws {
    let runs = Runs()
    let calls = runs.folder.file("calls")
    let line = runs.command(
      "run", ["--steps", "60", "--log-interval", "3", "--eval-interval", "10", "--save-interval", "10"])
    for options in [[], ["--resume", "auto", "--steps", "90"]] {
      let result = try run(ranks: nil, line + options, environment: runs.faults(["DRILL_CALLS": calls]))
      try #require(result.code == 0, "\(result)")
    }
    let root = URL(fileURLWithPath: runs.folder.path).resolvingSymlinksInPath().path
    // Marks a directory in which only the name of the best policy is not on the disk.
    let ofBest = " (best)"
    var unsynced: Set<String> = []
    var checkpoints = 0
    for call in try String(contentsOfFile: calls, encoding: .utf8).split(separator: "\n") {
      let words = call.split(separator: " ", maxSplits: 1).map(String.init)
      let path = URL(fileURLWithPath: words[1]).resolvingSymlinksInPath().path
      guard path.hasPrefix(root + "/run") || path == root else { continue }
      let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
      switch words[0] {
      case "write": unsynced.insert(path)
      case "sync": unsynced.subtract([path, path + ofBest])
      case "mkdir": unsynced.insert(parent)
      // A name that nobody looks for until it is changed needs no sync.
      case "create" where !path.contains(".partial-"): unsynced.insert(parent)
      case "rename":
        if path.contains("/checkpoints/step-") { checkpoints += 1 }
        // The best policy is written while training goes on, and no checkpoint counts on it or on a name that it does not
        // have yet.
        let needed = unsynced.filter {
          $0.hasPrefix("\(path).partial-")
            || path.contains("/checkpoints/step-") && !$0.contains(".partial-") && !$0.hasSuffix(ofBest)
        }
        #expect(needed == [], "before \(path)")
        unsynced.insert(path.hasSuffix("/best.safetensors") ? parent + ofBest : parent)
      default: break
      }
    }
    #expect(checkpoints == 9 && unsynced == [], "\(unsynced)")
    for name in ["train.csv", "eval.csv", "events.out"] {
      #expect(try String(contentsOfFile: calls, encoding: .utf8).contains("/run/\(name)"), "\(name)")
    }
  }
}
