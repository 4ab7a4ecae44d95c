import Kernels
import Optimisation
import Profiling

/// Adam and the targets, on the piece of the vector that this rank owns.
public final class OwnedOptimiser {
  /// Adam steps taken; differs from the number of updates by those that were skipped.
  public var steps = 0

  private let memory: ParameterMemory
  private let learningRate: Double
  private let tau: Float
  private let profile: Profile

  /// - Parameter profile: where the time of steps is noted.
  public init(_ memory: ParameterMemory, learningRate: Double, tau: Double, profile: Profile = Profile()) {
    self.memory = memory
    self.learningRate = learningRate
    self.tau = Float(tau)
    self.profile = profile
  }

  /// Takes a step with the gradient of all ranks: the targets move toward the parameters from before it. Called
  /// between the exchange's `begin` and `end`.
  ///
  /// Returns the sum of squares of the owned gradient.
  public func step(_ exchange: GradientExchange, movesTarget: Bool) -> ExactSum {
    steps += 1
    var squares = ExactSum()
    profile.time(.optimiser) {
      squares = move(
        exchange, AdamStep(number: steps, learningRate: learningRate), movesTarget: movesTarget)
    }
    return squares
  }

  private func move(_ exchange: GradientExchange, _ step: AdamStep<Float>, movesTarget: Bool) -> ExactSum {
    let (owned, length) = (memory.owned, GradientExchange.blockLength)
    var squares = ExactSum()
    for start in stride(from: owned.lowerBound, to: owned.upperBound, by: length) {
      let range = start..<min(start + length, owned.upperBound)
      let gradient = exchange.gradient(start, range.count)
      squares.add(Float.sumOfSquares(gradient, count: range.count))
      if movesTarget { moveTargets(range) }
      Float.adam(
        memory.parameters + start, gradient: gradient, firstMoment: memory.moments.first + start,
        secondMoment: memory.moments.second + start, step, count: range.count)
    }
    return squares
  }

  /// Moves the targets of some parameters.
  private func moveTargets(_ range: Range<Int>) {
    for (followed, start) in memory.followed {
      let moved = range.clamped(to: followed)
      guard !moved.isEmpty else { continue }
      Float.moveTarget(
        memory.target + start + (moved.lowerBound - followed.lowerBound),
        toward: memory.parameters + moved.lowerBound, tau: tau, count: moved.count)
    }
  }
}
