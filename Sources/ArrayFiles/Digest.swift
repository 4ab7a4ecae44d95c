/// A fast 64-bit hash over raw bytes, to detect replicas that differ and to identify data. It offers no
/// protection against somebody who constructs two inputs with the same hash.
///
/// Each 8-byte word enters one of four lanes by xor, multiplication, shift and addition. Each of these
/// operations is invertible, so a change to a single word always changes its lane. ``value`` combines the
/// lanes and the byte count. The hash does not depend on how the bytes are divided between calls of
/// ``update(_:)``.
public struct Digest: Sendable {
  private var lanes = SIMD4<UInt64>(
    0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89)
  private var byteCount: UInt64 = 0
  /// The last `byteCount % 32` bytes, which do not fill a block of 32 bytes yet, followed by zeros.
  private var pending = SIMD4<UInt64>.zero

  /// The digest of no bytes.
  public init() {}

  /// Adds `bytes`, of any length and alignment.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    if byteCount & 31 > 0 {
      let taken = rest.prefix(32 - Int(byteCount & 31))
      rest = rest.dropFirst(taken.count)
      hold(taken)
      guard byteCount & 31 == 0 else { return }
      lanes = Self.mixed(lanes, pending)
      pending = .zero
    }
    let blocks = rest.prefix(rest.count & ~31)
    add(blocks: UnsafeRawBufferPointer(rebasing: blocks))
    hold(rest.dropFirst(blocks.count))
  }

  private mutating func add(blocks: UnsafeRawBufferPointer) {
    guard let base = blocks.baseAddress else { return }
    var lanes = lanes
    for offset in stride(from: 0, to: blocks.count, by: 32) {
      lanes = Self.mixed(
        lanes,
        SIMD4(
          base.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
          base.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self),
          base.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self),
          base.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self)))
    }
    self.lanes = lanes
    byteCount &+= UInt64(blocks.count)
  }

  /// Appends `bytes` to the incomplete block.
  private mutating func hold(_ bytes: Slice<UnsafeRawBufferPointer>) {
    for byte in bytes {
      let place = Int(byteCount & 31)
      pending[place / 8] |= UInt64(byte) << (8 * (place % 8))
      byteCount &+= 1
    }
  }

  @inline(__always)
  private static func mixed(_ lanes: SIMD4<UInt64>, _ words: SIMD4<UInt64>) -> SIMD4<UInt64> {
    SIMD4(
      mix(lanes.x, words.x, 0x9E37_79B9_7F4A_7C15), mix(lanes.y, words.y, 0xD6E8_FEB8_6659_FD93),
      mix(lanes.z, words.z, 0xA076_1D64_78BD_642F), mix(lanes.w, words.w, 0xE703_7ED1_A0B4_28DB))
  }

  /// The digest of everything added so far.
  public var value: UInt64 {
    var lanes = lanes
    let held = byteCount & 31
    // The number of bytes makes a block padded with zeros differ from a block that ends in zeros itself.
    if held > 0 { lanes = Self.mixed(SIMD4(lanes.x, lanes.y, lanes.z, lanes.w ^ held), pending) }
    var hash = avalanche(byteCount &+ 0x9E37_79B9_7F4A_7C15)
    for lane in 0..<4 { hash = avalanche(hash &* 0xD6E8_FEB8_6659_FD93 ^ lanes[lane]) }
    return hash
  }

  /// ``value`` as 16 hexadecimal digits.
  public var hex: String { hexadecimal(value, digits: 16) }
}

@inline(__always)
private func mix(_ lane: UInt64, _ word: UInt64, _ multiplier: UInt64) -> UInt64 {
  // After one multiplication, a change of a word's top bit would still be a change of a single bit of the
  // lane, and a change of the lane's next word could undo it.
  let product = (lane ^ word) &* multiplier
  return (product ^ product >> 32) &* 0xBE54_66CF_34E9_0C6D &+ 0x4528_21E6_38D0_1377
}

/// Lets every input bit reach every output bit.
private func avalanche(_ word: UInt64) -> UInt64 {
  var x = word
  x = (x ^ x >> 32) &* 0xD6E8_FEB8_6659_FD93
  x = (x ^ x >> 29) &* 0x9E37_79B9_7F4A_7C15
  return x ^ x >> 32
}

/// `value` in lower-case hexadecimal, padded with zeros.
func hexadecimal<T: FixedWidthInteger & UnsignedInteger>(_ value: T, digits: Int) -> String {
  let text = String(value, radix: 16)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}
