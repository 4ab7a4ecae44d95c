import Basics

/// A tensor as a safetensors header describes it.
public struct SafetensorsTensor: Sendable, Equatable {
  /// The type of the elements.
  public let dtype: ElementType
  /// The dimensions, in C order; empty for a single number.
  public let shape: [Int]
  /// The byte range of the tensor, counted from the start of the file.
  public let byteRange: Range<Int>

  /// The number of elements.
  public var count: Int { byteRange.count / dtype.size }
}

/// The header of a safetensors file. The parser accepts exactly the JSON that the format allows, an object of
/// flat objects, and therefore needs no recursion.
struct SafetensorsHeader {
  /// The reason for which a header is refused, and the tensor concerned, if any. The caller adds the name of
  /// the file.
  struct Refusal: Error {
    var tensor: String?
    let reason: String
  }

  /// A metadata string and the byte range of its characters in the header, between the quotes.
  struct MetadataValue {
    let text: String
    let range: Range<Int>
  }

  private(set) var metadata: [String: MetadataValue] = [:]
  private(set) var tensors: [String: SafetensorsTensor] = [:]
  private var hasMetadata = false
  private let bytes: [UInt8]
  private let dataOffset: Int
  private var position = 0

  /// Parses the header `bytes` of a file of `fileSize` bytes, whose tensors start at `dataOffset` and must
  /// cover the rest of the file without gaps or overlaps.
  init(_ bytes: [UInt8], dataOffset: Int, fileSize: Int) throws(Refusal) {
    self.bytes = bytes
    self.dataOffset = dataOffset
    guard bytes.first == UInt8(ascii: "{") else {
      throw Refusal(reason: "its header does not start with '{'")
    }
    try parseObject { (header, key) throws(Refusal) in try header.parseEntry(key) }
    guard next() == nil else { throw Refusal(reason: "its header has text after its end") }
    try checkCoverage(dataSize: fileSize - dataOffset)
  }

  private mutating func parseEntry(_ key: String) throws(Refusal) {
    if key == "__metadata__" {
      guard !hasMetadata else { throw Refusal(reason: "its header repeats '__metadata__'") }
      hasMetadata = true
      try parseObject { (header, key) throws(Refusal) in
        let (text, range) = try header.string()
        guard header.metadata.updateValue(MetadataValue(text: text, range: range), forKey: key) == nil else {
          throw Refusal(reason: "its metadata repeat '\(printable(key))'")
        }
      }
    } else {
      let tensor = try parseTensor(key)
      guard tensors.updateValue(tensor, forKey: key) == nil else {
        throw Refusal(tensor: key, reason: "occurs more than once")
      }
    }
  }

  private mutating func parseTensor(_ name: String) throws(Refusal) -> SafetensorsTensor {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
    try parseObject { (header, key) throws(Refusal) in
      switch key {
      case "dtype" where dtype == nil: dtype = try header.string().text
      case "shape" where shape == nil: shape = try header.sizes()
      case "data_offsets" where offsets == nil: offsets = try header.sizes()
      default: throw Refusal(tensor: name, reason: "has an unknown or repeated property '\(printable(key))'")
      }
    }
    guard let dtype, let shape, let offsets else {
      throw Refusal(tensor: name, reason: "lacks one of dtype, shape and data_offsets")
    }
    guard let type = Self.types[dtype] else {
      throw Refusal(tensor: name, reason: "dtype '\(printable(dtype, limit: 24))' is not supported")
    }
    guard let range = byteRange(type, shape, offsets) else {
      let claim = "\(dtype) of shape \(describe(shape: shape))"
      throw Refusal(tensor: name, reason: "\(claim) does not fit data_offsets \(offsets)")
    }
    return SafetensorsTensor(dtype: type, shape: shape, byteRange: range)
  }

  /// The byte range in the file for the `offsets` into its data; nil if its size is not what type and shape
  /// require.
  private func byteRange(_ type: ElementType, _ shape: [Int], _ offsets: [Int]) -> Range<Int>? {
    guard offsets.count == 2, offsets[0] <= offsets[1], let count = elementCount(shape: shape) else {
      return nil
    }
    let (size, sizeOverflow) = count.multipliedReportingOverflow(by: type.size)
    let (end, endOverflow) = offsets[1].addingReportingOverflow(dataOffset)
    guard !sizeOverflow, !endOverflow, offsets[1] - offsets[0] == size else { return nil }
    return dataOffset + offsets[0]..<end
  }

