import Agents
import Kernels
import MPI

/// What an update and an action of each of some agents cost, measured in turn on the same transitions.
public final class AgentComparison {
  /// One agent's costs; times are medians over the rounds.
  public struct Cost: Codable, Sendable {
    /// The agent, as `--agent` names it.
    public var agent: String
    /// Its name as people write it.
    public var title: String
    /// Forward passes of one network over the batch that an update amounts to.
    public var passes: Double
    /// Operations that these need, over all ranks, in 10⁹.
    public var gigaOperations: Double
    /// Operations that the kernels counted, over all ranks, in 10⁹: fewer, as nobody needs gradients by most of the
    /// inputs of first layers.
    public var countedGigaOperations: Double
    /// One update, in milliseconds.
    public var update: Double
    /// One action for one observation, in microseconds.
    public var action: Double
    /// Memory of the rank with most: workspaces, and its share of parameters, moments and gradients, in 10⁶ bytes.
    public var megabytes: Double
    /// `update` over that of the first agent.
    public var relativeUpdate: Double
    /// `action` over that of the first agent.
    public var relativeAction: Double
  }

  private let world: Communicator
  private let contenders: [(hyperparameters: Hyperparameters, subject: TimedAgent)]

  /// Agents, each with its own hyperparameters, on the same transitions. Collective over all ranks.
  public init(
    world: Communicator, _ hyperparameters: [Hyperparameters], observationSize: Int, actionSize: Int,
    threads: Int, ranksPerNode: Int?
  ) throws {
    self.world = world
    BLAS.setThreads(threads)
    let data = MadeUpTransitions(observationSize: observationSize, actionSize: actionSize)
    contenders = try hyperparameters.map {
      ($0, try TimedAgent($0, data, world: world, ranksPerNode: ranksPerNode))
    }
  }

  /// Measures in rounds, in each of which every agent has its turn. Collective.
  ///
  /// - Parameter updates: of an agent in a round; nil for about half a second of them.
  /// - Throws: `Failure` when the kernels count other operations than the networks' sizes give.
  public func run(rounds: Int, updates: Int?) throws -> [Cost] {
    let counts = try contenders.map { try updates ?? automaticCount($0.subject) }
    let counted = try contenders.map { try countOperations($0.hyperparameters, $0.subject) }
    var times = contenders.map { _ in [Double]() }
    var actions = times
    for _ in 0..<rounds {
      for (index, (_, subject)) in contenders.enumerated() {
        try world.barrier()
        times[index].append(
          try seconds { for _ in 0..<counts[index] { try subject.update() } } / Double(counts[index]))
        actions[index].append(seconds { for _ in 0..<100 { subject.act() } } / 100)
      }
    }
    let (first, firstAction) = (median(times[0]), median(actions[0]))
    return try contenders.enumerated().map { index, contender in
      let (parameters, subject) = contender
      let needed = subject.agent.operations(rows: parameters.batchSize)
      let (update, action) = (median(times[index]), median(actions[index]))
      return Cost(
        agent: parameters.agent.rawValue, title: parameters.agent.title, passes: needed.passes,
        gigaOperations: Double(needed.total) / 1e9, countedGigaOperations: counted[index] / 1e9,
        update: 1e3 * update, action: 1e6 * action,
        megabytes: try world.allReduce(Double(subject.byteCount), .max) / 1e6,
        relativeUpdate: update / first, relativeAction: action / firstAction)
    }
  }

  /// As many updates as take about half a second, the same number on all ranks.
  private func automaticCount(_ subject: TimedAgent) throws -> Int {
    try subject.update()
    let time = try seconds { for _ in 0..<2 { try subject.update() } } / 2
    return max(2, Int(try world.allReduce(0.5 / time, .min)))
  }

  /// Operations of an update over all ranks as the kernels count them.
  private func countOperations(_ parameters: Hyperparameters, _ subject: TimedAgent) throws -> Double {
    let expected = subject.agent.operations(rows: parameters.batchSize)
    Profile.reset()
    Profile.isOn = true
    for _ in 0..<expected.period { try subject.update() }
    Profile.isOn = false
    let counted = try world.allReduce(Double(Profile.productOperations)) / Double(expected.period)
    guard counted == expected.computed else {
      throw Failure(
        .software,
        "\(parameters.agent.title): the kernels count \(counted) operations in an update, the networks \(expected.computed)"
      )
    }
    return counted
  }
}
