import Agents
import Kernels
import Testing

@Suite struct DrawTests {
  private let workspace = Workspace<Float>()

  /// What some samples of a batch are given.
  private func values(_ draw: Draw, _ samples: [Int], step: Int = 3) -> [[Float]] {
    let rows = draw.sharedRows ?? samples.count
    let matrix = workspace.matrix(rows: rows, columns: draw.width)
    draw.fill(matrix, rows: samples.count, key: SIMD2(1, 2), step: step) { UInt32(samples[$0]) }
    return (0..<rows).map { r in (0..<draw.width).map { matrix[r, $0] } }
  }

  @Test(arguments: [Draw.Distribution.normal, .uniform, .symmetric, .below(7)])
  func aSamplesNumbersAreItsOwn(distribution: Draw.Distribution) {
    let draw = Draw("draw", distribution, width: 9)
    let all = values(draw, Array(0..<20))
    #expect(values(draw, [17, 4]) == [all[17], all[4]])
    #expect(values(draw, Array(0..<20), step: 4) != all)
    #expect(Set(all).count == 20, "samples with the same numbers")
  }

  /// Ranks with other samples draw the same.
  @Test func sharedRowsAreTheSameForAllSamples() {
    let draw = Draw("draw", .uniform, width: 5, sharedRows: 3)
    #expect(values(draw, [0, 1]) == values(draw, [8, 5, 2, 11, 4]))
    #expect(Set(values(draw, [0])).count == 3)
  }

  @Test func distributions() {
    let samples = Array(0..<5000)
    func mean(_ distribution: Draw.Distribution, within range: Range<Float>) -> Double {
      let numbers = values(Draw("draw", distribution, width: 6), samples).flatMap(\.self)
      #expect(numbers.allSatisfy { range.contains($0) })
      return numbers.reduce(0.0) { $0 + Double($1) } / Double(numbers.count)
    }
    // Five standard errors of each.
    #expect(abs(mean(.uniform, within: 0..<1) - 0.5) < 0.009)
    #expect(abs(mean(.symmetric, within: -1..<1)) < 0.017)
    #expect(abs(mean(.below(4), within: 0..<4) - 1.5) < 0.033)
    let whole = values(Draw("draw", .below(4), width: 1), samples).map { $0[0] }
    #expect(Set(whole) == [0, 1, 2, 3])
  }
}
