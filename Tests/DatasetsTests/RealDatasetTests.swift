import Datasets
import Foundation
import Testing

private let folder = "../shared/datasets"
private let isThere = access(folder, R_OK) == 0

/// OGBench's published files, compared with the numbers that NumPy reads from them.
@Suite(.enabled(if: isThere, "OGBench's published files are missing"))
struct RealDatasetTests {
  @Test func thePointMazeFileHasItsKnownNumbers() throws {
    let path = "\(folder)/pointmaze-medium-navigate-v0.npz"
    let loaded = try Loaded(OGBenchSource(path: path) { _ in (-1, 1) })
    let statistics = loaded.statistics
    #expect(
      statistics.rows == 1_001_000 && statistics.transitions == 1_000_000 && statistics.episodes == 1000)
    #expect(statistics.episodeLength == .init(minimum: 1000, mean: 1000, maximum: 1000))
    #expect(statistics.actionMinimum == -1 && statistics.actionMaximum == 1)
    #expect(abs(statistics.clippedShare - 0.27394505494505494) < 1e-12)
    // Row 12345 is in the 13th episode. The 12 episodes before it each have one row that starts no
    // transition.
    let transition = try loaded.dataset.transition(12_345 - 12)
    #expect(transition.observation == [0.13721856474876404, 19.894163131713867])
    #expect(transition.action == [-0.8169089555740356, 0.7878833413124084])
    #expect(
      try loaded.dataset.transition(999_999).nextObservation == [-0.1412210613489151, 18.3507137298584])
    #expect(OGBenchSource.companionPath(of: path) == "\(folder)/pointmaze-medium-navigate-v0-val.npz")
  }

  @Test func theCubeFileHasItsKnownNumbers() throws {
    let loaded = try Loaded(OGBenchSource(path: "\(folder)/cube-single-play-v0.npz") { _ in (-1, 1) })
    let statistics = loaded.statistics
    #expect(statistics.rows == 300_300 && statistics.transitions == 300_000 && statistics.episodes == 300)
    #expect(loaded.dataset.plan.observationSize == 28 && loaded.dataset.plan.actionSize == 5)
    #expect(abs(statistics.clippedShare - 0.07328404928404929) < 1e-12)
    let transition = try loaded.dataset.transition(12_345 - 12)
    #expect(transition.observation.prefix(2) == [-1.45724356174469, -1.525510549545288])
    #expect(transition.action[4] == 0.46405020356178284)
    #expect(
      try loaded.dataset.transition(299_999).nextObservation.prefix(2) == [
        -2.2118079662323, -1.3989664316177368,
      ])
  }

  @Test func validationFilesHaveTheirKnownSizes() throws {
    for (name, transitions) in [("pointmaze-medium-navigate-v0", 100_000), ("cube-single-play-v0", 30_000)] {
      let path = try #require(OGBenchSource.companionPath(of: "\(folder)/\(name).npz"))
      #expect(try OGBenchSource(path: path).plan.transitions == transitions)
    }
  }
}
