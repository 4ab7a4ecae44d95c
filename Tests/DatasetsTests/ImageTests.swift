import ArrayFiles
import Basics
import Datasets
import Foundation
import Testing

/// Height and width of the images.
private let (height, width) = (2, 3)
private let size = height * width * 3

/// The bytes of the image of a row.
private func image(_ row: Int) -> [UInt8] { (0..<size).map { UInt8((row * 20 + $0) % 256) } }

/// Images of several rows in one, with their channels behind each other.
private func stack(_ rows: [Int]) -> [UInt8] {
  (0..<height * width).flatMap { pixel in rows.flatMap { image($0)[3 * pixel..<3 * pixel + 3] } }
}

/// Datasets with images as observations.
@Suite struct ImageTests {
  let folder = TemporaryDirectory()
  var path: String { "\(folder.path)/data.npz" }

  /// Writes a dataset whose episodes have 3 and 4 rows.
  private func write(
    _ images: [UInt8]? = nil, shape: [Int]? = nil, states: [Float]? = nil, rewards: Bool = true
  ) throws {
    let terminals: [Bool] = [false, false, true, false, false, false, true]
    let writer = try NpzWriter(path: path)
    try writer.add(
      "observations", images ?? (0..<7).flatMap(image), shape: shape ?? [7, height, width, 3])
    try writer.add("actions", (0..<7).map { Float($0) / 10 }, shape: [7, 1])
    try writer.add("terminals", terminals)
    if rewards {
      try writer.add("rewards", (0..<7).map { Float($0) })
      try writer.add("masks", (0..<7).map { Float($0 % 2) })
    }
    if let states { try writer.add("qpos", states, shape: [7, states.count / 7]) }
    try writer.finish()
  }

  /// The observations of a transition.
  private func observations(_ source: some TransitionSource, _ transition: Int) throws -> [[UInt8]] {
    var pair = [[UInt8]](repeating: [UInt8](repeating: 0, count: source.observation.count), count: 2)
    var numbers = [Float](repeating: 0, count: 4)
    var (state, next) = (pair[0], pair[1])
    try numbers.withUnsafeMutableBufferPointer { numbers in
      let base = numbers.baseAddress!
      try source.gather(
        transition, observation: &state, action: base, reward: base + 1, mask: base + 2,
        nextObservation: &next,
        nextAction: base + 3)
    }
    pair = [state, next]
    return pair
  }

  private func refusal() -> String {
    do {
      _ = try Loaded(try OGBenchSource(path: path))
      return "accepted"
    } catch { return "\(error)" }
  }

