import Kernels

/// Sixteen pairs of standard normals from sixteen pairs of random words (Box and Muller, 1958).
@inlinable @inline(__always)
public func boxMuller(_ first: SIMD16<UInt32>, _ second: SIMD16<UInt32>) -> (Lanes, Lanes) {
  // ((word >> 8) + 1) / 2²⁴ lies in (0, 1], so its logarithm is finite. Rounding may make the logarithm of
  // nearly 1 slightly positive, which the lower limit of 0 corrects.
  let radius = (-2 * logarithm(Lanes(first &>> 8 &+ 1) * 0x1p-24)).limited(from: 0, to: 100).squareRoot()
  let (cosine, sine) = cosineSine(turns: Lanes(second &>> 8) * 0x1p-24)
  return (radius * cosine, radius * sine)
}

/// A pair of standard normals from a pair of random words: the same numbers as in a lane of the vector
/// version.
@inlinable
public func boxMuller(_ first: UInt32, _ second: UInt32) -> (Float, Float) {
  let pair = boxMuller(SIMD16<UInt32>(repeating: first), SIMD16<UInt32>(repeating: second))
  return (pair.0[0], pair.1[0])
}
