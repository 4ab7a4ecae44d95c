import Agents
import Basics
import Foundation
import Kernels
import Learning
import MPI
import Randomness
import Running

private let spec = DataSpec(observationSize: 4, actionSize: 2, rewards: -1...1)
private let samples = 12
private let updates = 5

/// Two learners at the same time, one on each half of the ranks, and others after them in the same process: they leave
/// nothing behind, and none changes the numbers of another.
func checkLearnersInOneProcess(_ world: Communicator) throws {
  let before = MPI.holdings
  let whole = try train(seed: 1, world)
  var earlier: [Float]?
  for _ in 0..<2 {
    let half = try world.split(colour: world.rank % 2)
    let own = try train(seed: UInt32(world.rank % 2), half)
    try expect(own == earlier ?? own, "a half's second run differs from its first in some bit")
    try expect(try half.broadcast(bytes(own)) == bytes(own), "the ranks of a half differ in some bit")
    if world.rank % 2 == 1 {
      let difference = zip(own, whole).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(whole.count)
      try expect(difference < 1e-5, "a half of the ranks differs from all by \(difference)")
    }
    earlier = own
  }
  try expect(try train(seed: 1, world) == whole, "the same run again differs in some bit")
  try expect(MPI.holdings == before, "\(MPI.holdings) are held instead of \(before)")
}

/// One bit that differs in one group's copy is found, wherever a checkpoint would keep it.
func checkReplicas(_ world: Communicator) throws {
  let hyperparameters = try Hyperparameters.parse(["--actor-hidden-dims=8", "--value-hidden-dims=8"])
  try Releases.around { releases in
    let batch = batch(world, hyperparameters)
    let learner = try Learner(hyperparameters, spec, rows: batch.capacity, world: world, ranksPerNode: 1)
    releases.add(learner.free)
    try learner.start(seed: 1)
    _ = try learner.update(batch)
    try learner.requireSameReplicas(world, after: 1)
    guard world.size > 1 else { return }
    let memory = learner.memory
    for place in [memory.parameters, memory.target, memory.moments.first, memory.moments.second] {
      let flips = world.rank == world.size - 1
      if flips { place[5] = Float(bitPattern: place[5].bitPattern ^ 1) }
      var failure: Failure?
      do { try learner.requireSameReplicas(world, after: 1) } catch let error as Failure { failure = error }
      try expect(failure?.code == .configuration, "the bit is not found, or for another reason")
      if flips { place[5] = Float(bitPattern: place[5].bitPattern ^ 1) }
    }
    try learner.requireSameReplicas(world, after: 1)
  }
}

/// The parameters after a few updates of a learner, which gives back everything that it takes.
private func train(seed: UInt32, _ world: Communicator) throws -> [Float] {
  let hyperparameters = try Hyperparameters.parse(
    ["--actor-hidden-dims=8", "--value-hidden-dims=8", "--normalize-value-loss"])
  return try Releases.around { releases in
    let batch = batch(world, hyperparameters)
    let learner = try Learner(hyperparameters, spec, rows: batch.capacity, world: world)
    releases.add(learner.free)
    try learner.start(seed: seed)
    for update in 0..<updates {
      batch.update = update
      let outcome = try learner.update(batch, logging: update == updates - 1)
      try expect(outcome.isFinite && !outcome.stops, "update \(update): \(outcome)")
      try expect(
        outcome.figures.map(\.name) == (update == updates - 1 ? learner.figureNames : []),
        "update \(update): figures \(outcome.figures)")
    }
    return Array(UnsafeBufferPointer(start: learner.memory.parameters, count: learner.memory.count))
  }
}

/// This rank's rows of a batch of ordinary numbers, which do not depend on the number of ranks.
private func batch(_ world: Communicator, _ hyperparameters: Hyperparameters) -> Batch<Float> {
  let draws = hyperparameters.agent.draws(spec, hyperparameters)
  let numbers = Array(stride(from: world.rank, to: samples, by: world.size))
  let batch = Batch<Float>(capacity: numbers.count, spec, draws: draws)
  batch.globalRows = samples
  for (row, sample) in numbers.enumerated() {
    var random = RandomSequence(seed: 3, stream: .sampling, index: UInt64(sample))
    for matrix in [
      batch.observations.vectors, batch.actions, batch.nextObservations.vectors, batch.nextActions,
    ] + batch.noise {
      for c in 0..<matrix.columns { matrix[row, c] = random.uniform() }
    }
    batch.rewards[row] = random.uniform()
    batch.masks[row] = 1
  }
  return batch
}

private func bytes(_ numbers: [Float]) -> [UInt8] { numbers.withUnsafeBytes { Array($0) } }
