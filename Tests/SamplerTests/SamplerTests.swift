import TestSupport
import Testing

/// What ranks load of batches: `mpi-checks sampler` without mpirun, and on two and three ranks.
@Suite struct SamplerTests {
  static let jobs: [Int?] = hasMPIRun ? [nil, 2, 3] : [nil]
  private static let results = jobs.map { ranks in
    Result { try run(ranks: ranks, [built("mpi-checks"), "sampler"]) }
  }

  private func expectHolds(
    _ check: String, _ ranks: Int?, location: SourceLocation = #_sourceLocation
  ) throws {
    let index = try #require(Self.jobs.firstIndex(of: ranks))
    let result = try Self.results[index].get()
    let lines = result.output.split(separator: "\n").filter { $0.hasPrefix("\(check): ") }
    #expect(lines == ["\(check): ok"], "\(result)", sourceLocation: location)
  }

  @Test(arguments: jobs) func allRanksRowsTogetherAreTheBatch(ranks: Int?) throws {
    try expectHolds("all ranks' rows together are the batch", ranks)
  }

  @Test(arguments: jobs) func everyRowHoldsATransitionOfTheData(ranks: Int?) throws {
    try expectHolds("rows hold a transition of the data", ranks)
  }

  @Test(arguments: jobs) func aBatchDoesNotDependOnTheUpdatesBefore(ranks: Int?) throws {
    try expectHolds("a batch depends on its update, not on those before", ranks)
  }

  @Test(arguments: jobs) func otherUpdatesAndSeedsGiveOtherBatches(ranks: Int?) throws {
    try expectHolds("other updates and seeds give other batches", ranks)
  }

  @Test(arguments: jobs) func dataInFilesGiveTheSameBatches(ranks: Int?) throws {
    try expectHolds("data in files give the same batches", ranks)
  }

  @Test(arguments: jobs) func sharedDrawsAreTheSameOnAllRanks(ranks: Int?) throws {
    try expectHolds("shared draws are the same on all ranks", ranks)
  }

  @Test(arguments: jobs) func imagesOfABatchAreTheSameOnAnyNumberOfRanks(ranks: Int?) throws {
    try expectHolds("images of a batch are the same on any number of ranks", ranks)
  }

  @Test(arguments: jobs) func aSamplesImagesMoveTogether(ranks: Int?) throws {
    try expectHolds("a sample's images move together, by up to three pixels", ranks)
  }

  @Test(arguments: jobs) func aCoinDecidesForAWholeBatch(ranks: Int?) throws {
    try expectHolds("about half of the batches move, all of them or none", ranks)
  }

  @Test(arguments: jobs) func vectorsDoNotMove(ranks: Int?) throws {
    try expectHolds("vectors do not move", ranks)
  }

  @Test(arguments: jobs) func collectedTransitionsTakeTheOldestPlaces(ranks: Int?) throws {
    try expectHolds("collected transitions take the oldest places", ranks)
  }

  @Test(arguments: jobs) func anEmptyBufferGivesTheDatasetsBatches(ranks: Int?) throws {
    try expectHolds("a buffer without collected transitions gives the dataset's batches", ranks)
  }

  @Test(arguments: jobs) func aGrownBufferGivesTheSameBatches(ranks: Int?) throws {
    try expectHolds("a grown buffer gives the same batch on any number of ranks", ranks)
  }

  @Test(arguments: jobs) func aShareOfEachBatchIsTheDatasets(ranks: Int?) throws {
    try expectHolds("a share of each batch is the dataset's", ranks)
  }

  @Test(arguments: jobs) func moreRanksThanPartsOfTheDataAreRefused(ranks: Int?) throws {
    try expectHolds("more ranks than parts are refused", ranks)
  }
}
