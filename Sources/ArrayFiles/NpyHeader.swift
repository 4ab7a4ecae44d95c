import Basics

/// The header of a NumPy array in C order: its element type and shape.
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

  /// Reads the header at the start of an array of `size` bytes, header included. Each call of `take` returns
  /// the next bytes of the array. Throws ``FileError`` about `file` and, in an archive, its `member`, if the
  /// header is malformed or claims another size.
  static func read(
    _ file: String, _ member: String?, size: Int, take: (Int) throws(FileError) -> [UInt8]
  ) throws(FileError) -> NpyHeader {
    let notAnArray = FileError.malformed(file, member, "is not a NumPy array")
    guard size >= 12 else { throw notAnArray }
    let start = try take(8)
    guard start.starts(with: magic) else { throw notAnArray }
    guard (1...3).contains(start[6]), start[7] == 0 else {
      throw .malformed(file, member, "has NumPy format version \(start[6]).\(start[7]); 1.0 to 3.0 are read")
    }
    let field = try take(start[6] == 1 ? 2 : 4)
    let length = field.reversed().reduce(0) { $0 << 8 | Int($1) }
    let dataOffset = 8 + field.count + length
    guard length <= longestNpyHeader, dataOffset <= size else {
      throw .malformed(file, member, "claims an array header of \(length) bytes")
    }
    var parser = NpyHeaderParser(try take(length))
    let header: NpyHeader
    do throws(NpyHeaderParser.Refusal) {
      header = try parser.parse(dataOffset: dataOffset)
    } catch {
      throw .malformed(file, member, error.reason)
    }
    guard header.byteCount == size - dataOffset else {
      throw .malformed(
        file, member,
        "\(header.dtype) of shape \(describe(shape: header.shape)) does not fit \(size - dataOffset) bytes of data"
      )
    }
    return header
  }

  /// The bytes of a header: magic, version, length and dictionary, padded with spaces to `length` bytes or,
  /// if `length` is nil, to the next multiple of 64 bytes.
  static func bytes(_ type: ElementType, _ shape: [Int], length: Int? = nil) -> [UInt8] {
    guard let name = type.numPyName else { preconditionFailure("NumPy has no \(type)") }
    let dictionary = "{'descr': '\(name)', 'fortran_order': False, 'shape': \(describe(shape: shape)), }"
    let needed = 10 + dictionary.utf8.count + 1
    let length = length ?? (needed + 63) / 64 * 64
    precondition(needed <= length && length <= 0xFFFF, "too many dimensions")
    return magic + [1, 0] + little(UInt16(length - 10)) + Array(dictionary.utf8)
      + [UInt8](repeating: 0x20, count: length - needed) + [0x0A]
  }

  private static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]
}

/// The longest header accepted. NumPy writes 118 bytes for ordinary arrays and reads no more than 10,000.
let longestNpyHeader = 65_536

/// Parses the dictionary literal of an NPY header, such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`. It must have exactly these keys, once each,
/// in any order, and nothing may follow it.
struct NpyHeaderParser {
  /// The reason for which a header is refused. The caller adds the names of the file and the member.
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

  private static let codes = Dictionary(
    uniqueKeysWithValues: ElementType.allCases.compactMap { type in
      type.numPyName.map { (String($0.dropFirst()), type) }
    })

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
