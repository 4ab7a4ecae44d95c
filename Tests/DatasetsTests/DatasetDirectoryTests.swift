import ArrayFiles
import Datasets
import Foundation
import Testing

/// Dataset directories, the project's own format.
@Suite struct DatasetDirectoryTests {
  let folder = TemporaryDirectory()
  var path: String { "\(folder.path)/data" }
  var manifest: String { "\(path)/manifest.json" }

  /// An `.npz` dataset with episodes of 2, 3 and 0 transitions.
  private func source(_ change: (inout Fixture) -> Void = { _ in }) throws -> OGBenchSource {
    var fixture = Fixture([3, 4, 1])
    fixture.rewards = (0..<8).map { Float($0) }
    fixture.masks = fixture.terminals.map { 1 - $0 }
    fixture.masks![1] = 0
    change(&fixture)
    try fixture.write(to: "\(folder.path)/data.npz")
    return try OGBenchSource(path: "\(folder.path)/data.npz")
  }

  /// The error with which opening or reading the whole directory fails; "accepted" if it does not fail.
  private var refusal: String {
    do throws(FileError) {
      try DatasetDirectory(path: path).verify()
      _ = try Loaded(DatasetDirectory(path: path))
      return "accepted"
    } catch {
      return error.kind == .malformed ? error.description : "not malformed: \(error)"
    }
  }

  private func edit(_ name: String, _ change: (inout Data) throws -> Void) throws {
    let url = URL(fileURLWithPath: "\(path)/\(name)")
    var data = try Data(contentsOf: url)
    try change(&data)
    try data.write(to: url)
  }

  private func replace(_ old: String, _ new: String) throws {
    try edit("manifest.json") { data in
      let text = String(decoding: data, as: UTF8.self)
      #expect(text.contains(old), "\(text)")
      data = Data(text.replacingOccurrences(of: old, with: new).utf8)
    }
  }

  @Test func aDirectoryHoldsTheTransitionsOfItsSource() throws {
    let source = try source()
    try convert(source, to: path, provenance: ["source": "data.npz"])
    let directory = try DatasetDirectory(path: path)
    let (original, loaded) = (try Loaded(source), try Loaded(directory))
    #expect(directory.plan == source.plan && directory.provenance == ["source": "data.npz"])
    #expect(directory.survey() == original.statistics && loaded.statistics == original.statistics)
    let index = UnsafeMutableRawBufferPointer.allocate(byteCount: directory.indexByteCount, alignment: 64)
    defer { index.deallocate() }
    try directory.loadIndex(into: index)
    let files = directory.transitions(index: index.baseAddress!)
    for number in 0..<5 {
      let transition = try original.dataset.transition(number)
      files.prefetch { $0(number) }
      #expect(try loaded.dataset.transition(number) == transition && files.transition(number) == transition)
    }
    try directory.verify()
  }

  @Test func theDirectoryDoesNotDependOnFilesAndBlocksOfTheSource() throws {
    // There are more rows than a block holds, and the files' sizes are not multiples of the block's.
    try createDirectory("\(folder.path)/shards")
    var whole = Fixture([5000, 4999, 3001])
    whole.rewards = whole.actions.map { $0 / 2 }
    whole.masks = whole.terminals
    whole.actions = whole.actions.map { sin($0) }
    try whole.write(to: "\(folder.path)/whole.npz")
    for (name, rows) in [("a", 0..<5000), ("b", 5000..<9999), ("c", 9999..<13000)] {
      var part = Fixture([rows.count])
      part.observations = Array(whole.observations[2 * rows.lowerBound..<2 * rows.upperBound])
      part.actions = Array(whole.actions[rows])
      (part.rewards, part.masks) = (Array(whole.rewards![rows]), Array(whole.masks![rows]))
      try part.write(to: "\(folder.path)/shards/\(name).npz")
    }
    let one = try convert(OGBenchSource(path: "\(folder.path)/whole.npz"), to: path)
    let many = try convert(OGBenchSource(path: "\(folder.path)/shards"), to: "\(folder.path)/many")
    #expect(one == many && one.rows == 13_000 && one.transitions == 12_997)
    try DatasetDirectory(path: "\(folder.path)/many").verify()
  }

