import Agents
import Foundation
import Kernels
import MPI
import Networks
import Randomness

/// Compares the explicit backward pass with finite differences on the first batch of a run, and looks for the
/// first value that is not finite.
///
/// In double precision: for every tensor, the derivative along one direction against central differences. In
/// single precision: the gradient that training uses against the one in double.
public enum GradientCheck {
  /// What was found.
  public struct Report: Sendable {
    /// A table, one line a tensor.
    public var lines: [String] = []
    /// The first thing wrong, in one line; nil when all is well.
    public var problem: String?
  }

  /// Largest relative error against central differences that passes.
  public static let differenceTolerance = 1e-5
  /// Largest relative error of single against double precision that passes.
  public static let precisionTolerance = 1e-3

  /// Checks on up to 32 rows of the first batch of a configuration, on one rank.
  ///
  /// - Parameter importing: how a dataset is made of one that is not there yet.
  public static func run(
    _ configuration: Configuration, importing: DatasetLocation.Import, world: Communicator
  ) throws -> Report {
    let location = try DatasetLocation(
      configuration, namedTask(configuration.env), importing, world: world)
    let data = try SharedDataset(configuration, at: location, world: world)
    let hyperparameters = configuration.hyperparameters
    let sampler = try BatchSampler(
      data.transitions, data.spec, draws: hyperparameters.agent.draws(data.spec, hyperparameters),
      batchSize: hyperparameters.batchSize, parts: configuration.virtualShards, seed: configuration.seed,
      world: world)
    try sampler.load(step: 0)
    let batch = sampler.batch
    batch.rows = min(batch.rows, 32)
    batch.globalRows = batch.rows
    return try check(batch, data.spec, hyperparameters, seed: configuration.seed)
  }

  /// Checks the gradients of a batch at the initial parameters of a seed.
  public static func check(
    _ batch: Batch<Float>, _ spec: DataSpec, _ hyperparameters: Hyperparameters, seed: UInt32
  ) throws -> Report {
    // An update in which everything learns.
    let agent = hyperparameters.agent.make(spec, hyperparameters, rows: 0, Float.self)
    batch.update = (0...).first(where: agent.movesTarget)!
    let single = Evaluation<Float>(spec, hyperparameters, batch, seed)
    try single.computeGradient()
    if let place = single.agent.networks.firstNonFinite {
      return Report(problem: "the first value that is not finite is in \(place), in the forward pass")
    }
    let draws = hyperparameters.agent.draws(spec, hyperparameters)
    let wide = Batch<Double>(widening: batch, spec, draws: draws)
    let double = Evaluation<Double>(spec, hyperparameters, wide, seed)
    try double.computeGradient()
    var report = Report()
    for slot in double.agent.layout.slots {
      guard slot.range.allSatisfy({ single.gradient.base[$0].isFinite }) else {
        report.problem = "the first value that is not finite is in the gradient of \(slot.name)"
        return report
      }
      let difference = try double.differenceError(slot, seed: seed)
      let precision = precisionError(slot, single, double)
      let passes = difference <= differenceTolerance && precision <= precisionTolerance
      let name = slot.name.padding(toLength: 34, withPad: " ", startingAt: 0)
      report.lines.append(
        "\(name) differences \(text(difference))  single precision \(text(precision))\(passes ? "" : "  WRONG")"
      )
      if !passes && report.problem == nil {
        report.problem = "the gradient of \(slot.name) differs from finite differences or between precisions"
      }
    }
    if report.problem == nil { report.lines.append("all gradients agree on \(batch.rows) samples") }
    return report
  }

  private static func precisionError(
    _ slot: TensorSlot, _ single: Evaluation<Float>, _ double: Evaluation<Double>
  ) -> Double {
    var (error, norm) = (0.0, 0.0)
    for i in slot.range {
      let difference = Double(single.gradient.base[i]) - double.gradient.base[i]
      error += difference * difference
      norm += double.gradient.base[i] * double.gradient.base[i]
    }
    return error == 0 ? 0 : (error / max(norm, .leastNormalMagnitude)).squareRoot()
  }

