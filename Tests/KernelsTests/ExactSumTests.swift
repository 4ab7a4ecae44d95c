import Kernels
import Testing

struct ExactSumTests {
  private static let scales = [1e-20, 3e-7, 0.7, 1e5, 2e12]
  private static let values: [Double] = (0..<500).map { i in
    let size = Double(1 + i * 7919 % 1009) * scales[i % scales.count]
    return i % 3 == 0 ? -size : size
  }

  @Test func theOrderDoesNotMatter() {
    func sum(_ values: [Double]) -> Double {
      var sum = ExactSum()
      for value in values { sum.add(value) }
      return sum.value
    }
    let forward = sum(Self.values)
    #expect(sum(Self.values.reversed()) == forward)
    #expect(sum(Self.values.sorted()) == forward)
    var halves = ExactSums(ExactSum(), ExactSum(1))
    for part in [Self.values.prefix(123), Self.values.suffix(377)] {
      var sum = ExactSum()
      for value in part { sum.add(value) }
      halves += ExactSums(sum)
    }
    #expect(halves.values == SIMD2(forward, 1))
  }

  @Test func smallAndLargeValuesAreKept() {
    var sum = ExactSum(1e15)
    sum.add(1e-20)
    sum.add(-1e15)
    #expect(abs(sum.value - 1e-20) < 1e-29)
  }

  @Test func whatIsNotFiniteStays() {
    var sum = ExactSum(.infinity)
    sum.add(1)
    #expect(sum.value == .infinity)
    sum.add(.nan)
    #expect(sum.value.isNaN)
  }
}
