import ArrayFiles
import Foundation
import Testing

@Suite struct NpzWritingTests {
  let directory = TemporaryDirectory()

  private func write(_ path: String) throws(FileError) {
    let writer = try NpzWriter(path: path)
    try writer.add("a", (0..<6).map { Float($0) / 3 }, shape: [2, 3])
    try writer.add("group/b", [0.1, -1e300])
    try writer.add("flags", [true, false, true])
    try writer.add("i1", [Int8(-5), 5])
    try writer.add("u1", [UInt8(250)])
    try writer.add("i4", [Int32.min])
    try writer.add("i8", [Int64.max], shape: [])
    try writer.add("empty", [Float](), shape: [0, 4])
    try writer.finish()
  }

  @Test func whatIsWrittenIsReadBack() throws {
    let path = "\(directory.path)/a.npz"
    try write(path)
    let file = try NpzFile(path: path)
    #expect(file.memberNames == ["a", "group/b", "flags", "i1", "u1", "i4", "i8", "empty"])
    #expect(try file.header("a").shape == [2, 3] && file.header("a").dtype == .float32)
    #expect(try file.floats("a") == (0..<6).map { Float($0) / 3 })
    #expect(try file.doubles("group/b") == [0.1, -1e300])
    #expect(try file.floats("flags") == [1, 0, 1])
    #expect(try file.header("i8").shape == [] && file.header("empty").count == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["a.npz"])
  }

  @Test func theSameContentsGiveTheSameBytes() throws {
    try write("\(directory.path)/a.npz")
    try write("\(directory.path)/b.npz")
    #expect(contents("\(directory.path)/a.npz") == contents("\(directory.path)/b.npz"))
  }

  /// The arrays are larger than every buffer; one is compressible and one is not.
  @Test func largeArraysAreReadBack() throws {
    var random = Random(state: 1)
    let noise = (0..<700_001).map { _ in Double(bitPattern: random.next() >> 2) }
    let ramp = (0..<1_500_000).map { Float($0) }
    let path = "\(directory.path)/a.npz"
    let writer = try NpzWriter(path: path)
    try writer.add("noise", noise)
    try writer.add("ramp", ramp)
    try writer.finish()
    let file = try NpzFile(path: path)
    #expect(try file.doubles("noise") == noise)
    #expect(try file.floats("ramp") == ramp)
    #expect(try file.doubles("ramp") == ramp.map(Double.init))
  }

  @Test func nothingAppearsWithoutFinish() throws {
    do {
      let writer = try NpzWriter(path: "\(directory.path)/a.npz")
      try writer.add("a", [Float(1)])
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
  }

  @Test func aPathThatCannotBeWrittenThrows() {
    let reason = failure { () throws(FileError) in _ = try NpzWriter(path: "\(directory.path)/no/a.npz") }
    #expect(reason?.contains("no/a.npz: cannot be created") == true)
  }

  @Test(.enabled(if: hasNumPy, "Python with NumPy is not installed")) func numPyReadsWrittenFiles() throws {
    let path = "\(directory.path)/a.npz"
    try write(path)
    let script = """
      import numpy, sys
      z = numpy.load(sys.argv[1], allow_pickle=False)
      print([(k, str(z[k].dtype), z[k].shape, z[k].ravel().tolist()) for k in ('flags', 'i1', 'u1', 'i4', 'i8', 'empty')])
      assert (z['a'] == (numpy.arange(6, dtype='f4') / numpy.float32(3)).reshape(2, 3)).all()
      assert z['group/b'].tolist() == [0.1, -1e300]
      """
    #expect(
      python(script, path) == """
        [('flags', 'bool', (3,), [True, False, True]), ('i1', 'int8', (2,), [-5, 5]), ('u1', 'uint8', (1,), [250]), \
        ('i4', 'int32', (1,), [-2147483648]), ('i8', 'int64', (), [9223372036854775807]), \
        ('empty', 'float32', (0, 4), [])]
        """)
  }

  @Test(.enabled(if: hasNumPy, "Python with NumPy is not installed"))
  func filesWrittenByNumPyAreRead() throws {
    for save in ["savez", "savez_compressed"] {
      let path = "\(directory.path)/\(save).npz"
      let script = """
        import numpy, sys
        a = numpy.arange(12, dtype='f8').reshape(3, 4)
        numpy.\(save)(sys.argv[1], a=a, f=numpy.asfortranarray(a), b=a.astype('>i4'), h=a.astype('f2'), o=numpy.array([{}]))
        """
      try #require(python(script, path) != nil)
      let file = try NpzFile(path: path)
      #expect(try file.floats("a") == (0..<12).map { Float($0) })
      #expect(try file.floats("h") == (0..<12).map { Float($0) })
      for (name, reason) in [("f", "Fortran"), ("b", "big-endian"), ("o", "pickled")] {
        #expect(failure { () throws(FileError) in _ = try file.floats(name) }!.contains(reason))
      }
    }
  }
}
