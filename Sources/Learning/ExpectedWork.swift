import Agents
import Kernels
import Profiling

/// What an update of an agent will take, found out before there is a learner.
public struct ExpectedWork: Sendable {
  /// Operations of the matrix products of an update, over all ranks.
  public let operations: Double
  /// Trained parameters, and those of the targets.
  public let parameters: Int
  /// Bytes of workspaces that a rank needs, and those that each row of a batch adds.
  private let fixedBytes: Double
  private let bytesPerRow: Double

  /// Rows of the batch that is looked at: operations and memory grow with the rows.
  private static let rows = 2

  /// Looks at the losses and the gradient of a few rows.
  public init(_ hyperparameters: Hyperparameters, _ spec: DataSpec) throws {
    let (kind, rows) = (hyperparameters.agent, Self.rows)
    func bytes(rows: Int) -> Int {
      let before = bufferBytes
      return withExtendedLifetime(Objective<Float>(hyperparameters, spec, rows: rows)) {
        bufferBytes - before
      }
    }
    let profile = Profile()
    let objective = Objective<Float>(hyperparameters, spec, rows: rows, profile: profile)
    let layout = objective.layout
    let batch = Batch<Float>(capacity: rows, spec, draws: kind.draws(spec, hyperparameters))
    let (values, target, gradients) = (
      Buffer<Float>(count: layout.count), Buffer<Float>(count: layout.targetCount),
      Buffer<Float>(count: layout.count)
    )
    profile.isOn = true
    for update in 0..<objective.targetPeriod {
      batch.update = update
      try objective.compute(
        values.base, target: target.base, batch, logging: false, gradients: gradients.base
      ) { _ in }
    }
    operations =
      Double(profile.work.computed) / Double(objective.targetPeriod * rows)
      * Double(hyperparameters.batchSize)
    parameters = layout.count + layout.targetCount
    let (few, twice) = (Double(bytes(rows: rows)), Double(bytes(rows: 2 * rows)))
    bytesPerRow = (twice - few) / Double(rows)
    fixedBytes = few - bytesPerRow * Double(rows)
  }

  /// Bytes of all ranks of a run that share a node: workspaces, parameters, moments, gradients, and a copy of the
  /// parameters and targets for each of a few evaluations.
  public func bytes(batch: Int, ranks: Int) -> Int {
    let copies = 3 + ranks + Self.snapshots
    let workspaces = Double(ranks) * fixedBytes + Double(batch) * bytesPerRow
    return Int(workspaces) + copies * parameters * MemoryLayout<Float>.stride
  }

  /// Policies that are evaluated or wait for it.
  private static let snapshots = 2
}
