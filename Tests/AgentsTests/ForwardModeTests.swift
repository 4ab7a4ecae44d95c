import Agents
import Kernels
import Networks
import Randomness
import Testing

private let spec = DataSpec(observationSize: 4, actionSize: 3, rewards: -3...3)
private let step = 1e-5

private func hyperparameters(_ agent: AgentKind, _ settings: String...) throws -> Hyperparameters {
  try Hyperparameters.parse(
    ["--agent", agent.rawValue] + agent.defaults
      + ["--actor-hidden-dims=12,9", "--value-hidden-dims=17,10"] + settings)
}

private func fill(_ matrix: Matrix<Double>, _ random: inout RandomSequence) {
  matrix.replaceEach { _ in Double(random.normal()) }
}

/// Derivatives along a direction, in forward mode, against central differences.
@Suite struct ForwardModeTests {
  private let workspace = Workspace<Double>()
  private var random = RandomSequence(seed: 5, stream: .acting)

  /// Of a network's output, for some rows and some columns of its input.
  @Test(arguments: [false, true], [nil, 2])
  mutating func networksAgree(layerNorm: Bool, ensemble: Int?) {
    let (inputs, columns, rows) = (6, 1..<4, 2..<7)
    let shape = NetworkShape(
      name: "v", inputs: inputs, hidden: [9, 13], outputs: 3, layerNorm: layerNorm, ensemble: ensemble)
    let layout = ParameterLayout([shape])
    let network = MLP<Double>(
      shape, rows: rows.upperBound, scratch: Scratch(rows: rows.upperBound, width: 13))
    let parameters = workspace.vector(layout.count)
    layout.initialise(parameters, seed: 3)
    let direction = workspace.matrix(rows: rows.count, columns: columns.count)
    let centre = workspace.matrix(rows: rows.count, columns: inputs)
    fill(direction, &random)
    fill(centre, &random)
    /// The outputs of all members with the input moved along the direction.
    func outputs(_ distance: Double) -> [Double] {
      let input = network.input.rows(rows)
      input.copy(centre)
      for i in 0..<rows.count {
        for c in columns { input[i, c] += distance * direction[i, c - columns.lowerBound] }
      }
      network.forward(parameters, rows: rows, gradientRows: rows)
      return (0..<network.shape.members).flatMap { numbers(network.output($0).rows(rows)) }
    }
    let measured = zip(outputs(step), outputs(-step)).map { ($0 - $1) / (2 * step) }
    _ = outputs(0)
    network.pushForward(parameters, rows: rows, along: direction, columns: columns)
    let exact = (0..<network.shape.members).flatMap { numbers(network.outputTangent($0).rows(rows)) }
    #expect(exact.count == measured.count && exact.contains { abs($0) > 0.1 })
    #expect(zip(exact, measured).allSatisfy { abs($0 - $1) < 1e-8 })
  }

  private func numbers(_ matrix: Matrix<Double>) -> [Double] {
    (0..<matrix.rows).flatMap { r in (0..<matrix.columns).map { matrix[r, $0] } }
  }

  /// An agent at its first parameters, and one sample to update it with.
  private struct Sample {
    let hyperparameters: Hyperparameters
    let agent: any Agent<Double>
    let batch: Batch<Double>
    let parameters: Buffer<Double>

    init(_ hyperparameters: Hyperparameters, _ random: inout RandomSequence) {
      self.hyperparameters = hyperparameters
      let draws = hyperparameters.agent.draws(spec, hyperparameters)
      batch = Batch(capacity: 1, spec, draws: draws)
      for matrix in [batch.observations.vectors, batch.nextObservations.vectors] { fill(matrix, &random) }
      for (draw, noise) in zip(draws, batch.noise) where draw.distribution == .normal { fill(noise, &random) }
      batch.masks[0] = 1
      agent = hyperparameters.agent.make(spec, hyperparameters, rows: 1)
      parameters = Buffer(count: agent.layout.count)
      agent.layout.initialise(parameters.base, seed: 3)
    }

    subscript(draw: String) -> Matrix<Double> {
      let draws = hyperparameters.agent.draws(spec, hyperparameters)
      return batch.noise[draws.firstIndex { $0.name == draw }!]
    }

    func evaluate() throws {
      let target = Buffer<Double>(count: agent.layout.targetCount)
      agent.layout.copyFollowed(of: parameters.base, to: target.base)
      try agent.compute(
        batch, parameters.base, target: target.base, gradients: nil, logging: true
      ) { _ in }
    }
  }

  /// Value Flows: its deviation is how fast returns change with the noise that they start from.
  @Test(arguments: ["1", "7"]) mutating func returnsOfValueFlows(steps: String) throws {
    let sample = Sample(try hyperparameters(.valueFlows, "--flow-steps", steps), &random)
    try sample.evaluate()
    let noise = workspace.matrix(rows: 1, columns: 1)
    func returns(_ distance: Double) -> [Double] {
      noise[0, 0] = sample["critic/weight_noise"][0, 0] + distance
      return sample.agent.expectedReturns(
        sample.parameters.base, observation: sample.batch.observations, action: sample.batch.actions,
        noise: noise
      ).samples
    }
    let slopes = zip(returns(step), returns(-step)).map { abs($0 - $1) / (2 * step) }
    #expect(slopes.count == 2 && slopes[0] != slopes[1])
    #expect(abs(sample.agent.figures["critic/q_std"] - (slopes[0] + slopes[1]) / 2) < 1e-8)
  }

  /// CODAC: with one random action, which is the policy's own, the value cancels in the penalty, and what is left is
  /// log(2^A + 1/density). Without a random vector for the trace, the density is that of the noise.
  @Test mutating func densitiesOfCODAC() throws {
    let settings = try hyperparameters(.codac, "--num-logsumexp-samples=1", "--alpha-penalty=1")
    let sample = Sample(settings, &random)
    let policy = CODAC<Double>.policy(spec, settings, rows: 1)
    let (noise, trace) = (sample["critic/penalty_action_noise"], sample["critic/trace_noise"])
    func action(_ distance: Double) -> [Double] {
      for c in 0..<spec.actionSize {
        for i in 0..<spec.observationSize {
          policy.observations.vectors[0, i] = sample.batch.observations.vectors[0, i]
        }
        policy.noise[0][0, c] = noise[0, c] + distance * trace[0, c]
      }
      policy.act(sample.parameters.base, rows: 1)
      return numbers(policy.actions)
    }
    let change = zip(action(step), action(-step)).map { ($0 - $1) / (2 * step) }
    let centre = action(0)
    try #require(centre.allSatisfy { abs($0) < 0.99 }, "clipped")
    for c in 0..<spec.actionSize { sample["critic/random_actions"][0, c] = centre[c] }
    let measured = change.indices.reduce(0) { $0 + trace[0, $1] * change[$1] }
    try sample.evaluate()
    let withTrace = sample.agent.figures["critic/critic_loss"]
    let noiseDensity = (0..<spec.actionSize).reduce(0) {
      $0 - (Double.log(2 * .pi) + noise[0, $1] * noise[0, $1]) / 2
    }
    trace.replaceEach { _ in 0 }
    try sample.evaluate()
    let withoutTrace = sample.agent.figures["critic/critic_loss"]
    func penalty(_ density: Double) -> Double { Double.log(8 + Double.exp(-density)) }
    #expect(abs(measured) > 0.1)
    let expected = penalty(noiseDensity - measured) - penalty(noiseDensity)
    #expect(abs(withTrace - withoutTrace - expected) < 1e-8)
  }
}
