/// A protocol buffer message in wire format, written field by field.
///
/// A field is a key (field number · 8 + wire type) followed by a value:
/// https://protobuf.dev/programming-guides/encoding
public struct ProtobufMessage: Sendable {
  /// The encoded fields added so far.
  public private(set) var bytes: [UInt8] = []

  /// A message without fields.
  public init() {}

  /// Adds a field of type int32, int64, bool or enum.
  public mutating func add(_ field: Int, _ value: Int) {
    varint(field << 3)
    varint(value)
  }

  /// Adds a field of type double.
  public mutating func add(_ field: Int, _ value: Double) {
    varint(field << 3 | 1)
    littleEndian(value.bitPattern)
  }

  /// Adds a field of type float.
  public mutating func add(_ field: Int, _ value: Float) {
    varint(field << 3 | 5)
    littleEndian(value.bitPattern)
  }

  /// Adds a field of type string.
  public mutating func add(_ field: Int, _ text: String) { add(field, Array(text.utf8)) }

  /// Adds a field that is a message.
  public mutating func add(_ field: Int, _ message: ProtobufMessage) { add(field, message.bytes) }

  /// Adds a field of type bytes.
  public mutating func add(_ field: Int, _ content: [UInt8]) {
    varint(field << 3 | 2)
    varint(content.count)
    bytes += content
  }

  /// Appends `value` as a varint: seven bits a byte, least significant first. The top bit of a byte is 1 if
  /// more bytes follow.
  private mutating func varint(_ value: Int) {
    var rest = UInt64(bitPattern: Int64(value))
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func littleEndian<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }
}
