import Agents
import Basics
import Foundation
import Kernels
import Learning
import MPI
import Networks
import Settings
import TrainingData

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

  /// The most rows of a batch that are checked. Those of images take a thousand times the operations of vectors.
  private static func mostRows(_ spec: DataSpec) -> Int {
    if case .image = spec.observation { 4 } else { 32 }
  }

  /// Checks on some rows of the first batch of a configuration, on one rank.
  ///
  /// - Parameter importing: how a dataset is imported that is not there yet.
  public static func run(
    _ configuration: Configuration, importing: DatasetLocation.Import, world: Communicator
  ) throws -> Report {
    var configuration = configuration
    // The batch is one of the dataset.
    configuration.online.onlineSteps = 0
    return try Releases.around { [configuration] releases in
      let location = try DatasetLocation(
        configuration, namedTask(configuration.env), importing, world: world)
      let source = try BatchSource.training(configuration, at: location, world: world, releases)
      try source.sampler.load(step: 0)
      let batch = source.sampler.batch
      batch.rows = min(batch.rows, mostRows(source.data.spec))
      batch.globalRows = batch.rows
      var report = try check(
        batch, source.data.spec, configuration.hyperparameters, seed: configuration.seed)
      if let problem = report.problem, let huge = source.data.statistics.hugeValue {
        report.problem = "\(problem); \(huge): scale it first"
      }
      return report
    }
  }

  /// Checks the gradients of a batch at the initial parameters of a seed.
  public static func check(
    _ batch: Batch<Float>, _ spec: DataSpec, _ hyperparameters: Hyperparameters, seed: UInt32
  ) throws -> Report {
    let single = ObjectiveAtStart<Float>(spec, hyperparameters, batch, seed)
    // An update in which everything learns.
    batch.update = (0...).first(where: single.objective.movesTarget)!
    try single.computeGradient()
    if let place = single.objective.firstNonFinite {
      return Report(problem: "the first value that is not finite is in \(place), in the forward pass")
    }
    let draws = hyperparameters.agent.draws(spec, hyperparameters)
    let wide = Batch<Double>(widening: batch, spec, draws: draws)
    let double = ObjectiveAtStart<Double>(spec, hyperparameters, wide, seed)
    try double.computeGradient()
    return try compare(single, double, rows: batch.rows, seed: seed)
  }

  private static func compare(
    _ single: ObjectiveAtStart<Float>, _ double: ObjectiveAtStart<Double>, rows: Int, seed: UInt32
  ) throws -> Report {
    var report = Report()
    for slot in double.objective.layout.slots {
      guard slot.range.allSatisfy({ single.gradient.base[$0].isFinite }) else {
        report.problem = "the first value that is not finite is in the gradient of \(slot.name)"
        return report
      }
      let difference = try double.differenceError(slot, seed: seed, tolerance: differenceTolerance)
      let precision = precisionError(slot, single, double)
      let passes = difference <= differenceTolerance && precision <= precisionTolerance
      let name = slot.name.padding(toLength: max(34, slot.name.count + 1), withPad: " ", startingAt: 0)
      report.lines.append(
        "\(name) differences \(scientific(difference))  single precision \(scientific(precision))\(passes ? "" : "  WRONG")"
      )
      if !passes && report.problem == nil {
        report.problem = "the gradient of \(slot.name) differs from finite differences or between precisions"
      }
    }
    if report.problem == nil { report.lines.append("all gradients agree on \(rows) samples") }
    return report
  }

  private static func precisionError(
    _ slot: TensorSlot, _ single: ObjectiveAtStart<Float>, _ double: ObjectiveAtStart<Double>
  ) -> Double {
    var (error, norm) = (0.0, 0.0)
    for i in slot.range {
      let difference = Double(single.gradient.base[i]) - double.gradient.base[i]
      error += difference * difference
      norm += double.gradient.base[i] * double.gradient.base[i]
    }
    return error == 0 ? 0 : (error / max(norm, .leastNormalMagnitude)).squareRoot()
  }
}
