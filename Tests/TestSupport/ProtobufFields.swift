/// The fields of a protocol buffer message, read without knowledge of its type:
/// https://protobuf.dev/programming-guides/encoding
public struct ProtobufFields {
  /// The value of a field.
  public enum Value: Equatable, Sendable {
    /// An integer of any size.
    case integer(UInt64)
    /// Eight bytes, such as a double.
    case eightBytes(UInt64)
    /// Four bytes, such as a float.
    case fourBytes(UInt32)
    /// A string, bytes or another message.
    case bytes([UInt8])
  }

  /// Why bytes are no message.
  public struct Malformed: Error {}

  /// The fields in their order.
  public let all: [(number: Int, value: Value)]

  /// Reads a message.
  public init(_ bytes: some Collection<UInt8>) throws {
    var rest = ArraySlice(bytes)
    var fields: [(Int, Value)] = []
    while !rest.isEmpty {
      let key = try Self.varint(&rest)
      let value: Value =
        switch key & 7 {
        case 0: .integer(try Self.varint(&rest))
        case 1: .eightBytes(try Self.littleEndian(Self.take(8, &rest)))
        case 2: .bytes(Array(try Self.take(Int(try Self.varint(&rest)), &rest)))
        case 5: .fourBytes(UInt32(try Self.littleEndian(Self.take(4, &rest))))
        default: throw Malformed()
        }
      fields.append((Int(key >> 3), value))
    }
    all = fields
  }

  /// The values of a field.
  public subscript(number: Int) -> [Value] { all.filter { $0.number == number }.map(\.value) }

  /// The values of a field that holds integers.
  public func integers(_ number: Int) -> [Int] {
    self[number].compactMap {
      if case .integer(let value) = $0 { Int(truncatingIfNeeded: value) } else { nil }
    }
  }

  /// The values of a field that holds floats.
  public func floats(_ number: Int) -> [Float] {
    self[number].compactMap { if case .fourBytes(let bits) = $0 { Float(bitPattern: bits) } else { nil } }
  }

  /// The values of a field that holds bytes.
  public func bytes(_ number: Int) -> [[UInt8]] {
    self[number].compactMap { if case .bytes(let bytes) = $0 { bytes } else { nil } }
  }

  /// The values of a field that holds strings.
  public func texts(_ number: Int) -> [String] { bytes(number).map { String(decoding: $0, as: UTF8.self) } }

  /// The values of a field that holds messages.
  public func messages(_ number: Int) throws -> [ProtobufFields] { try bytes(number).map { try Self($0) } }

  private static func take(_ count: Int, _ rest: inout ArraySlice<UInt8>) throws -> ArraySlice<UInt8> {
    guard rest.count >= count else { throw Malformed() }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  private static func varint(_ rest: inout ArraySlice<UInt8>) throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 70, by: 7) {
      guard let byte = rest.popFirst() else { throw Malformed() }
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    throw Malformed()
  }

  private static func littleEndian(_ bytes: ArraySlice<UInt8>) throws -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
