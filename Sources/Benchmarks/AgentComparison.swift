import Agents
import Basics
import Kernels
import MPI

/// The costs of an update and of an action of several agents, measured in turn on the same transitions.
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
    /// What twice as much of each setting that it scales with would cost.
    public var doublings: [Doubling]
  }

  /// An agent's costs with twice as much of one setting.
  public struct Doubling: Codable, Sendable {
    /// The setting, as a flag without dashes.
    public var setting: String
    /// Its value in the agent's other costs.
    public var from: Int
    /// The value measured here.
    public var to: Int
    /// Operations of an update, over all ranks, in 10⁹.
    public var gigaOperations: Double
    /// One update, in milliseconds.
    public var update: Double
    /// One action for one observation, in microseconds.
    public var action: Double
    /// These three over those of the agent as it is.
    public var relativeOperations: Double
    public var relativeUpdate: Double
    public var relativeAction: Double
  }

  /// An agent that is timed, as it is or with one setting doubled.
  private struct Contender {
    let hyperparameters: Hyperparameters
    let subject: TimedLearner
    let doubled: ScalingSetting?
  }

  /// A setting that costs grow with: how many quantiles, candidates, samples or steps.
  private struct ScalingSetting {
    let name: String
    let value: WritableKeyPath<Hyperparameters, Int>

    static var all: [ScalingSetting] {
      [
        ScalingSetting(name: "num-quantiles", value: \.numQuantiles),
        ScalingSetting(name: "num-samples", value: \.numSamples),
        ScalingSetting(name: "num-logsumexp-samples", value: \.numLogsumexpSamples),
        ScalingSetting(name: "flow-steps", value: \.flowSteps),
      ]
    }
  }

  /// Operations of an update over all ranks.
  private struct Operations {
    let total: Double
    /// The same in forward passes of one network over the rows of the batch; members of ensembles are counted singly.
    let passes: Double
    /// What the kernels counted: less, as a first layer gives gradients only by the inputs that somebody needs.
    let counted: Double
  }

  /// The measurements of a contender: medians in seconds.
  private struct Measurement {
    let contender: Contender
    let operations: Operations
    let update: Double
    let action: Double
  }

  /// Actions of a measurement.
  private static let actions = 100

  private let world: Communicator
  /// Each agent as it is, and then with each setting doubled that it scales with.
  private let contenders: [Contender]

  /// Agents, each with its own hyperparameters, on the same transitions. Collective over all ranks.
  ///
  /// - Parameter releases: is told what to free at the end.
  public init(
    world: Communicator, _ hyperparameters: [Hyperparameters], _ observation: ObservationSpace,
    actionSize: Int,
    threads: Int, ranksPerNode: Int?, _ releases: Releases
  ) throws {
    self.world = world
    BLAS.setThreads(threads)
    for parameters in hyperparameters { try parameters.requireFit(observation, of: "the made-up data") }
    let data = MadeUpTransitions(observation, actionSize: actionSize)
    contenders = try hyperparameters.flatMap { parameters in
      let settings = ScalingSetting.all.filter { parameters.agent.reads($0.name) }
      return try ([nil] + settings).map { doubled in
        var parameters = parameters
        if let doubled { parameters[keyPath: doubled.value] *= 2 }
        return Contender(
          hyperparameters: parameters,
          subject: try TimedLearner(parameters, data, world: world, ranksPerNode: ranksPerNode, releases),
          doubled: doubled)
      }
    }
  }

  /// Measures in rounds, in each of which every agent has its turn. Collective.
  ///
  /// - Parameter updates: the updates of an agent in a round; nil for as many as take about half a second.
  /// - Throws: `Failure` when the kernels count other operations than the networks' sizes give.
  public func run(rounds: Int, updates: Int?) throws -> [Cost] {
    let operations = try contenders.map(countOperations)
    let counts = try contenders.map { contender in
      try updates ?? updatesOfARound(try seconds { try contender.subject.update() }, world)
    }
    var times = contenders.map { _ in [Double]() }
    var actions = times
    for _ in 0..<rounds {
      for (index, contender) in contenders.enumerated() {
        let subject = contender.subject
        try world.barrier()
        times[index].append(
          try seconds { for _ in 0..<counts[index] { try subject.update() } } / Double(counts[index]))
        actions[index].append(seconds { for _ in 0..<Self.actions { subject.act() } } / Double(Self.actions))
      }
    }
    let measurements = contenders.indices.map { index in
      let contender = contenders[index]
      return Measurement(
        contender: contender, operations: operations[index], update: median(times[index]),
        action: median(actions[index]))
    }
    return try costs(measurements)
  }

  private func costs(_ measurements: [Measurement]) throws -> [Cost] {
    var costs: [Cost] = []
    var own = measurements[0]
    let first = own
    for measurement in measurements {
      guard let setting = measurement.contender.doubled else {
        own = measurement
        costs.append(try cost(own, relativeTo: first))
        continue
      }
      costs[costs.count - 1].doublings.append(doubling(setting, measurement, of: own))
    }
    return costs
  }

  private func cost(_ m: Measurement, relativeTo first: Measurement) throws -> Cost {
    let agent = m.contender.hyperparameters.agent
    return Cost(
      agent: agent.rawValue, title: agent.title, passes: m.operations.passes,
      gigaOperations: m.operations.total / 1e9, countedGigaOperations: m.operations.counted / 1e9,
      update: 1e3 * m.update, action: 1e6 * m.action,
      megabytes: try world.allReduce(Double(m.contender.subject.byteCount), .max) / 1e6,
      relativeUpdate: m.update / first.update, relativeAction: m.action / first.action, doublings: [])
  }

  private func doubling(_ setting: ScalingSetting, _ m: Measurement, of own: Measurement) -> Doubling {
    Doubling(
      setting: setting.name, from: own.contender.hyperparameters[keyPath: setting.value],
      to: m.contender.hyperparameters[keyPath: setting.value],
      gigaOperations: m.operations.total / 1e9, update: 1e3 * m.update, action: 1e6 * m.action,
      relativeOperations: m.operations.total / own.operations.total,
      relativeUpdate: m.update / own.update, relativeAction: m.action / own.action)
  }

  /// What an update needs over all ranks, as the networks note it; the mean over the updates until the targets move.
  ///
  /// - Throws: `Failure` when the kernels count other operations than the networks note.
  private func countOperations(_ contender: Contender) throws -> Operations {
    let (parameters, subject) = (contender.hyperparameters, contender.subject)
    let period = subject.learner.targetPeriod
    try subject.profiled { for _ in 0..<period { try subject.update() } }
    func mean(_ count: Int) throws -> Double { try world.allReduce(Double(count)) / Double(period) }
    let work = subject.profile.work
    let counted = try mean(subject.profile.productOperations)
    guard try counted == mean(work.computed) else {
      throw Failure(
        .software,
        "\(parameters.agent.title): the kernels count \(counted) operations in an update, the networks \(try mean(work.computed))"
      )
    }
    return Operations(
      total: try mean(work.total), passes: try mean(work.rows) / Double(parameters.batchSize),
      counted: counted)
  }
}
