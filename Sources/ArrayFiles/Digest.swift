/// A fast 64-bit hash over raw bytes, to detect drift between replicas and to identify data. It is no protection
/// against somebody who wants two inputs to collide.
///
/// Each 8-byte word enters one of four lanes by xor, multiplication, shift and addition. Every one of these
/// can be undone, so a change to a single word always changes its lane. ``value`` folds the lanes and the byte
/// count. How the bytes are divided into updates makes no difference.
public struct Digest: Sendable {
  private var lanes = SIMD4<UInt64>(
    0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89)
  private var byteCount: UInt64 = 0
  /// The last `byteCount % 32` bytes, which do not fill a block yet; zeros behind them.
  private var pending = SIMD4<UInt64>.zero

  /// The digest of nothing.
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

  /// Puts bytes behind those that wait for a block.
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
    // The length makes a padded block differ from the same bytes followed by zeros.
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
