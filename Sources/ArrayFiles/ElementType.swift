/// The element types that can be read. Multi-byte elements are little-endian, like the machines this code
/// runs on.
public enum ElementType: String, Sendable, CaseIterable {
  /// One byte: false if it is zero, true otherwise.
  case bool
  /// A signed 8-bit integer.
  case int8
  /// A signed 16-bit integer.
  case int16
  /// A signed 32-bit integer.
  case int32
  /// A signed 64-bit integer.
  case int64
  /// An unsigned 8-bit integer.
  case uint8
  /// An unsigned 16-bit integer.
  case uint16
  /// An unsigned 32-bit integer.
  case uint32
  /// An unsigned 64-bit integer.
  case uint64
  /// IEEE half precision.
  case float16
  /// The upper half of a float32; only in safetensors files.
  case bfloat16
  /// IEEE single precision.
  case float32
  /// IEEE double precision.
  case float64

  /// Bytes per element.
  public var size: Int {
    switch self {
    case .bool, .int8, .uint8: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64: 8
    }
  }

  /// NumPy's name of the type, such as `<f4`; nil if NumPy has no such type.
  var numPyName: String? {
    switch self {
    case .bool: "|b1"
    case .int8: "|i1"
    case .uint8: "|u1"
    case .int16: "<i2"
    case .uint16: "<u2"
    case .int32: "<i4"
    case .uint32: "<u4"
    case .int64: "<i8"
    case .uint64: "<u8"
    case .float16: "<f2"
    case .bfloat16: nil
    case .float32: "<f4"
    case .float64: "<f8"
    }
  }
}

/// Converts the elements of `type` in `source` to Float; `destination` has room for all of them.
func convert(
  _ source: UnsafeRawBufferPointer, _ type: ElementType, to destination: UnsafeMutablePointer<Float>
) {
  switch type {
  case .bool: transform(source, UInt8.self, destination) { $0 == 0 ? 0 : 1 }
  case .int8: transform(source, Int8.self, destination) { Float($0) }
  case .int16: transform(source, Int16.self, destination) { Float($0) }
  case .int32: transform(source, Int32.self, destination) { Float($0) }
  case .int64: transform(source, Int64.self, destination) { Float($0) }
  case .uint8: transform(source, UInt8.self, destination) { Float($0) }
  case .uint16: transform(source, UInt16.self, destination) { Float($0) }
  case .uint32: transform(source, UInt32.self, destination) { Float($0) }
  case .uint64: transform(source, UInt64.self, destination) { Float($0) }
  case .float16: transform(source, UInt16.self, destination) { Float(Float16(bitPattern: $0)) }
  case .bfloat16: transform(source, UInt16.self, destination) { Float(bitPattern: UInt32($0) << 16) }
  case .float32: transform(source, Float.self, destination) { $0 }
  case .float64: transform(source, Double.self, destination) { Float($0) }
  }
}

/// Converts the elements of `type` in `source` to Double; `destination` has room for all of them.
func convert(
  _ source: UnsafeRawBufferPointer, _ type: ElementType, to destination: UnsafeMutablePointer<Double>
) {
  switch type {
  case .bool: transform(source, UInt8.self, destination) { $0 == 0 ? 0 : 1 }
  case .int8: transform(source, Int8.self, destination) { Double($0) }
  case .int16: transform(source, Int16.self, destination) { Double($0) }
  case .int32: transform(source, Int32.self, destination) { Double($0) }
  case .int64: transform(source, Int64.self, destination) { Double($0) }
  case .uint8: transform(source, UInt8.self, destination) { Double($0) }
  case .uint16: transform(source, UInt16.self, destination) { Double($0) }
  case .uint32: transform(source, UInt32.self, destination) { Double($0) }
  case .uint64: transform(source, UInt64.self, destination) { Double($0) }
  case .float16: transform(source, UInt16.self, destination) { Double(Float16(bitPattern: $0)) }
  case .bfloat16: transform(source, UInt16.self, destination) { Double(Float(bitPattern: UInt32($0) << 16)) }
  case .float32: transform(source, Float.self, destination) { Double($0) }
  case .float64: transform(source, Double.self, destination) { $0 }
  }
}

@inline(__always)
private func transform<Stored, Value>(
  _ source: UnsafeRawBufferPointer, _: Stored.Type, _ destination: UnsafeMutablePointer<Value>,
  _ body: (Stored) -> Value
) where Stored: BitwiseCopyable {
  let width = MemoryLayout<Stored>.size
  for index in 0..<source.count / width {
    destination[index] = body(source.loadUnaligned(fromByteOffset: index * width, as: Stored.self))
  }
}