  @Test func imagesStayBytes() throws {
    try write()
    let loaded = try Loaded(OGBenchSource(path: path))
    #expect(loaded.dataset.plan.observation == .image(height: height, width: width, channels: 3))
    #expect(loaded.dataset.plan.actionsOffset == 128, "7 images of 18 bytes")
    #expect(try observations(loaded.dataset, 2) == [image(3), image(4)])
    #expect(loaded.statistics.imageSize == [height, width, 3])
    #expect(
      loaded.statistics.observationMinimum == [0, 1, 2]
        && loaded.statistics.observationMaximum == [135, 136, 137])
  }

  /// Before the start of an episode its first row is repeated; the next observation drops the oldest frame.
  @Test func framesAreStackedWithinEpisodes() throws {
    try write()
    try convert(OGBenchSource(path: path), to: "\(folder.path)/data")
    let directory = try DatasetDirectory(path: "\(folder.path)/data")
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: directory.plan.byteCount, alignment: 64)
    let index = UnsafeMutableRawBufferPointer.allocate(byteCount: directory.indexByteCount, alignment: 64)
    defer { for block in [memory, index] { block.deallocate() } }
    _ = try directory.load(into: memory)
    try directory.loadIndex(into: index)
    let loaded = TransitionMemory(plan: directory.plan, base: memory.baseAddress!, frames: 3)
    let files = directory.transitions(index: index.baseAddress!, frames: 3)
    #expect(loaded.observation == .image(height: height, width: width, channels: 9))
    for (transition, rows) in [[0, 0, 0, 1], [0, 0, 1, 2], [3, 3, 3, 4], [3, 3, 4, 5], [3, 4, 5, 6]]
      .enumerated()
    {
      let expected = [stack(Array(rows[0...2])), stack(Array(rows[1...3]))]
      #expect(try observations(loaded, transition) == expected, "transition \(transition)")
      files.prefetch { $0(transition) }
      #expect(try observations(files, transition) == expected, "transition \(transition)")
    }
  }

  @Test func aDirectoryHoldsTheImagesOfItsSource() throws {
    try write()
    let statistics = try convert(OGBenchSource(path: path), to: "\(folder.path)/data")
    let directory = try DatasetDirectory(path: "\(folder.path)/data")
    try directory.verify()
    #expect(directory.survey() == statistics)
    let loaded = try Loaded(directory)
    #expect(try observations(loaded.dataset, 4) == [image(5), image(6)])
    let file = try NpyFile(path: "\(folder.path)/data/observations.npy")
    #expect(file.header.dtype == .uint8 && file.header.shape == [7, height, width, 3])
  }

  @Test func damagedImagesAreRefused() throws {
    try write()
    try convert(OGBenchSource(path: path), to: "\(folder.path)/data")
    let url = URL(fileURLWithPath: "\(folder.path)/data/observations.npy")
    var data = try Data(contentsOf: url)
    data[data.count - 3] ^= 1
    try data.write(to: url)
    let error = #expect(throws: FileError.self) {
      try Loaded(DatasetDirectory(path: "\(folder.path)/data"))
    }
    #expect("\(error!)".contains("observations.npy: is damaged"))
  }

  @Test func rewardsCanComeFromStatesBesideImages() throws {
    try write(states: (0..<7).flatMap { [Float($0), 0] }, rewards: false)
    let source = try OGBenchSource(path: path, rewards: { ($0[0] * 2, 1) }, from: "qpos")
    #expect(try Loaded(source).statistics.reward.maximum == 10)
    try write(rewards: false)
    let error = #expect(throws: FileError.self) {
      try Loaded(OGBenchSource(path: path, rewards: { ($0[0], 1) }, from: "qpos"))
    }
    #expect("\(error!)".contains("has no rewards and masks, and no 'qpos' to compute them from"))
  }

  @Test(arguments: [
    ([7, 6, 3, 1], "repeat the one channel three times"),
    ([7, 18], "convert vectors to float32"), ([7, 3, 6], "repeat one channel three times"),
    ([7, 1, 3, 6], "--frame-stack stacks them"), ([7, 1, 2, 3, 3], "each frame once"),
    ([7, 9, 1, 2], "images are (rows, height, width, 3)"),
  ])
  func otherShapesAreRefused(shape: [Int], advice: String) throws {
    try write(shape: shape)
    #expect(refusal().contains(advice), "\(refusal())")
  }

  @Test func channelsFirstAndFloatsAreRefused() throws {
    try write([UInt8](repeating: 9, count: 7 * 3 * 16), shape: [7, 3, 4, 4])
    #expect(refusal().contains("the channels come first here: transpose to (0, 2, 3, 1)"))
    try write([UInt8](repeating: 9, count: 7 * 4 * 16), shape: [7, 4, 4, 4])
    #expect(refusal().contains("leave out the fourth channel"))
    let writer = try NpzWriter(path: path)
    try writer.add("observations", [Float](repeating: 0.5, count: 7 * size), shape: [7, height, width, 3])
    try writer.add("actions", [Float](repeating: 0, count: 7), shape: [7, 1])
    try writer.add("terminals", [Float](repeating: 1, count: 7))
    try writer.finish()
    #expect(refusal().contains("is float32 of shape [7, 2, 3, 3]: images must be uint8, 0 to 255"))
  }

  @Test func imagesThatWereScaledTooEarlyAreReported() throws {
    try write((0..<7 * size).map { UInt8($0 % 2) })
    let warnings = try Loaded(OGBenchSource(path: path)).statistics.warnings(areClipped: false)
    #expect(warnings.contains { $0.contains("no number of an image is greater than 1") }, "\(warnings)")
    try write([UInt8](repeating: 7, count: 7 * size))
    let others = try Loaded(OGBenchSource(path: path)).statistics.warnings(areClipped: false)
    #expect(others.contains { $0.contains("every number of every image is 7") }, "\(others)")
  }
}
