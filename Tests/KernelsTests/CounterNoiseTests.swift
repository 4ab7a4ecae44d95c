import Kernels
import Randomness
import Testing

@Suite struct CounterNoiseTests {
  private let key = SIMD2<UInt32>(5, 77)

  /// Normal noise for the rows of a batch with the given numbers.
  private func normals(_ rows: [Int], columns: Int) -> [[Float]] {
    let workspace = Workspace<Float>()
    let matrix = workspace.matrix(rows: rows.count, columns: columns)
    CounterNoise.normal(matrix, rows: rows.count, key: key) { SIMD4(0, UInt32(rows[$0]), 9, 0) }
    return (0..<rows.count).map { r in (0..<columns).map { matrix[r, $0] } }
  }

  private func uniforms(_ rows: [Int]) -> [Float] {
    let workspace = Workspace<Float>()
    let matrix = workspace.matrix(rows: rows.count, columns: 1)
    CounterNoise.uniform(matrix, rows: rows.count, key: key) { SIMD4(0, UInt32(rows[$0]), 9, 0) }
    return (0..<rows.count).map { matrix[$0, 0] }
  }

  /// The noise in a row does not depend on which rows are computed with it.
  @Test(arguments: [1, 2, 3, 4, 5, 8, 21]) func noiseDependsOnlyOnTheRowsCounter(columns: Int) {
    let all = normals(Array(0..<50), columns: columns)
    for ranks in [2, 3, 7] {
      for rank in 0..<ranks {
        let own = Array(stride(from: rank, to: 50, by: ranks))
        #expect(normals(own, columns: columns) == own.map { all[$0] }, "rank \(rank) of \(ranks)")
      }
    }
    let times = uniforms(Array(0..<50))
    #expect(uniforms([49, 3, 17]) == [times[49], times[3], times[17]])
  }

  @Test func otherRowsAreNotChanged() {
    let workspace = Workspace<Float>()
    let matrix = workspace.matrix(rows: 4, columns: 3)
    CounterNoise.normal(matrix, rows: 3, key: key) { SIMD4(0, UInt32($0), 0, 0) }
    #expect((0..<3).allSatisfy { matrix[3, $0] == 0 } && (0..<3).allSatisfy { matrix[2, $0] != 0 })
  }

  @Test func normalsHaveTheMomentsOfTheNormalDistribution() {
    let values = normals(Array(0..<40_000), columns: 5).flatMap(\.self).map(Double.init)
    let count = Double(values.count)
    let moments = (1...4).map { power in
      values.reduce(0) { sum, x in sum + (0..<power).reduce(1) { p, _ in p * x } } / count
    }
    // The bounds are four to five standard errors.
    #expect(abs(moments[0]) < 0.01 && abs(moments[1] - 1) < 0.015)
    #expect(abs(moments[2]) < 0.04 && abs(moments[3] - 3) < 0.1)
    #expect(Set(values).count > 199_000, "repeated numbers")
  }

  /// Neighbouring columns and rows are uncorrelated.
  @Test func normalsAreUncorrelated() {
    let rows = normals(Array(0..<40_000), columns: 5)
    for (a, b) in [(0, 1), (1, 2), (0, 2), (3, 4), (0, 4)] {
      let correlation = rows.reduce(0.0) { $0 + Double($1[a]) * Double($1[b]) } / 40_000
      #expect(abs(correlation) < 0.025, "columns \(a) and \(b): \(correlation)")
    }
    let neighbours = zip(rows, rows.dropFirst()).reduce(0.0) { $0 + Double($1.0[0]) * Double($1.1[0]) }
    #expect(abs(neighbours / 40_000) < 0.025)
  }

  @Test func uniformsHaveTheMomentsOfTheUniformDistribution() {
    let values = uniforms(Array(0..<100_000)).map(Double.init)
    let mean = values.reduce(0, +) / 100_000
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 100_000
    #expect(abs(mean - 0.5) < 0.005 && abs(variance - 1.0 / 12) < 0.002)
    #expect(values.allSatisfy { (0..<1).contains($0) })
  }
}
