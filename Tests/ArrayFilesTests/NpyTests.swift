import ArrayFiles
import Foundation
import Testing

/// Single `.npy` files, written row by row and read in ranges.
@Suite struct NpyTests {
  let directory = TemporaryDirectory()
  var path: String { "\(directory.path)/x.npy" }

  private func write(rows: Int, width: Int) throws {
    let writer = try NpyWriter(path: path, dtype: .float32, rowShape: [width])
    for row in 0..<rows {
      let bytes = raw((0..<width).map { Float(row * width + $0) })
      try bytes.withUnsafeBytes { try writer.append($0) }
    }
    #expect(writer.shape == [rows, width])
    try writer.finish()
  }

  private func read(_ file: NpyFile, from first: Int, count: Int) throws(FileError) -> [Float] {
    var values = [Float](repeating: .nan, count: count)
    try values.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try file.read(from: first, into: buffer)
    }
    return values
  }

  private func refusal(_ bytes: [UInt8]) -> String? {
    let path = directory.write(bytes, to: "y.npy")
    return failure { () throws(FileError) in _ = try NpyFile(path: path) }
  }

  @Test func anyRangeIsReadBack() throws {
    try write(rows: 100, width: 3)
    let file = try NpyFile(path: path)
    #expect(file.header.shape == [100, 3] && file.header.dtype == .float32)
    #expect(try read(file, from: 0, count: 300) == (0..<300).map { Float($0) })
    #expect(try read(file, from: 151, count: 2) == [151, 152])
    #expect(throws: FileError.self) { try read(file, from: 299, count: 2) }
    // As in NumPy's files, the data start at a multiple of 64 bytes, here 128.
    #expect(contents(path).count == 128 + 1200)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["x.npy"])
  }

  @Test func nothingAppearsWithoutFinish() throws {
    do { _ = try NpyWriter(path: path, dtype: .bool, rowShape: []) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
  }

  @Test func filesWhoseSizeDoesNotFitTheHeaderAreRefused() throws {
    let good = npy("<f4", "(2, 3)", data: raw([Float](repeating: 1, count: 6)))
    #expect(refusal(good) == nil)
    #expect(refusal(Array(good.dropLast()))!.contains("does not fit 23 bytes of data"))
    #expect(refusal(good + [0])!.contains("does not fit 25 bytes of data"))
    #expect(refusal(Array(good.prefix(30)))!.contains("claims an array header"))
    #expect(refusal(Array(good.prefix(11)))!.contains("is not a NumPy array"))
    #expect(refusal([])!.contains("is not a NumPy array"))
    #expect(refusal(npy("<f4", "(4611686018427387904, 4)", data: []))!.contains("too many elements"))
    #expect(refusal(npy("<f4", "(4611686018427387903, 1)", data: []))!.contains("does not fit"))
    #expect(refusal(npy("|O", "(1,)", data: [0]))!.contains("pickled objects are never read"))
  }

  @Test func readingAFileThatBecameShorterThrows() throws {
    try write(rows: 100, width: 3)
    let file = try NpyFile(path: path)
    truncate(path, 600)
    #expect(try read(file, from: 0, count: 3) == [0, 1, 2])
    let error = failure { () throws(FileError) in _ = try read(file, from: 290, count: 3) }
    #expect(error == "\(path): became shorter while it was read")
  }

  @Test func linksAndPipesAreRefused() throws {
    try write(rows: 1, width: 1)
    let link = "\(directory.path)/link.npy"
    symlink(path, link)
    #expect(failure { () throws(FileError) in _ = try NpyFile(path: link) }!.contains("is a symbolic link"))
    mkfifo("\(directory.path)/pipe.npy", 0o600)
    let pipe = failure { () throws(FileError) in _ = try NpyFile(path: "\(directory.path)/pipe.npy") }
    #expect(pipe!.contains("is not a regular file"))
  }
}

/// Directories that appear only when they are complete.
@Suite struct AtomicDirectoryTests {
  let parent = TemporaryDirectory()
  var path: String { "\(parent.path)/a/data" }

