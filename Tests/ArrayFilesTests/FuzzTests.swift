import ArrayFiles
import Foundation
import Testing

/// Randomly damaged files: reading either succeeds or throws a FileError that names the file, and returns no
/// more bytes than the file can hold.
@Suite struct FuzzTests {
  let directory = TemporaryDirectory()

  /// Reads all arrays of the file and returns the number of bytes read.
  private func readNpz(_ path: String) throws(FileError) -> Int {
    let file = try NpzFile(path: path)
    var failure: FileError?
    var bytes = 0
    for name in file.memberNames {
      do throws(FileError) {
        bytes += try file.floats(name).count * 4
        bytes += try file.doubles(name).count * 8
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  private func readSafetensors(_ path: String) throws(FileError) -> Int {
    let file = try SafetensorsFile(path: path)
    var bytes = 0
    for name in file.tensors.keys { bytes += try file.floats(name).count * 4 }
    try file.verify()
    return bytes
  }

  private func damage(_ bytes: [UInt8], _ random: inout Random) -> [UInt8] {
    var damaged = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) where !damaged.isEmpty {
      let index = Int.random(in: damaged.indices, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0: damaged.removeSubrange(index...)
      case 1: damaged.removeSubrange(index..<min(index + 9, damaged.count))
      case 2: damaged.insert(contentsOf: damaged[index...].prefix(20), at: index)
      case 3: for place in index..<min(index + 4, damaged.count) { damaged[place] = 0xFF }
      case 4: damaged[index] = UInt8.random(in: 0...255, using: &random)
      default: damaged[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      }
    }
    return damaged
  }

  /// Damages `original` `count` times. With `favoursEnd`, most of the damage is near its end, where the
  /// directory is.
  private func fuzz(
    _ original: [UInt8], count: Int, seed: UInt64, favoursEnd: Bool = false,
    _ read: (String) throws(FileError) -> Int
  ) {
    var random = Random(state: seed)
    var refused = 0
    for round in 0..<count {
      let split = favoursEnd && round % 4 != 0 ? max(0, original.count - 700) : 0
      let path = directory.write(Array(original[..<split]) + damage(Array(original[split...]), &random))
      do throws(FileError) {
        let bytes = try read(path)
        #expect(bytes <= 1032 * 8 * original.count + 100_000, "round \(round)")
      } catch {
        refused += 1
        #expect(error.file == path && error.kind == .malformed, "round \(round): \(error)")
        #expect(!error.description.contains { $0.isNewline }, "round \(round)")
      }
    }
    #expect(refused > count / 3, "the damage was not noticed")
  }

  private func smallNpz() throws -> [UInt8] {
    let path = "\(directory.path)/small.npz"
    let writer = try NpzWriter(path: path)
    try writer.add("observations", (0..<60).map { Float($0).squareRoot() }, shape: [20, 3])
    try writer.add("actions", (0..<20).map { Double($0) / 20 }, shape: [20, 1])
    try writer.add("terminals", (0..<20).map { $0 % 10 == 9 })
    try writer.finish()
    return contents(path)
  }

  @Test func damagedNpzFilesAreReadOrRefused() throws {
    fuzz(try smallNpz(), count: 6000, seed: 1, favoursEnd: true, readNpz)
  }

  @Test func damagedZip64FilesAreReadOrRefused() {
    let array = npy(data: raw([Float(1), 2, 3]))
    var zip = ZipFixture(
      ["x.npy", "y.npy"].map { name in
        ZipFixture.Member(name: name, data: array, isZip64: true, isZip64InDirectory: true)
      })
    zip.hasZip64End = true
    fuzz(zip.bytes, count: 6000, seed: 2, readNpz)
  }

  /// The checksum fits the damaged array, so that the damage reaches the parser of the array's header.
  @Test func damagedArrayHeadersAreReadOrRefused() {
    var random = Random(state: 3)
    let array = npy("<f4", "(2, 3)", data: raw([Float](repeating: 1, count: 6)))
    for round in 0..<6000 {
      let path = directory.write(ZipFixture([.init(data: damage(array, &random), method: 0)]).bytes)
      do throws(FileError) {
        _ = try readNpz(path)
      } catch {
        #expect(error.file == path && error.kind == .malformed, "round \(round): \(error)")
      }
    }
  }

  @Test func damagedSafetensorsFilesAreReadOrRefused() throws {
    let path = "\(directory.path)/a.safetensors"
    let values = (0..<40).map { Float($0) }
    try values.withUnsafeBufferPointer {
      try SafetensorsWriter.write(
        path: path, metadata: ["step": "10", "name": "run"],
        tensors: [("actor/weight", [4, 10], $0), ("critic/weight", [10, 4], $0)])
    }
    fuzz(contents(path), count: 6000, seed: 4, readSafetensors)
  }

  private static let real = "../shared/parity/pointmaze.npz"

  @Test(.enabled(if: access(real, R_OK) == 0, "the reference file that NumPy wrote is missing"))
  func damagedFilesFromNumPyAreReadOrRefused() throws {
    fuzz(contents(Self.real), count: 300, seed: 5, favoursEnd: true, readNpz)
  }
}
