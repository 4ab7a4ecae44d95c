/// What the header of a NumPy array says: element type and shape, in C order.
public struct NpyHeader: Sendable, Equatable {
  /// The type of the elements.
  public let dtype: ElementType
  /// The dimensions; empty for a single number.
  public let shape: [Int]
  /// The number of elements, the product of ``shape``.
  public let count: Int
  /// Bytes before the first element.
  let dataOffset: Int

  /// Bytes that the array takes after its header, nil on overflow.
  var byteCount: Int? {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: dtype.size)
    return overflow ? nil : bytes
  }
}

/// The longest header accepted. NumPy writes 118 bytes for ordinary arrays and reads no more than 10,000.
let longestNpyHeader = 65_536

/// Parses the dictionary literal of an NPY header, `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`,
/// and nothing beyond it: exactly these keys, once each, in any order.
struct NpyHeaderParser {
  /// A reason for refusal; the caller knows file and member.
  struct Refusal: Error { let reason: String }

  private let text: [UInt8]
  private var position = 0
  private var dtype: ElementType?
  private var isFortran: Bool?
  private var shape: [Int]?

  init(_ text: [UInt8]) { self.text = text }

  mutating func parse(dataOffset: Int) throws(Refusal) -> NpyHeader {
    try expect("{")
    while next() != UInt8(ascii: "}") {
      try parseEntry()
      if next() == UInt8(ascii: ",") { position += 1 } else { break }
    }
    try expect("}")
    guard next() == nil else { throw Refusal(reason: "the array header has text after its dictionary") }
    guard let dtype, let isFortran, let shape else {
      throw Refusal(reason: "the array header lacks one of 'descr', 'fortran_order' and 'shape'")
    }
    if isFortran && shape.count > 1 {
      throw Refusal(reason: "is in Fortran order; save it with numpy.ascontiguousarray")
    }
    guard let count = elementCount(shape: shape) else {
      throw Refusal(reason: "shape \(describe(shape: shape)) has too many elements")
    }
    return NpyHeader(dtype: dtype, shape: shape, count: count, dataOffset: dataOffset)
  }

  private mutating func parseEntry() throws(Refusal) {
    let key = try string()
    try expect(":")
    switch key {
    case "descr" where dtype == nil: dtype = try elementType()
    case "fortran_order" where isFortran == nil: isFortran = try boolean()
    case "shape" where shape == nil: shape = try tuple()
    default: throw Refusal(reason: "the array header has an unknown or repeated key '\(printable(key))'")
    }
  }

  private mutating func elementType() throws(Refusal) -> ElementType {
    guard let first = next(), first == UInt8(ascii: "'") || first == UInt8(ascii: "\"") else {
      throw Refusal(reason: "has a structured dtype; save each field as an array of its own")
    }
    return try Self.elementType(named: try string())
  }

  /// The type that NumPy calls `name`, such as `<f4`.
  private static func elementType(named name: String) throws(Refusal) -> ElementType {
    let shown = printable(name, limit: 24)
    let order = name.first
    let code = order.map { "<>|=".contains($0) } == true ? String(name.dropFirst()) : name
    if code.hasPrefix("O") { throw Refusal(reason: "dtype '\(shown)': pickled objects are never read") }
    if code.hasPrefix("U") || code.hasPrefix("S") {
      throw Refusal(reason: "dtype '\(shown)' is text; only numbers are read")
    }
    if code.hasPrefix("V") { throw Refusal(reason: "dtype '\(shown)' is structured or void") }
    guard let type = codes[code] else { throw Refusal(reason: "dtype '\(shown)' is not supported") }
    if order == ">" && type.size > 1 {
      throw Refusal(reason: "dtype '\(shown)' is big-endian; convert it to little-endian")
    }
    return type
  }

  private static let codes: [String: ElementType] = [
    "b1": .bool, "i1": .int8, "i2": .int16, "i4": .int32, "i8": .int64, "u1": .uint8, "u2": .uint16,
    "u4": .uint32, "u8": .uint64, "f2": .float16, "f4": .float32, "f8": .float64,
  ]

  private mutating func boolean() throws(Refusal) -> Bool {
    skipSpaces()
    for (word, value) in [("True", true), ("False", false)] where text[position...].starts(with: word.utf8) {
      position += word.utf8.count
      return value
    }
    throw Refusal(reason: "the array header's 'fortran_order' is neither True nor False")
  }

  private mutating func tuple() throws(Refusal) -> [Int] {
    try expect("(")
    var dimensions: [Int] = []
    while next() != UInt8(ascii: ")") {
      guard dimensions.count < 32 else { throw Refusal(reason: "has more than 32 dimensions") }
      dimensions.append(try dimension())
      if next() == UInt8(ascii: ",") { position += 1 } else { break }
    }
    try expect(")")
    return dimensions
  }

  private mutating func dimension() throws(Refusal) -> Int {
    var value = 0
    let start = position
    while let digit = current, (48...57).contains(digit) {
      let (tens, over) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(digit) - 48)
      if over || carry { throw Refusal(reason: "a dimension is too large") }
      value = sum
      position += 1
    }
    guard position > start else { throw Refusal(reason: "the array header's shape is not a tuple of sizes") }
    return value
  }

  private mutating func string() throws(Refusal) -> String {
    guard let quote = next(), quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\""),
      let end = text[(position + 1)...].firstIndex(of: quote)
    else { throw Refusal(reason: "the array header is not the dictionary NumPy writes") }
    defer { position = end + 1 }
    return String(decoding: text[(position + 1)..<end], as: UTF8.self)
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(Refusal) {
    guard next() == UInt8(ascii: character) else {
      throw Refusal(reason: "the array header is not the dictionary NumPy writes")
    }
    position += 1
  }

  private var current: UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipSpaces() {
    while let byte = current, byte == 32 || byte == 10 || byte == 9 || byte == 13 { position += 1 }
  }

  /// The next byte that is not white space, without consuming it.
  private mutating func next() -> UInt8? {
    skipSpaces()
    return current
  }
}