  private func entries(_ directory: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: directory).sorted()) ?? []
  }

  @Test func aDirectoryAppearsWhenItIsCommitted() throws {
    let directory = try #require(try AtomicDirectory(path: path))
    try writeFile([1, 2], path: "\(directory.temporaryPath)/x")
    #expect(entries("\(parent.path)/a") == ["data.partial"])
    try directory.commit()
    #expect(entries("\(parent.path)/a") == ["data"] && entries(path) == ["x"])
    #expect(try AtomicDirectory(path: path) == nil)
  }

  @Test func nothingIsLeftWithoutCommit() throws {
    do { _ = try AtomicDirectory(path: path) }
    #expect(entries("\(parent.path)/a") == [])
  }

  @Test func leftoversOfAKilledProcessAreRemoved() throws {
    try createDirectory("\(path).partial/validation")
    try writeFile([1], path: "\(path).partial/old")
    try writeFile([], path: "\(path).partial/.lock")
    let directory = try #require(try AtomicDirectory(path: path))
    #expect(entries(directory.temporaryPath) == [".lock"])
  }

  /// What is not left by a process that made the directory is somebody's own.
  @Test func otherFilesUnderTheNameStay() throws {
    try createDirectory("\(path).partial")
    try writeFile([1], path: "\(path).partial/thesis")
    #expect(throws: FileError.self) { try AtomicDirectory(path: path) }
    #expect(entries("\(path).partial") == ["thesis"])
  }

  @Test func aLinkUnderTheNameIsNotFollowed() throws {
    try createDirectory("\(parent.path)/home")
    try writeFile([], path: "\(parent.path)/home/.lock")
    try writeFile([1], path: "\(parent.path)/home/thesis")
    symlink("home", "\(parent.path)/data.partial")
    #expect(throws: FileError.self) { try AtomicDirectory(path: "\(parent.path)/data") }
    #expect(entries("\(parent.path)/home") == [".lock", "thesis"])
  }

  @Test func aSlashAtTheEndDoesNotCount() throws {
    let directory = try #require(try AtomicDirectory(path: path + "/"))
    try directory.commit()
    #expect(entries("\(parent.path)/a") == ["data"])
  }

  /// A second maker waits for the first, and then finds the directory that the first has made.
  @Test func aSecondMakerWaitsForTheFirst() throws {
    let first = try #require(try AtomicDirectory(path: path))
    let second = try AtomicDirectory(path: path, wait: { try? first.commit() })
    #expect(second == nil && entries(path) == [])
  }
}

/// Files that appear only when they are complete, and what stands in their place.
@Suite struct WrittenFileTests {
  let folder = TemporaryDirectory()
  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  @Test func aLinkStaysAndItsFileIsReplaced() throws {
    mkdir(path("far"), 0o777)
    symlink("far/b", path("a"))
    symlink("c", path("far/b"))
    try writeFile([1], path: path("a"))
    #expect(contents(path("far/c")) == [1])
    try writeFile([2, 3], path: path("a"))
    #expect(contents(path("far/c")) == [2, 3])
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path("a")) == "far/b")
    #expect(try FileManager.default.contentsOfDirectory(atPath: path("far")).sorted() == ["b", "c"])
  }

  @Test func aLinkToItselfIsRefused() {
    symlink("a", path("a"))
    #expect(failure { () throws(FileError) in try writeFile([1], path: path("a")) } != nil)
  }

  @Test func aDeviceIsWrittenInto() throws {
    symlink("/dev/full", path("a"))
    let reason = failure { () throws(FileError) in try writeFile([1], path: path("a")) }
    #expect(reason?.contains("No space left") == true)
    try writeFile([1], path: "/dev/null")
    #expect(access("/dev/null", W_OK) == 0)
  }

  @Test func modesStay() throws {
    _ = folder.write([1], to: "a")
    chmod(path("a"), 0o640)
    try writeFile([2], path: path("a"))
    var status = stat()
    stat(path("a"), &status)
    #expect(status.st_mode & 0o777 == 0o640)
  }

  @Test func aFileThatIsThereAndCannotBeReadIsNoAbsentOne() throws {
    #expect(try readFileIfPresent(path: path("a")) == nil)
    mkdir(path("a"), 0o777)
    #expect(failure { () throws(FileError) in _ = try readFileIfPresent(path: path("a")) } != nil)
  }

  @Test func temporaryNamesAreKnown() {
    #expect(isTemporaryName("a.safetensors.partial-12"))
    #expect(
      !["a.partial", "a.partial-", "a.partial-1x", ".partial-1", "a-12"].contains(where: isTemporaryName))
  }

  @Test func aNewDirectoryIsMadeOnce() throws {
    #expect(try createNewDirectory(path("a")))
    #expect(try !createNewDirectory(path("a")))
  }
}
