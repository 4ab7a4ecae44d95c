import Basics
import Foundation
import Sweeps
import TestSupport
import Testing

/// The queue of runs, the table of runs, and how many runs fit a machine.
@Suite struct ManyRunsTests {
  private let folder = TemporaryDirectory()

  // MARK: Queue

  @Test func everyRunIsTakenOnce() throws {
    var first = RunQueue(directory: folder.path, order: [2, 0, 1])
    var second = RunQueue(directory: folder.path, order: [2, 0, 1])
    #expect(try first.next() == 2)
    #expect(try second.next() == 0)
    #expect(try second.next() == 1)
    #expect(try first.next() == nil)
    #expect(try second.next() == nil)
  }

  @Test func whoAsksToStopReachesAll() {
    let queue = RunQueue(directory: folder.path, order: [])
    #expect(!queue.isAskedToStop)
    queue.askToStop()
    #expect(RunQueue(directory: folder.path, order: []).isAskedToStop)
  }

  @Test func aQueueThatCannotBeWrittenIsAFailure() {
    var queue = RunQueue(directory: folder.file("missing"), order: [0])
    #expect(#expect(throws: Failure.self) { try queue.next() }?.code == .cannotCreate)
  }

  // MARK: Table

  private func lines(_ runs: [Int: RunProgress?], rows: Int = 24, columns: Int = 80) throws -> [String] {
    let sweep = try Sweep(path: folder.write("seeds: [0, 1, 2, 3, 4, 5]\n", to: "sweep.yaml"))
    return ProgressTable.lines(runs, sweep, count: 6, ProgressTable.Size(rows: rows, columns: columns))
  }

  private func progress(_ step: Int, ended: Bool = false) -> RunProgress {
    var progress = RunProgress(step: step, steps: 300, updatesPerSecond: 10, success: 0.5)
    progress.hasEnded = ended
    return progress
  }

  @Test func theTableShowsRunsThatTrain() throws {
    let table = try lines([0: progress(100), 1: progress(300, ended: true), 2: nil])
    #expect(table.count == 4)
    #expect(table[0].split(separator: " ") == ["run", "update", "success", "updates/s", "ETA"])
    #expect(table[1].split(separator: " ") == ["seed=0", "100/300", "0.50", "10.0", "0:20"])
    #expect(table[2].split(separator: " ") == ["seed=2", "starts"])
    #expect(table[3] == "1 of 6 run(s) have ended, 2 train, 3 wait")
  }

  @Test func theTableFitsTheTerminal() throws {
    let runs = Dictionary(uniqueKeysWithValues: (0..<6).map { ($0, Optional(progress($0))) })
    let table = try lines(runs, rows: 7, columns: 40)
    #expect(table.count <= 6 && table.allSatisfy { $0.count < 40 }, "\(table)")
    #expect(table.contains("… and 4 more"))
  }

  // MARK: Machine

  @Test(
    arguments: [
      (8, nil, nil, 2, 1, 4), (8, 4.0, nil, 2, 1, 2), (8, 0.5, nil, 2, 1, 1), (8, nil, 100, 1, 30, 3),
      (8, nil, 10, 1, 30, 1),
    ] as [(Int, Double?, Int?, Int, Int, Int)])
  func runsFitCoresQuotaAndMemory(
    cores: Int, quota: Double?, memory: Int?, neededCores: Int, neededMemory: Int, jobs: Int
  ) {
    let machine = MachineFit(cores: cores, quota: quota, freeMemory: memory)
    #expect(machine.jobs(RunNeeds(cores: neededCores, memory: neededMemory)) == jobs)
  }

  /// Writes a file of a system whose root is the folder.
  private func system(_ path: String, _ text: String) throws {
    let directory = URL(fileURLWithPath: folder.file(path)).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    _ = try folder.write(text, to: path)
  }

  /// The files of a container: a limit of its own and a tighter one around it.
  @Test func limitsAreThoseOfTheTightestControlGroup() throws {
    try system("proc/self/cgroup", "0::/job/step\n")
    try system("proc/meminfo", "MemTotal: 900 kB\nMemAvailable: 800 kB\n")
    let group = "sys/fs/cgroup/job"
    try system("\(group)/step/cpu.max", "max 100000\n")
    try system("\(group)/cpu.max", "150000 100000\n")
    try system("\(group)/step/memory.max", "max\n")
    try system("\(group)/memory.max", "500000\n")
    try system("\(group)/memory.current", "300000\n")
    try system("\(group)/memory.stat", "anon 1\ninactive_file 1000\n")
    let share = MachineShare(root: folder.path)
    #expect(share.processors == 1.5 && share.freeMemory == 201_000)
  }

  @Test func withoutControlGroupsOnlyTheFreeMemoryCounts() throws {
    try system("proc/meminfo", "MemAvailable: 800 kB\n")
    let share = MachineShare(root: folder.path)
    #expect(share.processors == nil && share.freeMemory == 800 << 10)
  }
}
