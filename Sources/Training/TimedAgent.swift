import Agents
import Datasets
import Kernels
import MPI
import Profiling
import Randomness

/// Transitions of random numbers, to time updates with.
final class MadeUpTransitions {
  let memory: TransitionMemory
  /// What an agent needs to know about them.
  let spec: DataSpec
  private let base: UnsafeMutableRawPointer

  init(observationSize: Int, actionSize: Int) {
    let plan = DatasetPlan(
      rows: 50_001, episodes: 1, observationSize: observationSize, actionSize: actionSize)
    base = .allocate(byteCount: plan.byteCount, alignment: 64)
    var random = RandomSequence(seed: 0, stream: .behaviour)
    let floats = base.assumingMemoryBound(to: Float.self)
    for i in 0..<plan.episodesOffset / 4 { floats[i] = 2 * random.uniform() - 1 }
    // One episode, which starts with transition 0.
    (base + plan.episodesOffset).storeBytes(of: 0, as: Int64.self)
    memory = TransitionMemory(plan: plan, base: UnsafeRawPointer(base))
    spec = DataSpec(observationSize: observationSize, actionSize: actionSize, rewards: -1...1)
  }

  deinit { base.deallocate() }
}

/// An agent at its first parameters, with what feeds and updates it.
final class TimedAgent {
  let agent: any Agent<Float>
  let exchange: ParameterExchange
  /// Where the time of its updates goes.
  let profile = Profile()
  /// Bytes of this rank: workspaces, batch, policy, and its share of parameters, moments and gradients.
  let byteCount: Int
  /// Rows of the batch on this rank, at most.
  var capacity: Int { sampler.batch.capacity }

  private let hyperparameters: Hyperparameters
  private let data: MadeUpTransitions
  private let sampler: BatchSampler
  private let policy: any Policy<Float>
  private var step = 0

  /// Collective over all ranks.
  init(
    _ hyperparameters: Hyperparameters, _ data: MadeUpTransitions, world: Communicator, ranksPerNode: Int?
  ) throws {
    self.hyperparameters = hyperparameters
    self.data = data
    let (kind, spec) = (hyperparameters.agent, data.spec)
    let before = bufferBytes
    sampler = try BatchSampler(
      data.memory, spec, draws: kind.draws(spec, hyperparameters),
      batchSize: hyperparameters.batchSize, parts: 64, seed: 0, world: world)
    agent = kind.make(spec, hyperparameters, rows: sampler.batch.capacity)
    policy = kind.policy(spec, hyperparameters, rows: 1)
    let workspaces = bufferBytes - before
    exchange = try ParameterExchange(
      world: world, count: agent.layout.count, followed: agent.layout.followed,
      learningRate: hyperparameters.lr, tau: hyperparameters.tau, ranksPerNode: ranksPerNode)
    exchange.profile = profile
    agent.networks.measure(in: profile)
    byteCount = workspaces + exchange.byteCount / exchange.groupSize
    if exchange.leadsGroup {
      agent.layout.initialise(exchange.parameters, seed: 0)
      agent.layout.copyFollowed(of: exchange.parameters, to: exchange.target)
    }
    try exchange.distribute()
  }

  /// One update, as in training. Collective over all ranks.
  func update() throws {
    try profile.time(.sampling) { try sampler.load(step: step) }
    try agent.computeLosses(
      sampler.batch, exchange.parameters, target: exchange.target, gradients: exchange.gradients,
      logging: false
    ) { (sums) throws(MPIError) in try exchange.sumOverRanks(&sums) }
    _ = try exchange.step(
      gradientIsFinite: agent.networks.gradientIsFinite, movesTarget: agent.movesTarget(update: step),
      stop: false)
    step += 1
  }

  /// Losses and gradients of the first `rows` rows of the last batch, on this rank alone.
  func evaluate(rows: Int) throws {
    sampler.batch.rows = rows
    try agent.computeLosses(
      sampler.batch, exchange.parameters, target: exchange.target, gradients: exchange.gradients,
      logging: false
    ) { _ in }
  }

  /// The policy, for `rows` observations at once.
  func policy(rows: Int) -> any Policy<Float> {
    hyperparameters.agent.policy(data.spec, hyperparameters, rows: rows)
  }

  /// One action for one observation.
  func act() { policy.act(exchange.parameters, rows: 1) }
}
