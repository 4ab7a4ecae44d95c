import Agents
import ArrayFiles
import Basics
import Kernels
import Learning
import MPI
import Networks

/// How far a run of a case is from the published results, the worst over all steps.
public struct ParityResult: Sendable {
  /// |ours − published| / (|published| + 0.1) over the figures: 10⁻⁴ here is 10⁻⁴ relative plus 10⁻⁵ absolute.
  public var figures = 0.0
  /// ‖ours − published‖ / ‖published‖ over the gradient tensors.
  public var gradients = 0.0
  /// The same over the parameter tensors after the update.
  public var parameters = 0.0
  /// Where the worst of each stands, such as `step2/grads/critic/dense0/weight`.
  public var worst = ["figures": "", "gradients": "", "parameters": ""]

  /// The largest of the three.
  public var largest: Double {
    // A NaN compares with nothing: it must not pass.
    [figures, gradients, parameters].allSatisfy(\.isFinite) ? max(figures, gradients, parameters) : .infinity
  }
}

extension ParityCase {
  /// Runs the case as the trainer would: each rank has a contiguous piece of the batch's rows, and updates are the
  /// learner's. Collective over all ranks; all get the same result.
  ///
  /// - Parameters:
  ///   - hyperparameters: the case's own, or others that ought to give the same.
  ///   - chunks: chunks of the batch for reproducible updates; nil for others.
  public func run(
    _ hyperparameters: Hyperparameters, world: Communicator, ranksPerNode: Int? = nil, chunks: Int? = nil
  ) throws -> ParityResult {
    guard world.size <= batchSize else {
      throw Failure(
        .usage,
        "\(world.size) ranks share a batch of \(batchSize), so some would have no rows; use at most \(batchSize) ranks"
      )
    }
    if let chunks, let problem = BatchChunks.problem(count: chunks, batch: batchSize, ranks: world.size) {
      throw Failure(.usage, problem)
    }
    return try Releases.around { releases in
      let chunks = chunks.map { BatchChunks(count: $0, batch: batchSize, ranks: world.size) }
      let run = try ParityRun(
        self, hyperparameters, world: world, ranksPerNode: ranksPerNode, chunks: chunks, releases)
      var result = ParityResult()
      for step in 0..<steps { try run.update(step, &result) }
      return result
    }
  }
}

/// A learner that goes through a case.
private final class ParityRun {
  private let parityCase: ParityCase
  private let world: Communicator
  private let learner: Learner
  private let rows: Range<Int>
  private let draws: [Draw]
  private let batch: Batch<Float>

  init(
    _ parityCase: ParityCase, _ hyperparameters: Hyperparameters, world: Communicator, ranksPerNode: Int?,
    chunks: BatchChunks?, _ releases: Releases
  ) throws {
    self.parityCase = parityCase
    self.world = world
    try hyperparameters.requireFit(parityCase.spec.observation, of: parityCase.name)
    let size = parityCase.batchSize
    rows =
      chunks?.samples(of: world.rank)
      ?? size * world.rank / world.size..<size * (world.rank + 1) / world.size
    draws = hyperparameters.agent.draws(parityCase.spec, hyperparameters)
    batch = Batch(capacity: rows.count, parityCase.spec, draws: draws)
    batch.globalRows = size
    learner = try Learner(
      hyperparameters, parityCase.spec, rows: rows.count, world: world, ranksPerNode: ranksPerNode,
      chunks: chunks)
    releases.add(learner.free)
    // Only these ranks read the parameters, and all of them must hear of it when one cannot.
    try world.together {
      guard learner.leadsGroup else { return }
      for tensor in tensors {
        let values = try parityCase.arrays.floats("params/\(tensor.name)")
        try expect(values.count == tensor.count, "params/\(tensor.name)")
        tensor.base.update(from: values, count: values.count)
      }
    }
    try learner.distribute()
  }

  /// Every tensor of the trained networks and of the targets, with its address.
  private var tensors: [(name: String, base: UnsafeMutablePointer<Float>, count: Int)] {
    learner.layout.slots.map { ($0.name, learner.memory.parameters + $0.offset, $0.count) }
      + learner.layout.targetSlots.map { ($0.name, learner.memory.target + $0.offset, $0.count) }
  }

