import Datasets
import Foundation
import Testing

/// What a pass over rows finds, against what follows from the numbers directly.
@Suite struct ExaminationTests {
  private let directory = TemporaryDirectory()

  private func examination(_ fixture: Fixture) throws -> DatasetExamination {
    let path = "\(directory.path)/data.npz"
    try fixture.write(to: path)
    return try DatasetExamination(OGBenchSource(path: path, rewards: { _ in (-1, 1) }))
  }

  /// 30,000 rows, more than pass at once, in episodes of 3 to 102 rows.
  private func large() -> Fixture {
    var lengths: [Int] = []
    while lengths.reduce(0, +) < 30_000 { lengths.append(3 + lengths.count * 37 % 100) }
    var fixture = Fixture(lengths)
    fixture.observations = fixture.observations.indices.map { index in
      index % 2 == 0 ? sin(Float(index)) : 1e6 + Float(index * 7919 % 1009)
    }
    fixture.actions = fixture.actions.indices.map { Float($0 * 31 % 199) / 100 - 1 }
    return fixture
  }

  @Test func aColumnsNumbersAreRight() throws {
    let fixture = large()
    let examination = try examination(fixture)
    for column in 0..<2 {
      let values = (0..<fixture.rows).map { Double(fixture.observations[2 * $0 + column]) }
      let found = examination.observations[column]
      let mean = values.reduce(0, +) / Double(values.count)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
      #expect(found.count == values.count && found.notFinite == 0)
      #expect(found.minimum == values.min() && found.maximum == values.max())
      #expect(abs(found.mean - mean) < 1e-9 * abs(mean) + 1e-9)
      #expect(abs(found.spread / variance.squareRoot() - 1) < 1e-9)
    }
    #expect(examination.findings.map(\.text).contains { $0.hasPrefix("every mask is 1") })
    #expect(examination.observations.allSatisfy { $0.oddity == nil })
  }

  @Test func aHistogramHoldsAllNumbersInItsRange() throws {
    let fixture = large()
    let bins = try examination(fixture).observations[0].histogram.bins
    #expect(bins.reduce(0) { $0 + $1.count } == fixture.rows)
    #expect(bins.count >= 32 && bins[0].low <= -0.99 && bins[bins.count - 1].high >= 0.99)
    for bin in bins {
      let inside = (0..<fixture.rows).count { row in
        (bin.low..<bin.high).contains(Double(fixture.observations[2 * row]))
      }
      #expect(abs(inside - bin.count) <= 1)
    }
  }

  @Test func aSeriesHoldsAllEpisodesInTheirOrder() throws {
    let examination = try examination(large())
    let points = examination.episodes.lengths.series.points
    #expect(points.count > 64 && points.count <= 128 && points[0].first == 0)
    #expect(zip(points, points.dropFirst()).allSatisfy { $0.first < $1.first })
    #expect(points.map(\.minimum).min() == 2 && points.map(\.maximum).max() == 101)
    #expect(examination.episodes.returns.minimum == -101)
  }

  /// The last row of an episode has no action that counts.
  @Test func unusedActionsDoNotCount() throws {
    var fixture = Fixture([3, 4])
    (fixture.actions[2], fixture.actions[6]) = (.nan, 0.9)
    let examination = try examination(fixture)
    #expect(examination.refusal == nil && examination.actions[0].count == 5)
    #expect(examination.actions[0].maximum < 0.1)
  }

  @Test func numbersThatNeverEndGrowNothingElse() throws {
    var fixture = Fixture([3, 4])
    (fixture.observations[2], fixture.observations[9]) = (.greatestFiniteMagnitude, -.greatestFiniteMagnitude)
    (fixture.observations[0], fixture.observations[4]) = (.leastNonzeroMagnitude, 0)
    let bins = try examination(fixture).observations[0].histogram.bins
    #expect(bins.reduce(0) { $0 + $1.count } == 7)
  }
}
