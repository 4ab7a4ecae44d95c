import Agents
import Kernels
import Learning
import Networks
import Randomness

/// The losses of one batch at the initial parameters of a seed, and near them.
final class ObjectiveAtStart<T: Real> {
  let objective: Objective<T>
  /// The gradient of the last call of `computeGradient`.
  let gradient: Buffer<T>

  private let batch: Batch<T>
  private let parameters: Buffer<T>
  private let target: Buffer<T>
  private let sums = RecordedSums()

  /// Distances of the parameters of central differences from where they are taken. With relu and max pools, losses
  /// have kinks: the wider difference is wrong if one lies in between. Then the narrower one, between which hardly any
  /// lies, has its say.
  private let steps: [T] = [1e-5, 1e-7]

  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, _ batch: Batch<T>, _ seed: UInt32) {
    self.batch = batch
    objective = Objective(hyperparameters, spec, rows: batch.rows)
    let layout = objective.layout
    parameters = Buffer(count: layout.count)
    gradient = Buffer(count: layout.count)
    target = Buffer(count: layout.targetCount)
    layout.initialise(parameters.base, seed: seed)
    leaveKinks(of: layout, seed: seed)
    layout.copyFollowed(of: parameters.base, to: target.base)
  }

  /// Gives the biases of encoders other values than 0. Where an image is black, they alone are what the first
  /// convolution puts out, and relu has a kink at 0.
  private func leaveKinks(of layout: ParameterLayout, seed: UInt32) {
    for slot in layout.slots where slot.name.contains("/encoder/") && !slot.isWeight {
      var random = RandomSequence(seed: seed, stream: .acting, index: UInt64(slot.offset))
      for i in slot.range { parameters.base[i] = T(0.1 * random.normal()) }
    }
  }

  /// Computes the gradient, and records what the scales of normalised losses are made of.
  func computeGradient() throws {
    sums.clear()
    try compute(gradient.base, sums.record)
  }

  /// The relative error of the derivative of the loss along a direction of one tensor: the gradient's own direction
  /// and a random one added, so that the derivative is not small and every element takes part.
  ///
  /// - Parameter tolerance: an error that passes, at which no narrower difference is taken.
  func differenceError(_ slot: TensorSlot, seed: UInt32, tolerance: Double) throws -> Double {
    let direction = direction(slot, seed: seed)
    let exact = zip(slot.range, direction).reduce(0.0) { $0 + Double(gradient.base[$1.0] * $1.1) }
    let start = slot.range.map { parameters.base[$0] }
    defer { for (i, value) in zip(slot.range, start) { parameters.base[i] = value } }
    func loss(_ distance: T) throws -> Double {
      for (i, (value, d)) in zip(slot.range, zip(start, direction)) {
        parameters.base[i] = value + distance * d
      }
      return try lossReaching(slot)
    }
    var least = Double.infinity
    for step in steps where least > tolerance {
      let (above, below) = (try loss(step), try loss(-step))
      let measured = (above - below) / (2 * Double(step))
      // What rounding of the losses alone can make of the quotient.
      let rounding = 1e-15 * (abs(above) + abs(below)) / Double(step)
      let error = max(0, abs(measured - exact) - rounding) / max(abs(measured), abs(exact), 1e-12)
      least = min(least, error)
    }
    return least
  }

  private func direction(_ slot: TensorSlot, seed: UInt32) -> [T] {
    var random = RandomSequence(seed: seed, stream: .acting, index: UInt64(slot.offset))
    let noise = (0..<slot.count).map { _ in T(random.normal()) }
    let gradientNorm = norm(slot.range.map { gradient.base[$0] })
    let noiseNorm = norm(noise)
    return zip(slot.range, noise).map { i, e in
      (gradientNorm > 0 ? gradient.base[i] / gradientNorm : 0) + e / noiseNorm
    }
  }

  /// The part of the loss that reaches the network of a tensor. The scales of normalised losses stay as they are at
  /// the initial parameters, since no gradient passes through them.
  private func lossReaching(_ slot: TensorSlot) throws -> Double {
    sums.rewind()
    try compute(nil, sums.replay)
    return objective.loss(of: String(slot.name.prefix { $0 != "/" }))
  }

  private func compute(
    _ gradient: UnsafeMutablePointer<T>?, _ sumOverRanks: (inout ExactSums) -> Void
  ) throws {
    try objective.compute(
      parameters.base, target: target.base, batch, logging: true, gradients: gradient,
      sumOverRanks: sumOverRanks)
  }

  private func norm(_ values: [T]) -> T { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
}
