import Foundation
import TestSupport
import Testing

/// Training on dataset directories, and `fan-dist dataset import` of OGBench's files without Python.
@Suite(.serialized) struct DatasetDirectoryTests {
  let runs = Runs()
  var path: String { runs.folder.file("data") }

  private func dataset(_ arguments: String...) throws -> CommandResult {
    try run(built("fan-dist"), ["dataset"] + arguments)
  }

  /// A file of the default task with its validation companion, and the directory imported from them.
  private func importedFile() throws -> String {
    let file = try DatasetFixture(episodes: 30).write(to: runs.folder.file("data.npz"))
    try DatasetFixture(episodes: 4).write(to: runs.folder.file("data-val.npz"))
    let result = try dataset("import", file, "--env", "pointmaze-u-stitch-singletask-v0", "--out", path)
    try #require(result.code == 0 && result.errors == "", "\(result)")
    return file
  }

  /// From memory and from the files themselves.
  @Test(arguments: [nil, 2]) func trainsAsOnTheFile(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let file = try importedFile()
    try runs.complete("file", ranks: ranks, "--steps", "20", "--dataset", file)
    try runs.complete("memory", ranks: ranks, "--steps", "20", "--dataset", path)
    let onDisk = try runs.complete(
      "disk", ranks: ranks, "--steps", "20", "--dataset", path, "--dataset-memory", "0")
    #expect(onDisk.output.contains("stay in their files"))
    #expect(onDisk.output.contains("not checked: fan-dist dataset info --verify does that"))
    let table = try runs.table("file").timeless
    #expect(table.columns.contains { $0.hasPrefix("validation/") })
    #expect(try runs.table("memory").timeless == table && runs.table("disk").timeless == table)
  }

  /// A copy of the directory that is not complete would train without them, in silence.
  @Test func incompleteValidationDataAreRefused() throws {
    _ = try importedFile()
    try FileManager.default.removeItem(atPath: path + "/validation/manifest.json")
    let parts = ["validation: has no manifest.json", "copy the dataset again"]
    expectFailure(try runs.train("run", "--steps", "5", "--dataset", path), 65, parts)
    expectFailure(try dataset("info", path), 65, parts)
  }

  @Test func aRunGoesOnWithTheDirectory() throws {
    let file = try importedFile()
    try runs.complete("run", "--steps", "5", "--dataset", file)
    try runs.complete("run", "--steps", "10", "--dataset", path, "--resume", "auto")
    try runs.complete("whole", "--steps", "10", "--dataset", file)
    #expect(try runs.table("run").timeless == runs.table("whole").timeless)
  }

