/// A fast 64-bit hash over raw bytes, to detect drift between replicas and to identify data. It is no protection
/// against somebody who wants two inputs to collide.
///
/// Each 8-byte word enters one of four lanes by xor, multiplication, shift and addition. Every one of these
/// can be undone, so a change to a single word always changes its lane. ``value`` folds the lanes and the byte
/// count. The last bytes of each update are padded to a block, so how the bytes are divided into updates is
/// part of the input: compare only digests that were fed alike.
public struct Digest: Sendable {
  private var lanes = SIMD4<UInt64>(
    0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89)
  private var byteCount: UInt64 = 0

  /// The digest of nothing.
  public init() {}

  /// Adds `bytes`, of any length and alignment.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    var (a, b, c, d) = (lanes.x, lanes.y, lanes.z, lanes.w)
    let whole = bytes.count & ~31
    var offset = 0
    while offset < whole {
      a = mix(a, base.loadUnaligned(fromByteOffset: offset, as: UInt64.self), 0x9E37_79B9_7F4A_7C15)
      b = mix(b, base.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self), 0xD6E8_FEB8_6659_FD93)
      c = mix(c, base.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self), 0xA076_1D64_78BD_642F)
      d = mix(d, base.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self), 0xE703_7ED1_A0B4_28DB)
      offset += 32
    }
    // The length makes a padded tail differ from the same bytes followed by zeros.
    lanes = SIMD4(a, b, c, d ^ UInt64(bytes.count & 31))
    byteCount &+= UInt64(bytes.count)
    if whole < bytes.count { addTail(UnsafeRawBufferPointer(rebasing: bytes[whole...])) }
  }

  private mutating func addTail(_ tail: UnsafeRawBufferPointer) {
    var words = SIMD4<UInt64>.zero
    for (index, byte) in tail.enumerated() { words[index / 8] |= UInt64(byte) << (8 * (index % 8)) }
    lanes = SIMD4(
      mix(lanes.x, words.x, 0x9E37_79B9_7F4A_7C15), mix(lanes.y, words.y, 0xD6E8_FEB8_6659_FD93),
      mix(lanes.z, words.z, 0xA076_1D64_78BD_642F), mix(lanes.w, words.w, 0xE703_7ED1_A0B4_28DB))
  }

  /// The digest of everything added so far.
  public var value: UInt64 {
    var hash = avalanche(byteCount &+ 0x9E37_79B9_7F4A_7C15)
    for lane in 0..<4 { hash = avalanche(hash &* 0xD6E8_FEB8_6659_FD93 ^ lanes[lane]) }
    return hash
  }

  /// ``value`` as 16 hexadecimal digits.
  public var hex: String { hexadecimal(value, digits: 16) }
}

@inline(__always)
private func mix(_ lane: UInt64, _ word: UInt64, _ multiplier: UInt64) -> UInt64 {
  // One multiplication would leave a change of a word's top bit a change of one bit, which a change of the lane's
  // next word could undo.
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
