/// The vector type of the Float kernels: one AVX-512 register, or two AVX2 registers.
public typealias Lanes = SIMD16<Float>
@usableFromInline typealias LaneBits = SIMD16<UInt32>

extension Lanes {
  /// self · y + z, with a single rounding in each lane.
  @inlinable @inline(__always)
  func timesPlus(_ y: Lanes, _ z: Lanes) -> Lanes { z.addingProduct(self, y) }

  @inlinable @inline(__always)
  func timesPlus(_ y: Lanes, _ z: Float) -> Lanes { Lanes(repeating: z).addingProduct(self, y) }

  /// Each lane limited to a range; NaN stays NaN. (`clamped` compiles to a loop over the lanes.)
  @inlinable @inline(__always)
  public func limited(from low: Float, to high: Float) -> Lanes {
    let floor = Lanes(repeating: low)
    let ceiling = Lanes(repeating: high)
    return replacing(with: floor, where: self .< floor).replacing(with: ceiling, where: self .> ceiling)
  }

  @inlinable @inline(__always)
  var bits: LaneBits { unsafeBitCast(self, to: LaneBits.self) }
}

extension LaneBits {
  @inlinable @inline(__always)
  var floats: Lanes { unsafeBitCast(self, to: Lanes.self) }
}

/// 2ˣ with a relative error below 2·10⁻⁷. The caller ensures −126 ≤ x ≤ 126.
///
/// x = n + r with |r| ≤ ½, and 2ʳ = e^(r·ln 2) by its Taylor series, whose remainder of seventh order is
/// below 10⁻⁷.
@inlinable @inline(__always)
public func powerOfTwo(_ x: Lanes) -> Lanes {
  let shifted = x + 12_582_912
  let r = x - (shifted - 12_582_912)
  var p = r.timesPlus(Lanes(repeating: 1.540_353_04e-4), 1.333_355_81e-3)
  p = p.timesPlus(r, 9.618_129_11e-3)
  p = p.timesPlus(r, 5.550_410_87e-2)
  p = p.timesPlus(r, 2.402_265_07e-1)
  p = p.timesPlus(r, 6.931_471_81e-1)
  p = p.timesPlus(r, 1)
  return ((shifted.bits &<< 23) &+ p.bits).floats
}

/// √x with a relative error below 3·10⁻⁷ for 0 ≤ x < ∞; 0 for 0. (`squareRoot` compiles to a loop over the
/// lanes.)
///
/// Halving the exponent gives 1/√x to within 4 %. Three of Newton's steps y ← y · (3/2 − x·y²/2) refine it,
/// and a product with x gives √x.
@inlinable @inline(__always)
public func root(_ x: Lanes) -> Lanes {
  var y = (LaneBits(repeating: 0x5F37_59DF) &- (x.bits &>> 1)).floats
  let half = x * -0.5
  for _ in 0..<3 { y *= (half * y).timesPlus(y, 1.5) }
  return x * y
}

/// The natural logarithm of positive normal numbers, with a relative error below 2·10⁻⁷ (polynomial of
/// Cephes' `logf`).
@inlinable @inline(__always)
public func logarithm(_ x: Lanes) -> Lanes {
  // x = m·2ᵉ with m in [√½, √2). After subtracting the bits of √½, the exponent field is e.
  let offset = x.bits &- LaneBits(repeating: 0x3f35_04f3)
  let exponent = SIMD16<Int32>(truncatingIfNeeded: offset) &>> 23
  let e = Lanes(exponent)
  let m = ((offset & LaneBits(repeating: 0x007f_ffff)) &+ LaneBits(repeating: 0x3f35_04f3)).floats - 1
  var p = m.timesPlus(Lanes(repeating: 7.037_683_6e-2), -1.151_461_03e-1)
  p = p.timesPlus(m, 1.167_699_87e-1)
  p = p.timesPlus(m, -1.242_014_08e-1)
  p = p.timesPlus(m, 1.424_932_28e-1)
  p = p.timesPlus(m, -1.666_805_77e-1)
  p = p.timesPlus(m, 2.000_071_48e-1)
  p = p.timesPlus(m, -2.499_999_40e-1)
  p = p.timesPlus(m, 3.333_333_12e-1)
  let square = m * m
  let tail = (p * m * square).addingProduct(e, Lanes(repeating: -2.121_944_4e-4)) - 0.5 * square
  return (m + tail).addingProduct(e, Lanes(repeating: 0.693_359_375))
}

/// cos 2πu and sin 2πu for u in [0, 1), with an absolute error below 2·10⁻⁷.
@inlinable @inline(__always)
public func cosineSine(turns u: Lanes) -> (cosine: Lanes, sine: Lanes) {
  // u = q/4 + r with |r| ≤ 1/8 is exact, and q is the quadrant.
  let shifted = u.timesPlus(Lanes(repeating: 4), 12_582_912)
  let quadrant = shifted.bits
  let r = (shifted - 12_582_912).timesPlus(Lanes(repeating: -0.25), u)
  let x = r * 6.283_185_3
  let x2 = x * x
  var s = x2.timesPlus(Lanes(repeating: -1.951_529_6e-4), 8.332_160_9e-3)
  s = s.timesPlus(x2, -1.666_665_46e-1)
  s = (s * x2).timesPlus(x, x)
  var c = x2.timesPlus(Lanes(repeating: 2.443_315_7e-5), -1.388_731_6e-3)
  c = c.timesPlus(x2, 4.166_664_57e-2)
  c = (c * x2).timesPlus(x2, (x2 * -0.5) + 1)
  let swap = (quadrant & 1) .== 1
  let cosine = c.replacing(with: s, where: swap).bits ^ (((quadrant &+ 1) & 2) &<< 30)
  let sine = s.replacing(with: c, where: swap).bits ^ ((quadrant & 2) &<< 30)
  return (cosine.floats, sine.floats)
}

/// Splits `count` elements into vectors and calls `body` for each: with the index of its first element, and
/// with the number of its elements, which is less than all lanes only in the last one.
///
/// The compiler inlines a small closure at both calls of `body`, but not a large one; then every load has to
/// compare the number of lanes, and Adam takes three times as long. A local function marked
/// `@inline(__always)` is inlined at both calls. (That does not pay if it changes a variable outside itself,
/// because that variable then lives in memory.)
@inlinable @inline(__always)
public func forEachLanes(_ count: Int, _ body: (_ j: Int, _ n: Int) -> Void) {
  var j = 0
  while j &+ Lanes.scalarCount <= count {
    body(j, Lanes.scalarCount)
    j &+= Lanes.scalarCount
  }
  if j < count { body(j, count &- j) }
}

/// The `n` elements from `base[j]` on; the other lanes get `padding`.
@inlinable @inline(__always)
public func load(
  _ base: UnsafePointer<Float>, _ j: Int, _ n: Int, else padding: Lanes = .zero
) -> Lanes {
  if n == Lanes.scalarCount { return UnsafeRawPointer(base + j).loadUnaligned(as: Lanes.self) }
  var lanes = padding
  for i in 0..<n { lanes[i] = base[j &+ i] }
  return lanes
}

/// Stores the first `n` lanes to the memory from `base[j]` on.
@inlinable @inline(__always)
public func store(_ lanes: Lanes, _ base: UnsafeMutablePointer<Float>, _ j: Int, _ n: Int) {
  if n == Lanes.scalarCount {
    UnsafeMutableRawPointer(base + j).storeBytes(of: lanes, as: Lanes.self)
  } else {
    for i in 0..<n { base[j &+ i] = lanes[i] }
  }
}