  private func checkCoverage(dataSize: Int) throws(Refusal) {
    var covered = dataOffset
    let order = tensors.sorted {
      ($0.value.byteRange.lowerBound, $0.value.byteRange.upperBound)
        < ($1.value.byteRange.lowerBound, $1.value.byteRange.upperBound)
    }
    for (name, tensor) in order {
      guard tensor.byteRange.lowerBound == covered else {
        let fault =
          tensor.byteRange.lowerBound < covered ? "overlaps another tensor" : "leaves a hole before it"
        throw Refusal(tensor: name, reason: fault)
      }
      covered = tensor.byteRange.upperBound
    }
    guard covered - dataOffset == dataSize else {
      throw Refusal(reason: "has \(dataSize) bytes of data where its tensors take \(covered - dataOffset)")
    }
  }

  private static let types: [String: ElementType] = [
    "BOOL": .bool, "I8": .int8, "I16": .int16, "I32": .int32, "I64": .int64, "U8": .uint8, "U16": .uint16,
    "U32": .uint32, "U64": .uint64, "F16": .float16, "BF16": .bfloat16, "F32": .float32, "F64": .float64,
  ]

  // MARK: JSON

  /// Parses `{"key": …, …}` and calls `value` with each key to parse the value that follows.
  private mutating func parseObject(
    _ value: (inout SafetensorsHeader, String) throws(Refusal) -> Void
  ) throws(Refusal) {
    try expect("{")
    if next() == UInt8(ascii: "}") { return try expect("}") }
    while true {
      let key = try string().text
      try expect(":")
      try value(&self, key)
      if next() == UInt8(ascii: "}") { return try expect("}") }
      try expect(",")
    }
  }

  /// An array of sizes, such as `[256, 28]`.
  private mutating func sizes() throws(Refusal) -> [Int] {
    var values: [Int] = []
    try expect("[")
    if next() != UInt8(ascii: "]") {
      values.append(try size())
      while next() == UInt8(ascii: ",") {
        try expect(",")
        guard values.count < 32 else {
          throw Refusal(reason: "a tensor in its header has too many dimensions")
        }
        values.append(try size())
      }
    }
    try expect("]")
    return values
  }

  private mutating func size() throws(Refusal) -> Int {
    skipSpaces()
    let start = position
    while position < bytes.count, (48...57).contains(bytes[position]) { position += 1 }
    let digits = bytes[start..<position]
    guard let value = Int(String(decoding: digits, as: UTF8.self)), digits.count == 1 || digits.first != 48
    else {
      throw Refusal(reason: "its header has a size at byte \(start) that is not a size")
    }
    return value
  }

  /// A string and its byte range in the header, between the quotes.
  private mutating func string() throws(Refusal) -> (text: String, range: Range<Int>) {
    try expect("\"")
    let start = position
    var units: [UInt8] = []
    while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
      let byte = bytes[position]
      position += 1
      guard byte >= 0x20 else {
        throw Refusal(reason: "its header has a control character at byte \(position)")
      }
      if byte == UInt8(ascii: "\\") { units += try escape() } else { units.append(byte) }
    }
    let range = start..<position
    try expect("\"")
    guard let text = String(validating: units, as: UTF8.self) else {
      throw Refusal(reason: "its header has a string at byte \(start) that is not UTF-8")
    }
    return (text, range)
  }

  /// The UTF-8 bytes of the escape sequence after a backslash.
  private mutating func escape() throws(Refusal) -> [UInt8] {
    let broken = Refusal(reason: "its header has a bad escape sequence at byte \(position)")
    guard position < bytes.count else { throw broken }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [8]
    case UInt8(ascii: "f"): return [12]
    case UInt8(ascii: "n"): return [10]
    case UInt8(ascii: "r"): return [13]
    case UInt8(ascii: "t"): return [9]
    case UInt8(ascii: "u"):
      var scalar = try hexadecimalUnit(broken)
      if (0xD800..<0xDC00).contains(scalar) {
        guard bytes[position...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else { throw broken }
        position += 2
        let low = try hexadecimalUnit(broken)
        guard (0xDC00..<0xE000).contains(low) else { throw broken }
        scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let character = Unicode.Scalar(scalar) else { throw broken }
      return Array(String(character).utf8)
    default: throw broken
    }
  }

  private mutating func hexadecimalUnit(_ broken: Refusal) throws(Refusal) -> UInt32 {
    guard bytes.count - position >= 4 else { throw broken }
    var value: UInt32 = 0
    for byte in bytes[position..<position + 4] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw broken }
      value = value << 4 | UInt32(digit)
    }
    position += 4
    return value
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(Refusal) {
    guard next() == UInt8(ascii: character) else {
      throw Refusal(
        reason: "its header is not the expected JSON at byte \(position): '\(character)' is missing")
    }
    position += 1
  }

  private mutating func skipSpaces() {
    while position < bytes.count, [32, 10, 13, 9].contains(bytes[position]) { position += 1 }
  }

  private mutating func next() -> UInt8? {
    skipSpaces()
    return position < bytes.count ? bytes[position] : nil
  }
}
