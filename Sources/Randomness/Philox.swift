/// The counter-based random generator Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
/// 1, 2, 3", SC 2011): a pure function from a 128-bit counter and a 64-bit key to four random words.
///
/// Because nothing is carried from one call to the next, what a sample receives depends only on its key and
/// counter, never on which rank asks or in which order.
public enum Philox {
  /// Four random words for `counter` under `key`.
  @inlinable
  public static func words(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let p0 = UInt64(0xD251_1F53) &* UInt64(c.x)
      let p1 = UInt64(0xCD9E_8D57) &* UInt64(c.z)
      c = SIMD4(
        UInt32(truncatingIfNeeded: p1 >> 32) ^ c.y ^ k.x, UInt32(truncatingIfNeeded: p1),
        UInt32(truncatingIfNeeded: p0 >> 32) ^ c.w ^ k.y, UInt32(truncatingIfNeeded: p0))
      k &+= SIMD2(0x9E37_79B9, 0xBB67_AE85)
    }
    return c
  }
}

/// A sequence of draws from one Philox stream, for code that consumes randomness in order: dataset
/// generation, environment resets, initialisation.
///
/// Streams with a different `seed`, `stream` or `index` are independent.
public struct RandomSequence {
  @usableFromInline let key: SIMD2<UInt32>
  @usableFromInline var counter: SIMD4<UInt32>
  @usableFromInline var buffer = SIMD4<UInt32>.zero
  @usableFromInline var used = 4

  /// The sequence number `index` of `stream` under `seed`.
  public init(seed: UInt32, stream: RandomStream, index: UInt64 = 0) {
    key = SIMD2(seed, stream.rawValue)
    counter = SIMD4(0, 0, UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32))
  }

  /// The next random word.
  @inlinable
  public mutating func word() -> UInt32 {
    if used == 4 {
      buffer = Philox.words(counter: counter, key: key)
      counter.x &+= 1
      used = 0
    }
    defer { used += 1 }
    return buffer[used]
  }

  /// Uniform on [0, 1), a multiple of 2⁻²⁴.
  @inlinable
  public mutating func uniform() -> Float { unitInterval(word()) }

  /// Uniform on {0, …, count − 1}; `count` is positive.
  @inlinable
  public mutating func below(_ count: Int) -> Int {
    Int((UInt64(word()) &* UInt64(count)) >> 32)
  }

  /// Standard normal (Box–Muller; the second value of a pair is not kept).
  @inlinable
  public mutating func normal() -> Float { boxMuller(word(), word()).0 }
}

/// The purposes for which random numbers are drawn; each is a stream of its own.
public struct RandomStream: RawRepresentable, Sendable {
  /// The stream's number, the upper word of the Philox key.
  public let rawValue: UInt32
  /// A stream by number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Initial network parameters.
  public static let initialisation = RandomStream(rawValue: 1)
  /// Which transition a batch sample is.
  public static let sampling = RandomStream(rawValue: 2)
  /// Generated behaviour datasets.
  public static let behaviour = RandomStream(rawValue: 3)
  /// Environment resets in evaluation.
  public static let reset = RandomStream(rawValue: 4)
  /// Policy noise in evaluation.
  public static let acting = RandomStream(rawValue: 5)
  /// Policy noise in evaluation: draw number `index` of the policy.
  public static func acting(_ index: Int) -> RandomStream {
    index == 0 ? acting : RandomStream(rawValue: 128 + UInt32(index))
  }
  /// What a report draws: runs for its intervals, noise for critics.
  public static let report = RandomStream(rawValue: 7)
  /// The draws of an update: draw number `index` of the agent.
  public static func draw(_ index: Int) -> RandomStream { RandomStream(rawValue: 256 + UInt32(index)) }
}

/// Uniform on [0, 1) from the upper 24 bits of a word.
@inlinable
public func unitInterval(_ word: UInt32) -> Float { Float(word >> 8) * 0x1p-24 }
