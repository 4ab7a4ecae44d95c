import ArrayFiles
import Foundation
import Testing

@Suite struct SafetensorsTests {
  let directory = TemporaryDirectory()

  /// Writes a file with the header `json` and returns its path.
  private func file(_ json: String, _ data: [UInt8] = [], length: UInt64? = nil) -> String {
    directory.write(little(length ?? UInt64(json.utf8.count)) + Array(json.utf8) + data, to: "a.safetensors")
  }

  private func refusal(_ json: String, _ data: [UInt8] = [], length: UInt64? = nil) -> String? {
    let path = file(json, data, length: length)
    return failure { () throws(FileError) in _ = try SafetensorsFile(path: path) }
  }

  private func write(to name: String = "a.safetensors", metadata: [String: String] = [:]) throws -> String {
    let path = "\(directory.path)/\(name)"
    let weights = (0..<6).map { Float($0) / 7 }
    let bias: [Float] = [1, -2]
    try weights.withUnsafeBufferPointer { weights in
      try bias.withUnsafeBufferPointer { bias in
        try SafetensorsWriter.write(
          path: path, metadata: metadata,
          tensors: [
            ("critic/weight", [2, 3], weights), ("actor/bias \"é\"", [2], bias),
            ("none", [0, 7], UnsafeBufferPointer(start: nil, count: 0)),
          ])
      }
    }
    return path
  }