  private static func text(_ error: Double) -> String { String(format: "%.1e", error) }
}

/// The losses of one batch as a function of the parameters.
private final class Evaluation<T: Real> {
  let agent: any Agent<T>
  let gradient: Buffer<T>
  private let kind: AgentKind
  private let batch: Batch<T>
  private var scales = SIMD2<Double>(1, 1)
  private let parameters: Buffer<T>
  private let target: Buffer<T>

  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, _ batch: Batch<T>, _ seed: UInt32) {
    self.batch = batch
    kind = hyperparameters.agent
    agent = hyperparameters.agent.make(spec, hyperparameters, rows: batch.rows)
    parameters = Buffer(count: agent.layout.count)
    gradient = Buffer(count: agent.layout.count)
    target = Buffer(count: agent.layout.targetCount)
    agent.layout.initialise(parameters.base, seed: seed)
    agent.layout.copyFollowed(of: parameters.base, to: target.base)
  }

  func computeGradient() throws {
    try agent.computeLosses(
      batch, parameters.base, target: target.base, gradients: gradient.base, logging: true
    ) { scales = $0 }
  }

  /// The losses with stopped gradients: the sums that normalised losses are scaled by stay as they are at the centre.
  private func computeLosses() throws {
    try agent.computeLosses(
      batch, parameters.base, target: target.base, gradients: nil, logging: true
    ) { $0 = scales }
  }

  /// Relative error of the derivative of the loss along a direction of one tensor: the gradient's own direction
  /// and a random one added, so that the derivative is not small and every element takes part.
  func differenceError(_ slot: TensorSlot, seed: UInt32) throws -> Double {
    var random = RandomSequence(seed: seed, stream: .acting, index: UInt64(slot.offset))
    let noise = (0..<slot.count).map { _ in T(random.normal()) }
    let gradientNorm = norm(slot.range.map { gradient.base[$0] })
    let noiseNorm = norm(noise)
    let direction = zip(slot.range, noise).map { i, e in
      (gradientNorm > 0 ? gradient.base[i] / gradientNorm : 0) + e / noiseNorm
    }
    let exact = zip(slot.range, direction).reduce(0.0) { $0 + Double(gradient.base[$1.0] * $1.1) }
    let figure = kind.lossFigure(of: String(slot.name.prefix { $0 != "/" }))
    let start = slot.range.map { parameters.base[$0] }
    let step: T = 1e-5
    func loss(_ sign: T) throws -> Double {
      for (i, (value, d)) in zip(slot.range, zip(start, direction)) {
        parameters.base[i] = value + sign * step * d
      }
      try computeLosses()
      return agent.figures[figure]
    }
    let (above, below) = (try loss(1), try loss(-1))
    for (i, value) in zip(slot.range, start) { parameters.base[i] = value }
    let measured = (above - below) / (2 * Double(step))
    // What rounding of the losses alone can make of the quotient.
    let rounding = 1e-15 * (abs(above) + abs(below)) / Double(step)
    return max(0, abs(measured - exact) - rounding) / max(abs(measured), abs(exact), 1e-12)
  }

  private func norm(_ values: [T]) -> T { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
}

extension Batch where T == Double {
  /// The same batch in double precision.
  convenience init(widening batch: Batch<Float>, _ spec: DataSpec, draws: [Draw]) {
    self.init(capacity: batch.rows, spec, draws: draws)
    update = batch.update
    rows = batch.rows
    globalRows = batch.globalRows
    func widen(_ source: Matrix<Float>, _ destination: Matrix<Double>) {
      for r in 0..<destination.rows {
        for c in 0..<source.columns { destination[r, c] = Double(source[r, c]) }
      }
    }
    widen(batch.observations.vectors, observations.vectors)
    widen(batch.actions, actions)
    widen(batch.nextObservations.vectors, nextObservations.vectors)
    widen(batch.nextActions, nextActions)
    for (source, destination) in zip(batch.noise, noise) { widen(source, destination) }
    for r in 0..<rows {
      rewards[r] = Double(batch.rewards[r])
      masks[r] = Double(batch.masks[r])
    }
  }
}
