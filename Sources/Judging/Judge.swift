import Agents
import Basics
import Datasets
import Evaluation
import Kernels
import Settings
import TrainingData

/// Judges the policies of a run by recorded episodes, with fitted Q evaluation. The same parameters get the same numbers,
/// on whatever rank.
public final class Judge {
  private let source: BatchSource
  private let sampler: BatchSampler
  private let options: FittedQOptions
  private let discount: Double
  private let policies: [Evaluator.Actor: ActingPolicy]
  /// The states in which the episodes begin. It takes a look at all data to find them.
  private lazy var starts = Result { try FirstStates(of: source.data, atMost: Self.mostFirstStates) }

  private static let batchSize = 256
  private static let mostFirstStates = 1000
  /// Batches on which actions are compared.
  private static let comparedBatches = 8

  /// A judge who judges by `source`, whose rows fit the policies'.
  ///
  /// - Parameters:
  ///   - spec: what the policies' agent knows about the data that they were trained on.
  ///   - hyperparameters: the policies' own.
  public init(
    _ source: BatchSource, _ spec: DataSpec, _ hyperparameters: Hyperparameters, _ options: FittedQOptions
  ) throws(Failure) {
    self.source = source
    self.options = options
    discount = hyperparameters.discount
    sampler = try source.wholeBatches(of: Self.batchSize)
    let agent = hyperparameters.agent
    var policies = [
      Evaluator.Actor.policy: ActingPolicy(agent.policy(spec, hyperparameters, rows: Self.batchSize))
    ]
    policies[.behaviour] = agent.behaviour(spec, hyperparameters, rows: Self.batchSize).map(ActingPolicy.init)
    self.policies = policies
  }

  /// How many episodes there are in the data.
  public func episodes() throws -> Int { try starts.get().episodes }

  /// Whether the agent has such an actor.
  public func judges(_ actor: Evaluator.Actor) -> Bool { policies[actor] != nil }

  /// The mean value at the first states of the episodes, by networks of one seed.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector of the agent's parameters.
  ///   - actor: whose value it is; the agent has it.
  ///   - progress: is told now and then the share of the updates that are done; what it throws ends the work.
  public func value(
    of actor: Evaluator.Actor, _ parameters: UnsafePointer<Float>, seed: Int,
    progress: (Double) throws -> Void = { _ in }
  ) throws -> Double {
    guard let policy = policies[actor] else { preconditionFailure("the agent has no such actor") }
    let (batch, updates) = (sampler.batch, options.fqeUpdates)
    let fitted = FittedQ(
      source.data.spec, hidden: options.fqeHiddenDims.widths, discount: discount,
      rows: max(batch.capacity, Self.batchSize), seed: UInt32(seed))
    for update in 0..<updates {
      if update % 16 == 0 { try progress(Double(update) / Double(updates)) }
      // Each seed has batches and noise of its own.
      try sampler.load(step: seed * updates + update)
      policy.act(batch.nextObservations.rows(0..<batch.rows), parameters, seed: UInt32(seed), step: update)
      fitted.update(update + 1, of: updates, batch, nextActions: policy.actions)
    }
    let observations = try starts.get().observations
    let count = observations.rows
    let sum = stride(from: 0, to: count, by: Self.batchSize).reduce(0.0) { sum, first in
      let rows = first..<min(first + Self.batchSize, count)
      policy.act(observations.rows(rows), parameters, seed: UInt32(seed), step: updates + first)
      return sum + fitted.sum(observations.vectors.rows(rows), policy.actions.rows(0..<rows.count))
    }
    return sum / Double(count)
  }

  /// How the policy's actions compare with the data's.
  public func compareActions(_ parameters: UnsafePointer<Float>) throws -> ActionComparison {
    let policy = policies[.policy]!
    var (squares, atBounds, count) = (0.0, 0, 0)
    let batch = sampler.batch
    for step in 0..<Self.comparedBatches {
      try sampler.load(step: step)
      policy.act(batch.observations.rows(0..<batch.rows), parameters, seed: 0, step: step)
      for row in 0..<batch.rows {
        for column in 0..<batch.actions.columns {
          let action = policy.actions[row, column]
          let difference = Double(action - batch.actions[row, column])
          squares += difference * difference
          if ActionBounds.isReached(by: action) { atBounds += 1 }
          count += 1
        }
      }
    }
    return ActionComparison(
      error: (squares / Double(count)).squareRoot(), shareAtBounds: Double(atBounds) / Double(count))
  }
}

/// How a policy's actions compare with the data's.
public struct ActionComparison: Sendable {
  /// The root mean square difference between the policy's actions and the data's, over their numbers.
  public let error: Double
  /// The share of the numbers of the policy's actions that lie at −1 or 1.
  public let shareAtBounds: Double
}
