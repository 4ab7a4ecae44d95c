import Foundation
import Kernels
import MPI
import Optimisation
import Training

private let count = 1000
private let followed = 160..<600
private let samples = 12
private let updates = 8
private let (learningRate, tau) = (0.01, 0.1)

/// Eight updates with a known gradient, some of them not finite, against the same in double precision on one rank.
func checkExchange(_ world: Communicator, ranksPerNode: Int?) throws {
  let exchange = try ParameterExchange(
    world: world, count: count, followed: [followed], learningRate: learningRate, tau: tau,
    ranksPerNode: ranksPerNode)
  let sharing = [nil: world.size, 1: 1, 2: world.size % 2 == 0 ? 2 : 1][ranksPerNode]!
  try expect(exchange.groupSize == sharing, "\(exchange.groupSize) ranks share memory, not \(sharing)")
  // Only the first rank knows where to start; the leaders of other groups have something else.
  if exchange.leadsGroup {
    for i in 0..<count { exchange.parameters[i] = world.rank == 0 ? Float(start(i)) : -1 }
    for i in 0..<followed.count {
      exchange.target[i] = world.rank == 0 ? Float(start(followed.lowerBound + i)) : -1
    }
  }
  try exchange.distribute()
  let reference = Reference()
  for step in 0..<updates {
    writeGradient(exchange.gradients, step, world)
    let fault = [3: Float.nan, 5: .infinity][step]
    if let fault, world.rank == world.size - 1 { exchange.gradients[count - 1] = fault }
    // The last rank alone asks to stop.
    let isFinite = Float.sumOfSquares(exchange.gradients, count: count).isFinite
    let outcome = try exchange.step(
      gradientIsFinite: isFinite, movesTarget: true, stop: step == 6 && world.rank == world.size - 1)
    let outcomeNorm = try world.allReduce(outcome.gradientSquares).squareRoot()
    try expect(outcome.isFinite == (fault == nil), "update \(step): finite \(outcome.isFinite)")
    try expect(outcome.stops == (step == 6), "update \(step): stops \(outcome.stops)")
    if fault == nil {
      let norm = reference.update(step)
      try expect(abs(outcomeNorm - norm) < 1e-6 * norm, "update \(step): norm \(outcomeNorm)")
    }
    try expect(exchange.optimiserSteps == reference.steps, "update \(step): \(exchange.optimiserSteps) steps")
    try compare("parameters", exchange.parameters, reference.parameters.base, count, step, world)
    try compare("target", exchange.target, reference.target.base, followed.count, step, world)
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
