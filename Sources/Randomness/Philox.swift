/// The counter-based random generator Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1,
/// 2, 3", SC 2011): a pure function from a 128-bit counter and a 64-bit key to four random words.
///
/// Calls share no state, so the noise of a sample depends only on its key and counter, and not on which rank
/// draws it or in which order.
public enum Philox {
  /// The four random words for `counter` under `key`.
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

/// A sequence of draws from one Philox stream, for code that draws in order: recorded behaviour, resets of
/// environments, initial parameters.
///
/// Sequences that differ in `seed`, `stream` or `index` are independent.
public struct RandomSequence {
  @usableFromInline let key: SIMD2<UInt32>
  @usableFromInline var counter: SIMD4<UInt32>
  @usableFromInline var buffer = SIMD4<UInt32>.zero
  @usableFromInline var used = 4

  /// Starts sequence number `index` of `stream` under `seed`.
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

  /// A number uniform on [0, 1), a multiple of 2⁻²⁴.
  @inlinable
  public mutating func uniform() -> Float { unitInterval(word()) }

  /// An integer uniform on {0, …, count − 1}, up to a bias of count / 2³². `count` must be positive.
  @inlinable
  public mutating func below(_ count: Int) -> Int {
    Int((UInt64(word()) &* UInt64(count)) >> 32)
  }

  /// A draw from N(0, 1) by Box–Muller; the second number of the pair is not used.
  @inlinable
  public mutating func normal() -> Float { boxMuller(word(), word()).0 }
}

/// The purposes for which random numbers are drawn. Each has a stream of its own.
public struct RandomStream: RawRepresentable, Sendable {
  /// The number of the stream, which is the second word of the Philox key.
  public let rawValue: UInt32
  /// Makes a stream from its number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Initial network parameters.
  public static let initialisation = RandomStream(rawValue: 1)
  /// The transitions of a batch's samples.
  public static let sampling = RandomStream(rawValue: 2)
  /// Recorded behaviour in embedded mazes.
  public static let behaviour = RandomStream(rawValue: 3)
  /// Resets of environments in evaluation.
  public static let reset = RandomStream(rawValue: 4)
  /// The policy's noise in evaluation.
  public static let acting = RandomStream(rawValue: 5)
  /// The policy's noise in evaluation, for the policy's draw number `index`.
  public static func acting(_ index: Int) -> RandomStream {
    index == 0 ? acting : RandomStream(rawValue: 128 + UInt32(index))
  }
  /// Random actions at the start of an online phase.
  public static let exploring = RandomStream(rawValue: 6)
  /// Draws of a report: runs for bootstrap intervals, and noise for critics.
  public static let report = RandomStream(rawValue: 7)
  /// How far the images of a batch move.
  public static let augmentation = RandomStream(rawValue: 12)
  /// The noise of updates, for the agent's draw number `index`.
  public static func draw(_ index: Int) -> RandomStream { RandomStream(rawValue: 256 + UInt32(index)) }
}

/// A number in [0, 1), from the upper 24 bits of a word.
@inlinable
public func unitInterval(_ word: UInt32) -> Float { Float(word >> 8) * 0x1p-24 }