  @Test func infoDescribesAndVerifies() throws {
    _ = try importedFile()
    let result = try dataset("info", path, "--verify")
    #expect(result.code == 0 && result.errors == "", "\(result)")
    for part in [
      "630 rows", "600 transitions", "30 episodes of 20 to 20", "digest ", "source: data.npz",
      "reward: r(s) of pointmaze-u-stitch-singletask-v0", "warning: every mask is 1",
    ] { #expect(result.output.contains(part), "\(part): \(result.output)") }
    #expect(try dataset("info", path + ".npz", "--env", "pointmaze-u-stitch-singletask-v0").code == 0)
    // A byte of a number, which no size shows.
    try edit(path + "/actions.npy") { $0[1000] ^= 4 }
    #expect(try dataset("info", path).code == 0)
    expectFailure(try dataset("info", path, "--verify"), 65, ["actions.npy", "damaged"])
    expectFailure(try dataset("info", path + ".npz", "--verify"), 64, ["data.npz", "--verify"])
  }

  @Test(arguments: [nil, 2]) func damageEndsAllRanks(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    _ = try importedFile()
    try edit(path + "/rewards.npy") { $0[200] ^= 4 }
    expectFailure(
      try runs.train("a", ranks: ranks, "--steps", "5", "--dataset", path), 65, ["rewards.npy", "damaged"])
    try edit(path + "/observations.npy") { $0 = $0.dropLast(4) }
    for memory in ["0", "100"] {
      let result = try runs.train(
        memory, ranks: ranks, "--steps", "5", "--dataset", path, "--dataset-memory", memory)
      expectFailure(result, 65, ["observations.npy", "does not fit"])
    }
  }

  /// One rank notices, in the middle of an update; all of them end, and what was saved stays.
  @Test(arguments: [nil, 2]) func filesThatShrinkWhileTheyAreTrainedOn(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    _ = try importedFile()
    let line = runs.command(
      "run",
      ["--steps", "1000000", "--save-interval", "10", "--dataset", path, "--dataset-memory", "0"])
    let program =
      ranks.map { (mpirun, mpirunArguments([($0, line)])) } ?? (line[0], Array(line.dropFirst()))
    let command = try Command(program.0, program.1)
    #expect(command.wait(30) { command.output.contains("update 10: saved") })
    truncate(path + "/observations.npy", 1000)
    let result = command.finish(timeout: 30)
    #expect(result.code == 65 && !result.timedOut, "\(result)")
    let lines = result.errorLines.filter { $0.contains("observations.npy") }
    #expect(!lines.isEmpty && lines.allSatisfy { $0.contains("[rank ") && $0.contains("became shorter") })
    #expect(try !runs.checkpoints("run").isEmpty)
  }

  @Test func importNeverOverwrites() throws {
    let file = try importedFile()
    let before = FileManager.default.contents(atPath: path + "/manifest.json")
    let again = try dataset("import", file, "--env", "pointmaze-u-stitch-singletask-v0", "--out", path)
    expectFailure(again, 73, [path, "exists already"])
    #expect(FileManager.default.contents(atPath: path + "/manifest.json") == before)
    let inFile = try dataset(
      "import", file, "--env", "pointmaze-u-stitch-singletask-v0", "--out", file + "/x")
    expectFailure(inFile, 73, [file + "/x"])
  }

  @Test func whatCannotBeImportedLeavesNothing() throws {
    let file = runs.folder.file("data.npz")
    var data = DatasetFixture(episodes: 10)
    try data.write(to: file)
    expectFailure(try dataset("import", file, "--out", path), 65, ["data.npz", "no rewards"])
    data.actions[7] = 3
    try data.write(to: file)
    let task = "pointmaze-u-stitch-singletask-v0"
    expectFailure(
      try dataset("import", file, "--env", task, "--out", path), 65, ["row 3 column 1", "outside [-1, 1]"])
    expectFailure(try dataset("import", file, "--env", "nowhere", "--out", path), 64, ["nowhere"])
    expectFailure(try dataset("import", path, "--out", path), 66, [path, "no such file"])
    expectFailure(
      try dataset("import", "gymnasium:Pendulum-v1", "--out", path), 66, ["gymnasium:Pendulum-v1"])
    expectFailure(try dataset("import", file), 64, ["--out"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: runs.folder.path) == ["data.npz"])
  }

  /// Files of other projects are no damaged datasets: people are told to import them.
  @Test func filesOfOtherProjectsAreToBeImported() throws {
    let hdf5 = [0x89] + Array("HDF\r\n".utf8)
    for (name, bytes, options) in [
      ("a b.csv", Array("x,y\n".utf8), "--columns observation="), ("b.hdf5", hdf5, "--out DIRECTORY makes"),
      ("c", Array("PAR1".utf8), "--columns observation="),
    ] {
      try Data(bytes).write(to: URL(fileURLWithPath: runs.folder.file(name)))
      let file = runs.folder.file(name)
      let command = "fan-dist dataset import " + (name == "a b.csv" ? "'\(file)'" : file)
      expectFailure(try dataset("info", file), 65, [command, options])
      expectFailure(try runs.train("run", "--dataset", file), 65, [command, options])
    }
  }

  /// A pipe that nobody writes to is not waited for.
  @Test func aPipeIsNoFile() throws {
    let pipe = runs.folder.file("pipe")
    try #require(mkfifo(pipe, 0o600) == 0)
    expectFailure(try dataset("import", pipe, "--out", path), 66, [pipe, "neither a file nor a directory"])
  }
}