  @Test func handMadeFilesAreRead() throws {
    let json = """
      {"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}, "__metadata__" : {"k\\u00e9\\ud83d\\ude00":"a\\n\\"b"},
       "a" : {"data_offsets":[0,4] , "shape":[1, 2], "dtype":"BF16"}, "c":{"dtype":"I64","shape":[],"data_offsets":[12,20]},
       "e":{"dtype":"F32","shape":[0],"data_offsets":[12,12]}}  \u{20}
      """
    let data = raw([UInt16(0x3F80), 0xC000]) + raw([Float(5), 0.5]) + raw([Int64(-9)])
    let file = try SafetensorsFile(path: file(json, data))
    #expect(file.metadata == ["ké😀": "a\n\"b"])
    #expect(file.tensors["a"]?.shape == [1, 2] && file.tensors["a"]?.dtype == .bfloat16)
    #expect(try file.floats("a") == [1, -2] && file.floats("b") == [5, 0.5] && file.floats("c") == [-9])
    #expect(try file.floats("e").isEmpty)
    #expect(
      failure { () throws(FileError) in _ = try file.floats("z") }!.contains("member 'z': is not in the file")
    )
    #expect(failure { () throws(FileError) in try file.verify() }!.contains("has no checksum"))
  }

  @Test func headersThatAreNotExactlyTheFormatAreRefused() {
    let four: [UInt8] = [0, 0, 0, 0]
    let cases: [(String, String)] = [
      ("", "'{'"), (" {}", "'{'"), ("[]", "'{'"), ("{", "missing"), ("{} x", "after its end"),
      ("{\"a\"}", "':'"),
      (String(repeating: "{\"a\":", count: 1000), "unknown or repeated property"),
      ("{\"a\":[[[[[[]]]]]]}", "'{'"), ("{\"a\":{}}", "lacks one of"),
      ("{\"__metadata__\":{\"a\":1}}", "missing"),
      ("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", "repeat 'a'"),
      ("{\"__metadata__\":{},\"__metadata__\":{}}", "repeats"), ("{\"a\\ud800\":{}}", "escape"),
      ("{\"a\\q\":{}}", "escape"), ("{\"a\u{1}\":{}}", "control character"),
    ]
    for (json, reason) in cases { #expect(refusal(json)?.contains(reason) == true, "\(json.prefix(60))") }
    let tensors: [(String, String)] = [
      ("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]", "does not fit"),
      ("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]", "does not fit"),
      ("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]", "does not fit"),
      ("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]", "does not fit"),
      ("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]", "does not fit"),
      ("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]", "not a size"),
      ("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]", "not a size"),
      ("\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]", "not a size"),
      ("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]", "missing"),
      ("\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]", "'F8_E4M3' is not supported"),
      ("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":\"y\"", "property 'x'"),
      ("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]", "property 'dtype'"),
      (
        "\"dtype\":\"U8\",\"shape\":[9223372036854775807],\"data_offsets\":[0,9223372036854775807]",
        "does not fit"
      ),
    ]
    for (json, reason) in tensors {
      #expect(refusal("{\"a\":{\(json)}}", four)?.contains(reason) == true, "\(json)")
    }
  }

  @Test func tensorsThatDoNotCoverTheDataExactlyAreRefused() {
    func json(_ offsets: (Int, Int)...) -> String {
      let tensors = offsets.enumerated().map { index, offset in
        "\"t\(index)\":{\"dtype\":\"U8\",\"shape\":[\(offset.1 - offset.0)],\"data_offsets\":[\(offset.0),\(offset.1)]}"
      }
      return "{" + tensors.joined(separator: ",") + "}"
    }
    let data = [UInt8](repeating: 1, count: 8)
    #expect(refusal(json((0, 4), (4, 8)), data) == nil)
    #expect(refusal(json((0, 4), (5, 8)), data)!.contains("'t1': leaves a hole"))
    #expect(refusal(json((1, 8)), data)!.contains("hole"))
    #expect(refusal(json((0, 5), (4, 8)), data)!.contains("'t1': overlaps"))
    #expect(refusal(json((0, 4)), data)!.contains("8 bytes of data where its tensors take 4"))
    #expect(refusal(json((0, 9)), data)!.contains("8 bytes of data where its tensors take 9"))
    #expect(
      refusal(json((0, 8)).replacingOccurrences(of: "}}", with: "},\"t0\":{}}"), data)!.contains("lacks"))
    let twice = json((0, 8)).dropLast() + "," + json((0, 8)).dropFirst()
    #expect(refusal(String(twice), data)!.contains("more than once"))
  }

  @Test func wrongHeaderLengthsAreRefused() {
    #expect(refusal("{}", length: 3)!.contains("cut short"))
    #expect(refusal("{}", length: .max)!.contains("claims a header"))
    #expect(refusal("{}", length: 100_000_001)!.contains("claims a header"))
    let path = directory.write([1, 2, 3])
    #expect(failure { () throws(FileError) in _ = try SafetensorsFile(path: path) }!.contains("too short"))
  }

  @Test func whatIsWrittenIsReadBack() throws {
    let metadata = ["step": "1000", "note \"\\": "line\n\u{1}é", "a\"crc32": "00000000"]
    let path = try write(metadata: metadata)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == metadata)
    #expect(file.tensors.keys.sorted() == ["actor/bias \"é\"", "critic/weight", "none"])
    #expect(file.tensors["critic/weight"]?.shape == [2, 3])
    #expect(try file.floats("critic/weight") == (0..<6).map { Float($0) / 7 })
    #expect(try file.floats("actor/bias \"é\"") == [1, -2])
    #expect(file.tensors["actor/bias \"é\""]!.byteRange.lowerBound % 8 == 0)
    try file.verify()
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["a.safetensors"])
    #expect(try contents(path) == contents(write(to: "b.safetensors", metadata: metadata)))
  }

  @Test func theChecksumIsComputedWithZerosInItsPlace() throws {
    var bytes = contents(try write())
    let key = Array("\"crc32\":\"".utf8)
    let start = bytes.indices.first { bytes[$0...].starts(with: key) }! + key.count
    let digits = String(decoding: bytes[start..<start + 8], as: UTF8.self)
    bytes.replaceSubrange(start..<start + 8, with: Array("00000000".utf8))
    #expect(UInt32(digits, radix: 16) == crc32(bytes))
  }

  /// The bytes that are read are those that are checked: damage after the check is found when a tensor is read.
  @Test func whatIsReadIsChecked() throws {
    let path = try write()
    let file = try SafetensorsFile(path: path)
    try file.verify()
    let range = file.tensors["critic/weight"]!.byteRange
    let handle = fopen(path, "r+")!
    fseek(handle, range.lowerBound + 3, SEEK_SET)
    fputc(0x12, handle)
    fclose(handle)
    let reason = failure { () throws(FileError) in _ = try file.floats("critic/weight") }
    #expect(reason?.contains("'critic/weight': is damaged") == true, "\(reason ?? "nothing")")
    #expect(try file.floats("actor/bias \"é\"") == [1, -2])
  }

  /// Damage to any single byte is found, and damage to a tensor names the tensor.
  @Test func damageIsFoundAndNamed() throws {
    let path = try write(metadata: ["seed": "3"])
    let bytes = contents(path)
    let range = try SafetensorsFile(path: path).tensors["critic/weight"]!.byteRange
    for index in bytes.indices {
      var damaged = bytes
      damaged[index] ^= 1
      let damagedPath = directory.write(damaged, to: "damaged.safetensors")
      let reason = failure { () throws(FileError) in try SafetensorsFile(path: damagedPath).verify() }
      #expect(reason != nil, "byte \(index)")
      if range.contains(index) {
        #expect(reason!.contains("member 'critic/weight': is damaged"), "byte \(index)")
      }
    }
  }

  @Test func aPathThatCannotBeWrittenThrows() {
    let reason = failure { () throws(FileError) in
      try SafetensorsWriter.write(path: "\(directory.path)/no/a.safetensors", metadata: [:], tensors: [])
    }
    #expect(reason?.contains("cannot be created") == true)
  }

  @Test(.enabled(if: hasPython, "Python is not installed"))
  func anIndependentReaderReadsTheSameTensors() throws {
    let path = try write(metadata: ["step": "5"])
    let script = """
      import json, struct, sys, zlib
      b = open(sys.argv[1], 'rb').read()
      n, = struct.unpack('<Q', b[:8])
      assert n % 8 == 0
      h = json.loads(b[8:8 + n])
      m = h.pop('__metadata__')
      for name, t in h.items():
          begin, end = t['data_offsets']
          data = b[8 + n + begin:8 + n + end]
          assert '%08x' % zlib.crc32(data) == m['crc32/' + name]
          print(name, t['dtype'], t['shape'], [round(x, 3) for x in struct.unpack('<%df' % (len(data) // 4), data)])
      print(m['step'])
      """
    #expect(
      python(script, path) == """
        actor/bias "é" F32 [2] [1.0, -2.0]
        critic/weight F32 [2, 3] [0.0, 0.143, 0.286, 0.429, 0.571, 0.714]
        none F32 [0, 7] []
        5
        """)
  }
}
