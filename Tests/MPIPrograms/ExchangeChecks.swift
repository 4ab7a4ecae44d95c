import Exchange
import Foundation
import Kernels
import MPI
import Optimisation

private let count = 1000
private let followed = 160..<600
private let samples = 12
private let updates = 8
private let (learningRate, tau) = (0.01, 0.1)

/// Eight updates with a known gradient, some of them not finite, against the same in double precision on one rank.
func checkExchange(_ world: Communicator, ranksPerNode: Int?) throws {
  let subject = try Subject(world, ranksPerNode: ranksPerNode)
  let limit = ranksPerNode ?? world.size
  let sharing = min(limit, world.size - world.rank / limit * limit)
  let (size, owners) = (subject.ranks.group.size, subject.ranks.owners)
  try expect(size == sharing, "\(size) ranks share memory, not \(sharing)")
  let smallest = world.size % limit == 0 ? limit : min(limit, world.size % limit)
  try expect(owners == smallest, "\(owners) ranks of each group own a piece, not \(smallest)")
  let reference = Reference()
  for step in 0..<updates {
    try subject.update(step, reference)
    try compare("parameters", subject.memory.parameters, reference.parameters.base, count, step, world)
    try compare("target", subject.memory.target, reference.target.base, followed.count, step, world)
  }
  try subject.memory.free()
}

/// An exchange and an optimiser, without an agent.
private struct Subject {
  let ranks: RankGroups
  let memory: ParameterMemory
  private let exchange: GradientExchange
  private let optimiser: OwnedOptimiser

  init(_ world: Communicator, ranksPerNode: Int?) throws {
    ranks = try RankGroups(world, ranksPerNode: ranksPerNode)
    memory = try ParameterMemory(
      ranks.group, owners: ranks.owners, count: count, followed: [followed])
    exchange = GradientExchange(ranks, memory)
    optimiser = OwnedOptimiser(memory, learningRate: learningRate, tau: tau)
    // Only the first rank knows where to start; the leaders of other groups have something else.
    if ranks.leadsGroup {
      for i in 0..<count { memory.parameters[i] = world.rank == 0 ? Float(start(i)) : -1 }
      for i in 0..<followed.count {
        memory.target[i] = world.rank == 0 ? Float(start(followed.lowerBound + i)) : -1
      }
    }
    try exchange.distribute()
  }

  func update(_ step: Int, _ reference: Reference) throws {
    let world = ranks.all
    let isLast = world.rank == world.size - 1
    writeGradient(memory.gradients, step, world)
    let fault = [3: Float.nan, 5: .infinity][step]
    if let fault, isLast { memory.gradients[count - 1] = fault }
    // The last rank alone asks to stop.
    let isFinite = Float.sumOfSquares(memory.gradients, count: count).isFinite
    let meeting = try exchange.begin(isFinite: isFinite, stop: step == 6 && isLast)
    let squares = meeting.isFinite ? optimiser.step(exchange, movesTarget: true) : ExactSum()
    try exchange.end()
    try expect(meeting.isFinite == (fault == nil), "update \(step): finite \(meeting.isFinite)")
    try expect(meeting.stops == (step == 6), "update \(step): stops \(meeting.stops)")
    let outcomeNorm = try world.allReduce(ranks.isInFirstGroup ? squares.value : 0).squareRoot()
    if fault == nil {
      let norm = reference.update(step)
      try expect(abs(outcomeNorm - norm) < 1e-6 * norm, "update \(step): norm \(outcomeNorm)")
    }
    try expect(optimiser.steps == reference.steps, "update \(step): \(optimiser.steps) steps")
  }
}

private func start(_ i: Int) -> Double { sin(Double(i)) }

private func gradient(_ i: Int, sample: Int, step: Int) -> Double {
  // No sum over samples is nearly zero: Adam divides by its size, and would show its rounding.
  (cos(Double(i * (sample + 3) + 17 * step)) + (i % 2 == 0 ? 1.5 : -1.5)) / Double(samples)
}

/// The sum over this rank's samples.
private func writeGradient(_ gradients: UnsafeMutablePointer<Float>, _ step: Int, _ world: Communicator) {
  for i in 0..<count {
    let own = stride(from: world.rank, to: samples, by: world.size)
    gradients[i] = Float(own.reduce(0.0) { $0 + gradient(i, sample: $1, step: step) })
  }
}

/// The definition: one rank, double precision.
private final class Reference {
  let parameters = Buffer<Double>(count: count)
  let target = Buffer<Double>(count: followed.count)
  private let first = Buffer<Double>(count: count)
  private let second = Buffer<Double>(count: count)
  private(set) var steps = 0

  init() {
    for i in 0..<count { parameters.base[i] = Double(Float(start(i))) }
    target.base.update(from: parameters.base + followed.lowerBound, count: followed.count)
  }

  /// Moves target, then parameters; the norm of the gradient.
  func update(_ step: Int) -> Double {
    var sums = (0..<count).map { i in
      (0..<samples).reduce(0.0) { $0 + gradient(i, sample: $1, step: step) }
    }
    steps += 1
    Double.moveTarget(
      target.base, toward: parameters.base + followed.lowerBound, tau: tau, count: followed.count)
    Double.adam(
      parameters.base, gradient: &sums, firstMoment: first.base, secondMoment: second.base,
      AdamStep(number: steps, learningRate: learningRate), count: count)
    return sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }
}

/// Near the reference, and the same bits as on rank 0.
private func compare(
  _ name: String, _ ours: UnsafeMutablePointer<Float>, _ reference: UnsafePointer<Double>, _ count: Int,
  _ step: Int, _ world: Communicator
) throws {
  let bytes = Array(UnsafeRawBufferPointer(start: ours, count: count * 4))
  let same = try world.broadcast(bytes) == bytes
  let worst = (0..<count).max {
    abs(Double(ours[$0]) - reference[$0]) < abs(Double(ours[$1]) - reference[$1])
  }!
  let error = abs(Double(ours[worst]) - reference[worst])
  try expect(
    error < 1e-6, "update \(step): \(name) \(worst) is \(ours[worst]) instead of \(reference[worst])")
  try expect(same, "update \(step): \(name) differ from rank 0's in some bit")
}