  func update(_ step: Int, _ result: inout ParityResult) throws {
    try load(step)
    let outcome = try learner.update(batch, logging: true)
    try compareFigures(step, outcome.figures, &result)
    for slot in learner.layout.slots {
      let name = "step\(step)/grads/\(slot.name)"
      let ours = learner.gradient(of: slot.range)
      try compare(name, ours, slot.count, "gradients", \.gradients, &result)
    }
    for tensor in tensors {
      let name = "step\(step)/params/\(tensor.name)"
      try compare(name, tensor.base, tensor.count, "parameters", \.parameters, &result)
    }
    // The sum is made of the ranks' own gradients, which their next backward passes overwrite.
    try world.barrier()
  }

  /// This rank's rows of the batch and the noise of a step.
  private func load(_ step: Int) throws {
    let prefix = "step\(step)"
    batch.update = step
    try load("\(prefix)/batch/observations", into: batch.observations)
    try load("\(prefix)/batch/actions", into: batch.actions)
    try load("\(prefix)/batch/next_observations", into: batch.nextObservations)
    try load("\(prefix)/batch/next_actions", into: batch.nextActions)
    try load("\(prefix)/batch/rewards", into: Matrix(batch.rewards, rows: rows.count, columns: 1))
    try load("\(prefix)/batch/masks", into: Matrix(batch.masks, rows: rows.count, columns: 1))
    for (draw, matrix) in zip(draws, batch.noise) {
      try load("\(prefix)/noise/\(draw.name)", into: matrix, sharedRows: draw.sharedRows)
    }
  }

  private func load(_ name: String, into observations: Observations<Float>) throws {
    guard case .image = observations.space else { return try load(name, into: observations.vectors) }
    let (values, size) = (try parityCase.arrays.floats(name), observations.space.count)
    try expect(values.count == parityCase.batchSize * size, name)
    for (r, row) in rows.enumerated() {
      let image = observations.row(r).assumingMemoryBound(to: UInt8.self)
      for i in 0..<size {
        guard let byte = UInt8(exactly: values[row * size + i]) else {
          throw FileError(
            .malformed, file: parityCase.arrays.path, member: name,
            reason: "images are of numbers from 0 to 255")
        }
        image[i] = byte
      }
    }
  }

  private func load(_ name: String, into matrix: Matrix<Float>, sharedRows: Int? = nil) throws {
    let values = try parityCase.arrays.floats(name)
    try expect(values.count == (sharedRows ?? parityCase.batchSize) * matrix.columns, name)
    for (r, row) in (sharedRows.map { 0..<$0 } ?? rows).enumerated() {
      for c in 0..<matrix.columns { matrix[r, c] = values[row * matrix.columns + c] }
    }
  }

  /// Every figure that the published code logs in this step. One that it logs for each sample is compared by its
  /// mean.
  private func compareFigures(
    _ step: Int, _ figures: [Learner.NamedFigure], _ result: inout ParityResult
  ) throws {
    let prefix = "step\(step)/info/"
    for name in parityCase.arrays.memberNames where name.hasPrefix(prefix) {
      let published = try parityCase.arrays.doubles(name)
      try expect(!published.isEmpty, name)
      let mean = published.reduce(0, +) / Double(published.count)
      let value = figures.first { $0.name == name.dropFirst(prefix.count) }?.value ?? .nan
      note(name, abs(value - mean) / (abs(mean) + 0.1), "figures", \.figures, &result)
    }
  }

  private func compare(
    _ name: String, _ ours: UnsafePointer<Float>, _ count: Int, _ kind: String,
    _ worst: WritableKeyPath<ParityResult, Double>, _ result: inout ParityResult
  ) throws {
    let published = try parityCase.arrays.doubles(name)
    try expect(published.count == count, name)
    var (difference, norm) = (0.0, 0.0)
    for i in 0..<count {
      difference += (Double(ours[i]) - published[i]) * (Double(ours[i]) - published[i])
      norm += published[i] * published[i]
    }
    // A tensor that is zero in the published code is zero here or wrong.
    let relative = norm > 0 ? (difference / norm).squareRoot() : difference.squareRoot()
    note(name, relative, kind, worst, &result)
  }

  private func note(
    _ name: String, _ error: Double, _ kind: String, _ worst: WritableKeyPath<ParityResult, Double>,
    _ result: inout ParityResult
  ) {
    // A NaN is worse than any number and stays.
    if error <= result[keyPath: worst] || result[keyPath: worst].isNaN { return }
    result[keyPath: worst] = error
    result.worst[kind] = name
  }

  private func expect(_ condition: Bool, _ member: String) throws {
    if !condition {
      throw FileError(
        .malformed, file: parityCase.arrays.path, member: member, reason: "size does not fit the case")
    }
  }
}
