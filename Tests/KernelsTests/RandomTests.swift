import Foundation
import Kernels
import Randomness
import Testing

@Suite struct RandomTests {
  /// The known answers are published with Random123 (kat_vectors, philox4x32 10).
  @Test func philoxGivesThePublishedAnswers() {
    #expect(
      Philox.words(counter: .zero, key: .zero)
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      Philox.words(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      Philox.words(
        counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
        key: SIMD2(0xa409_3822, 0x299f_31d0))
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func vectorFunctionsMatchDoublePrecision() {
    for i in 0..<20_000 {
      let x = Float(i) / 20_000
      let power = powerOfTwo(Lanes(repeating: x * 250 - 125))[3]
      let exact = exp2(Double(x * 250 - 125))
      #expect(abs(Double(power) - exact) <= 2e-7 * exact, "exp2 \(x * 250 - 125)")
      let square = exp2(Double(x * 250 - 125))
      let squareRoot = root(Lanes(repeating: Float(square)))[9]
      #expect(abs(Double(squareRoot) - square.squareRoot()) <= 3e-7 * square.squareRoot(), "root \(square)")
      let positive = x * x * 1000 + 1e-7
      let l = logarithm(Lanes(repeating: positive))[5]
      let exactLog = log(Double(positive))
      #expect(abs(Double(l) - exactLog) <= 2e-7 * max(abs(exactLog), 1e-3), "log \(positive)")
      let (c, s) = cosineSine(turns: Lanes(repeating: x))
      #expect(abs(Double(c[7]) - cos(2 * .pi * Double(x))) < 3e-7, "cos \(x)")
      #expect(abs(Double(s[7]) - sin(2 * .pi * Double(x))) < 3e-7, "sin \(x)")
    }
  }

  @Test func normalsOfASequenceHaveTheMomentsOfTheNormalDistribution() {
    var random = RandomSequence(seed: 3, stream: .behaviour)
    let values = (0..<200_000).map { _ in Double(random.normal()) }
    let mean = values.reduce(0, +) / 200_000
    let variance = values.reduce(0) { $0 + $1 * $1 } / 200_000
    let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / 200_000
    #expect(abs(mean) < 0.01 && abs(variance - 1) < 0.02 && abs(fourth - 3) < 0.1)
  }
}