  @Test func actionsAreClippedOrRefused() throws {
    let source = try source { $0.actions[1] = -3 }
    let statistics = try convert(source, to: path, bounds: .clip)
    #expect(statistics.actionsOutside == 1 && statistics.actionMinimum == -3)
    #expect(try Loaded(DatasetDirectory(path: path)).dataset.transition(0).nextAction == [-0.99999])
    let error = #expect(throws: FileError.self) {
      try convert(source, to: "\(folder.path)/other", bounds: .refuse)
    }
    #expect("\(error!)".contains("data.npz: member 'actions': row 1 is -3.0, outside [-1, 1]"))
    #expect(!DatasetDirectory.exists(at: "\(folder.path)/other"))
  }

  @Test func rowsThatEndWithinAnEpisodeAreRefused() throws {
    let block = RowBlock(capacity: 4, observation: .vector(1), actionSize: 1)
    block.rows = 4
    let writer = try DatasetWriter(
      directory: path, observation: .vector(1), actionSize: 1, source: "somewhere", bounds: .clip)
    try writer.append(block)
    let error = #expect(throws: FileError.self) { try writer.finish(provenance: [:]) }
    #expect("\(error!)" == "somewhere: ends within an episode")
  }

  @Test func damagedFilesAreRefused() throws {
    try convert(try source(), to: path)
    #expect(refusal == "accepted")
    for name in ["observations", "actions", "rewards", "masks", "terminals"] {
      let whole = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name).npy"))
      // Change a bit of the data, then cut off the end, the header and everything.
      try edit("\(name).npy") { $0[$0.count - 2] ^= 1 }
      #expect(refusal.hasPrefix("\(path)/\(name).npy: is damaged: its digest"), "\(refusal)")
      for length in [whole.count - 1, 128, 100, 5, 0] {
        try whole.prefix(length).write(to: URL(fileURLWithPath: "\(path)/\(name).npy"))
        #expect(refusal.hasPrefix("\(path)/\(name).npy: "), "\(refusal)")
      }
      try whole.write(to: URL(fileURLWithPath: "\(path)/\(name).npy"))
    }
    #expect(refusal == "accepted")
  }

  /// What no dataset holds is noticed where rows are read from the files; that their bytes are others is not.
  @Test func rowsThatNoDatasetHoldsAreRefused() throws {
    try convert(try source(), to: path)
    for (name, width) in [("observations", 2), ("actions", 1), ("rewards", 1), ("masks", 1)] {
      let whole = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name).npy"))
      // The highest byte of a number of row 1, which becomes NaN or infinite, or, of masks, very large.
      try edit("\(name).npy") { data in
        data[128 + 4 * width + 3] = 0x7F
        data[128 + 4 * width + 2] = 0xC0
      }
      let directory = try DatasetDirectory(path: path)
      let index = UnsafeMutableRawBufferPointer.allocate(byteCount: directory.indexByteCount, alignment: 64)
      defer { index.deallocate() }
      try directory.loadIndex(into: index)
      let files = directory.transitions(index: index.baseAddress!)
      let error = #expect(throws: FileError.self) { try files.transition(1) }
      #expect("\(error!)".contains("\(name).npy: row 1 or the one after it is damaged"), "\(error!)")
      try whole.write(to: URL(fileURLWithPath: "\(path)/\(name).npy"))
    }
  }

  /// Manifests of earlier versions have neither the ranges of columns nor the order of an observation's entries.
  @Test func olderManifestsAreRead() throws {
    let statistics = try convert(try source(), to: path)
    try edit("manifest.json") { data in
      var manifest = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      var part = try #require(manifest["statistics"] as? [String: Any])
      #expect(part.removeValue(forKey: "observation_minimum") != nil)
      #expect(part.removeValue(forKey: "observation_maximum") != nil)
      manifest["statistics"] = part
      data = try JSONSerialization.data(withJSONObject: manifest)
    }
    let directory = try DatasetDirectory(path: path)
    #expect(directory.survey().digest == statistics.digest && directory.survey().observationMaximum == nil)
    #expect(refusal == "accepted")
  }

  /// Damage to `terminals` is noticed in training that reads rows from the files, too.
  @Test func episodesThatContradictTheManifestAreRefused() throws {
    try convert(try source(), to: path)
    for (row, value, reason) in [
      (0, UInt8(1), "does not have the manifest's 3 episodes"), (7, 0, "is damaged: its digest"),
    ] {
      try edit("terminals.npy") { $0[128 + row] = value }
      let directory = try DatasetDirectory(path: path)
      let index = UnsafeMutableRawBufferPointer.allocate(byteCount: directory.indexByteCount, alignment: 64)
      defer { index.deallocate() }
      let error = #expect(throws: FileError.self) { try directory.loadIndex(into: index) }
      #expect("\(error!)".contains(reason), "\(error!)")
      try edit("terminals.npy") { $0[128 + row] = 1 - value }
    }
  }

  @Test func contradictoryManifestsAreRefused() throws {
    let source = try source()
    let changes = [
      ("\"version\" : 1", "\"version\" : 2", "has version 2"),
      ("fan-dist dataset", "another dataset", "is not the manifest of a fan-dist dataset"),
      ("\"dtype\" : \"bool\"", "\"dtype\" : \"int64\"", "says that 'terminals' is int64"),
      ("\"rows\" : 8", "\"rows\" : 9", "contradict each other"),
      ("\"episodes\" : 3", "\"episodes\" : 0", "contradict each other"),
      ("\"transitions\" : 5", "\"transitions\" : -1", "contradict each other"),
      ("        8,\n", "        0,\n", "does not give the number of rows"),
      ("        8,\n", "        4611686018427387904,\n", "does not give the number of rows"),
      ("        8\n", "        9\n", "says that 'rewards' is float32 of shape [9], not float32 of [8]"),
      ("\"rewards\"", "\"prizes\"", "lacks the field 'rewards'"),
      ("\"statistics\"", "\"numbers\"", "it has no 'statistics'"),
      ("\"rows\" : 8", "\"rows\" : \"many\"", "'statistics.rows' has the wrong type"),
      ("\"rows\" : 8", "\"rows\" : 1e400", "is not a dataset's manifest"),
      ("{", "{{", "it is not JSON"),
      ("\"digest\" : \"", "\"digest\" : \"0", "has a digest that does not match"),
    ]
    for (old, new, reason) in changes {
      try convert(source, to: path)
      try replace(old, new)
      #expect(refusal.hasPrefix("\(manifest): ") && refusal.contains(reason), "\(refusal)")
    }
    try Data(count: 2 << 20).write(to: URL(fileURLWithPath: manifest))
    #expect(refusal.contains("2097152 bytes; at most 1048576 are read"))
    try Data(repeating: UInt8(ascii: "["), count: 1 << 19).write(to: URL(fileURLWithPath: manifest))
    #expect(refusal.contains("is not a dataset's manifest"))
  }

  @Test func filesOfOtherDataAreRefused() throws {
    try convert(try source(), to: path)
    let other = Fixture([9])
    try other.write(to: "\(folder.path)/other.npz")
    try convert(
      OGBenchSource(path: "\(folder.path)/other.npz") { _ in (0, 1) }, to: "\(folder.path)/other")
    try FileManager.default.removeItem(atPath: "\(path)/actions.npy")
    try FileManager.default.copyItem(
      atPath: "\(folder.path)/other/actions.npy", toPath: "\(path)/actions.npy")
    #expect(refusal.contains("actions.npy: is float32 of shape [9, 1], not what the manifest says"))
    try FileManager.default.removeItem(atPath: "\(path)/actions.npy")
    symlink("\(folder.path)/other/actions.npy", "\(path)/actions.npy")
    #expect(refusal.contains("actions.npy: is a symbolic link; put the file itself there"))
  }

  @Test func validationDataAreFoundInASubdirectory() throws {
    try convert(try source(), to: path)
    #expect(try DatasetDirectory.validationPath(of: path) == nil)
    try convert(try source(), to: "\(path)/validation")
    #expect(try DatasetDirectory.validationPath(of: path) == "\(path)/validation")
    #expect(!DatasetDirectory.exists(at: folder.path))
  }
}
