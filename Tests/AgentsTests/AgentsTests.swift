import Agents
import Basics
import Checks
import Kernels
import Networks
import Profiling
import Randomness
import Testing

private let vectors = DataSpec(observationSize: 5, actionSize: 3, rewards: -3...3)
private let images = DataSpec(
  observation: .image(height: 7, width: 6, channels: 3), actionSize: 3, rewards: -3...3)

/// Images for agents with an encoder.
private func spec(_ hyperparameters: Hyperparameters) -> DataSpec {
  hyperparameters.encoder == nil ? vectors : images
}

/// A number of a distribution.
private func number(_ distribution: Draw.Distribution, _ random: inout RandomSequence) -> Float {
  switch distribution {
  case .normal: random.normal()
  case .uniform: random.uniform()
  case .symmetric: 2 * random.uniform() - 1
  case .below(let count): (Float(count) * random.uniform()).rounded(.down)
  }
}

/// A batch of ordinary numbers, rows `range` of a batch of `count`.
private func batch<T: Real>(
  _ range: Range<Int>, of count: Int, _ hyperparameters: Hyperparameters, _: T.Type = T.self
) -> Batch<T> {
  let spec = spec(hyperparameters)
  let draws = hyperparameters.agent.draws(spec, hyperparameters)
  let batch = Batch<T>(capacity: range.count, spec, draws: draws)
  batch.globalRows = count
  for (row, sample) in range.enumerated() {
    var random = RandomSequence(seed: 11, stream: .acting, index: UInt64(sample))
    func fill(_ matrix: Matrix<T>, _ number: (inout RandomSequence) -> Float) {
      for c in 0..<matrix.columns { matrix[row, c] = T(number(&random)) }
    }
    for observations in [batch.observations, batch.nextObservations] {
      if hyperparameters.encoder == nil {
        fill(observations.vectors) { $0.normal() }
      } else {
        draw(observations, row, &random)
      }
    }
    fill(batch.actions) { 1.8 * $0.uniform() - 0.9 }
    fill(batch.nextActions) { 1.8 * $0.uniform() - 0.9 }
    batch.rewards[row] = T(random.normal())
    batch.masks[row] = sample % 4 == 0 ? 0 : 1
    for (draw, matrix) in zip(draws, batch.noise) where draw.sharedRows == nil {
      fill(matrix) { number(draw.distribution, &$0) }
    }
  }
  for (draw, matrix) in zip(draws, batch.noise) where draw.sharedRows != nil {
    var random = RandomSequence(seed: 12, stream: .acting)
    matrix.replaceEach { _ in T(number(draw.distribution, &random)) }
  }
  return batch
}

/// An image: noise on top, and one colour below, as in drawn pictures.
private func draw<T: Real>(_ images: Observations<T>, _ row: Int, _ random: inout RandomSequence) {
  let image = images.row(row).assumingMemoryBound(to: UInt8.self)
  let size = images.space.count
  for i in 0..<size { image[i] = i < size / 2 ? UInt8(255 * random.uniform()) : i % 3 == 0 ? 0 : 200 }
}

/// An agent's published defaults with small networks, and other settings over them.
private func hyperparameters(_ agent: AgentKind = .fan, _ settings: String = "") throws -> Hyperparameters {
  try Hyperparameters.parse(
    ["--agent", agent.rawValue] + agent.defaults + ["--actor-hidden-dims=12,9", "--value-hidden-dims=17,10"]
      + settings.split(separator: " ").map(String.init))
}

@Suite struct AgentsTests {
  // MARK: Gradients

  /// Every tensor's gradient in double precision against central differences, and in single against double.
  @Test(arguments: AgentKind.allCases, ["", "--encoder=impala_debug"])
  func gradientsAgreeWithDifferences(of agent: AgentKind, settings: String) throws {
    try expectGradientsAgree(try hyperparameters(agent, settings))
  }

  @Test(arguments: [
    "--z-agg=mean", "--z-agg=min", "--normalize-value-loss", "--alpha2=0", "--alpha1=0", "--actor-layer-norm",
    "--no-layer-norm", "--actor-hidden-dims=9 --value-hidden-dims=20",
    "--actor-hidden-dims=9,17,8 --value-hidden-dims=20,16,7", "--expectile=0.5 --discount=0.9",
    "--actor-layer-norm --no-layer-norm --z-agg=min --normalize-value-loss",
  ]) func gradientsAgreeWithDifferences(settings: String) throws {
    try expectGradientsAgree(try hyperparameters(.fan, settings))
  }

  @Test(arguments: [
    (AgentKind.faql, "--q-agg=min --normalize-value-loss"), (.faql, "--alpha2=0"),
    (.nfql, "--flow-steps=3 --z-agg=min --normalize-value-loss"), (.nbrac, "--alpha2=0 --actor-layer-norm"),
    (.fql, "--flow-steps=1 --q-agg=min --normalize-q-loss"),
    (.rebrac, "--alpha-actor=0.5 --alpha-critic=0.3"),
    (.rebrac, "--alpha-actor=2 --no-tanh-squash --actor-fc-scale=1 --actor-freq=1 --actor-layer-norm"),
    (.iqn, "--num-quantiles=5 --num-samples=3 --quantile-agg=min --kappa=0.3 --flow-steps=2"),
    (.iqn, "--num-cosines=7 --embedding-dim=11 --no-layer-norm --no-clip-flow-actions"),
    (.codac, "--quantile-agg=min --normalize-q-loss --alpha-penalty=2 --num-logsumexp-samples=3"),
    (.valueFlows, "--ret-agg=min --q-agg=min --normalize-q-loss --no-clip-flow-returns --flow-steps=3"),
    (.valueFlows, "--bcfm-lambda=0.5 --dcfm-lambda=2 --discount=0.5 --no-layer-norm --num-samples=2"),
    (.rebrac, "--encoder=impala_debug --actor-freq=1"), (.fan, "--encoder=impala_debug --alpha2=0"),
    // Several tiles, the last one smaller.
    (.iqn, "--num-quantiles=170"), (.codac, "--num-quantiles=75"),
  ]) func gradientsAgreeWithDifferences(agent: AgentKind, settings: String) throws {
    try expectGradientsAgree(try hyperparameters(agent, settings))
  }

  private func expectGradientsAgree(_ parameters: Hyperparameters) throws {
    for seed in [UInt32(0), 1] {
      let report = try GradientCheck.check(
        batch(0..<8, of: 8, parameters), spec(parameters), parameters, seed: seed)
      #expect(report.problem == nil, "seed \(seed): \(report.lines.filter { $0.hasSuffix("WRONG") })")
      #expect(report.lines.last == "all gradients agree on 8 samples")
    }
  }

  /// The check itself: a number that is not finite is found where it appears.
  @Test(arguments: [
    (Float.nan, "actor_onestep_flow/input"), (.infinity, "actor_onestep_flow/input"),
    (3e38, "actor_onestep_flow/dense0"),
  ]) func theFirstNumberThatIsNotFiniteIsNamed(value: Float, place: String) throws {
    let parameters = try hyperparameters()
    let bad: Batch<Float> = batch(0..<8, of: 8, parameters)
    for c in 0..<vectors.observationSize { bad.observations.vectors[3, c] = value }
    let report = try GradientCheck.check(bad, vectors, parameters, seed: 0)
    #expect(report.problem == "the first value that is not finite is in \(place), in the forward pass")
  }

  @Test func actionsThatAreNotFiniteAreNamedWhereTheyEnter() throws {
    let parameters = try hyperparameters()
    let bad: Batch<Float> = batch(0..<8, of: 8, parameters)
    bad.actions[2, 1] = .nan
    let report = try GradientCheck.check(bad, vectors, parameters, seed: 0)
    #expect(report.problem?.contains("actor_bc_flow/input") == true, "\(report.problem ?? "nothing found")")
  }

  /// Rewards reach no network's forward pass: only the gradients show them.
  @Test func aRewardThatIsNotFiniteIsNamed() throws {
    let parameters = try hyperparameters()
    let bad: Batch<Float> = batch(0..<8, of: 8, parameters)
    bad.rewards[7] = .infinity
    let report = try GradientCheck.check(bad, vectors, parameters, seed: 0)
    #expect(
      report.problem == "the first value that is not finite is in the gradient of critic/dense0/weight",
      "\(report.problem ?? "nothing found")")
  }

  // MARK: Returns

  /// What the critics say of one state and action is what an update sees of them.
  @Test(arguments: AgentKind.allCases, ["", "--encoder=impala_debug"])
  func returnsAreWhatTheCriticsSay(agent: AgentKind, settings: String) throws {
    let part = Part(0..<1, try hyperparameters(agent, settings))
    part.spreadQuantiles()
    try part.evaluate { _ in }
    let (batch, figures) = (part.rows, part.agent.figures)
    func returns(_ noise: Matrix<Double>) -> ReturnEstimate {
      part.agent.expectedReturns(
        part.parameters.base, observation: batch.observations, action: batch.actions, noise: noise)
    }
    // This row is one of eight.
    let trained = returns(part.noise)
    #expect(abs(trained.value / 8 - figures["critic/\(trained.name.lowercased())_mean"]) < 1e-12)
    if trained.name == "Z" { #expect(abs(trained.samples[0] / 8 - figures["critic/q_mean"]) < 1e-12) }
  }

  // MARK: Parts of a batch

  /// The rows in two parts, as two ranks have them, give gradients and figures that add up to those of all.
  @Test(
    arguments: [
      (AgentKind.fan, "--normalize-value-loss"), (.fan, "--alpha2=0 --actor-layer-norm"),
      (.faql, "--normalize-value-loss"), (.fql, "--normalize-q-loss"), (.codac, "--normalize-q-loss"),
      (.valueFlows, "--normalize-q-loss"),
    ] + AgentKind.allCases.flatMap { [($0, ""), ($0, "--encoder=impala_debug")] })
  func partsAddUp(agent: AgentKind, settings: String) throws {
    let parameters = try hyperparameters(agent, settings)
    var sums = ExactSums(ExactSum())
    let whole = Part(0..<8, parameters)
    try whole.evaluate { sums = $0 }
    let parts = [Part(0..<3, parameters), Part(3..<8, parameters)]
    var partial = ExactSums(ExactSum())
    for part in parts { try part.evaluate { partial += $0 } }
    #expect(abs(partial.values - sums.values).max() < 1e-12)
    for part in parts { try part.evaluate { $0 = partial } }
    for slot in whole.agent.layout.slots {
      let error = slot.range.map { i in
        abs(whole.gradient.base[i] - parts[0].gradient.base[i] - parts[1].gradient.base[i])
      }.max()!
      #expect(error < 1e-12, "\(slot.name)")
    }
    for (index, figure) in whole.agent.figures.all.enumerated() {
      let (a, b) = (parts[0].agent.figures.values[index], parts[1].agent.figures.values[index])
      let both =
        switch figure.reduction {
        case .sum: a + b
        case .minimum: min(a, b)
        case .maximum: max(a, b)
        }
      #expect(abs(both - whole.agent.figures.values[index]) < 1e-12, "\(figure.name)")
    }
  }

  /// Without logging the gradients are the same.
  @Test(arguments: AgentKind.allCases, ["", "--encoder=impala_debug"])
  func loggingDoesNotChangeGradients(agent: AgentKind, settings: String) throws {
    let parameters = try hyperparameters(agent, settings)
    let (logged, silent) = (Part(0..<8, parameters), Part(0..<8, parameters))
    try logged.evaluate { _ in }
    try silent.evaluate(logging: false) { _ in }
    for i in 0..<logged.gradient.count {
      #expect(abs(logged.gradient.base[i] - silent.gradient.base[i]) < 1e-12)
    }
  }

  // MARK: Images

  /// The networks that see s or s′ in an update, targets included, each of them once.
  private static let encodings: [AgentKind: Int] = [
    // critic(s), critic_z(s), critic_z(s′), target(s), policy(s), policy(s′), flow(s), flow(s′)
    .fan: 8,
    // critic(s), target(s′), policy(s), policy(s′), flow(s), flow(s′)
    .faql: 6,
    // critic(s), critic_z(s), critic_z(s′), target(s), policy(s), policy(s′), flow(s)
    .nfql: 7,
    // the same without a flow
    .nbrac: 6,
    // critic(s), target(s′), policy(s), policy(s′), flow(s)
    .fql: 5,
    // critic(s), target(s′), actor(s), target_actor(s′)
    .rebrac: 4,
    // flow(s), flow(s′), critic(s), critic(s′), target(s′)
    .iqn: 5,
    // flow(s), policy(s), policy(s′), critic(s), target(s′)
    .codac: 5,
    // flow(s), flow(s′), policy(s), and for each of two return flows critic(s), critic(s′), target(s), target(s′)
    .valueFlows: 11,
  ]

  @Test(arguments: AgentKind.allCases, [false, true])
  func aNetworkEncodesEachObservationOnce(agent: AgentKind, logging: Bool) throws {
    let part = Part(0..<8, try hyperparameters(agent, "--encoder=impala_debug"))
    let profile = Profile()
    part.agent.networks.measure(in: profile)
    profile.isOn = true
    part.rows.update = (0...).first(where: part.agent.movesTarget)!
    try part.evaluate(logging: logging) { _ in }
    #expect(profile.work.encodings == 8 * Self.encodings[agent]!)
    #expect(profile.work.computed == profile.productOperations)
  }

  @Test func theNextStatesFlowIsNotEncodedWithoutItsAnchor() throws {
    let part = Part(0..<8, try hyperparameters(.fan, "--encoder=impala_debug --alpha2=0"))
    let profile = Profile()
    part.agent.networks.measure(in: profile)
    profile.isOn = true
    try part.evaluate(logging: false) { _ in }
    #expect(profile.work.encodings == 8 * 7)
  }

  /// An update at the same parameters with other images gives what a new agent gives.
  @Test(arguments: AgentKind.allCases) func encodingsAreForgottenAfterAnUpdate(agent: AgentKind) throws {
    let parameters = try hyperparameters(agent, "--encoder=impala_debug")
    let (again, once) = (Part(0..<4, parameters), Part(4..<8, parameters))
    try again.evaluate { _ in }
    let other: Batch<Double> = batch(4..<8, of: 8, parameters)
    try again.evaluate(other) { _ in }
    try once.evaluate { _ in }
    for i in 0..<once.gradient.count { #expect(again.gradient.base[i] == once.gradient.base[i]) }
  }

  @Test(arguments: [
    (ObservationSpace.vector(5), "impala", "vectors"),
    (.image(height: 64, width: 64, channels: 9), "", "name"),
    (.image(height: 64, width: 64, channels: 1), "impala", "red, green and blue"),
    (.image(height: 64, width: 7, channels: 3), "impala_small", "too small"),
    (.image(height: 3, width: 64, channels: 3), "impala_debug", "too small"),
  ]) func observationsAndEncoderMustFit(space: ObservationSpace, encoder: String, word: String) throws {
    let parameters = try hyperparameters(.fan, encoder.isEmpty ? "" : "--encoder=\(encoder)")
    let failure = #expect(throws: Failure.self) { try parameters.requireFit(space, of: "the data") }
    #expect(failure?.code == .usage && failure?.message.contains(word) == true, "\(failure?.message ?? "")")
  }

  // MARK: Settings

  /// Published defaults are settings that exist, with values that can be meant; FAN's are those that help shows.
  @Test(arguments: AgentKind.allCases) func defaultsAreSettings(agent: AgentKind) throws {
    let parameters = try Hyperparameters.parse(["--agent", agent.rawValue] + agent.defaults)
    #expect(AgentKind.firstUnread(in: agent.defaults, by: [agent]) == nil)
    if agent == .fan {
      let shown = try Hyperparameters.parse([])
      #expect(parameters.settings == shown.settings)
    }
  }

  @Test func settingsOfOthersAreFound() {
    let arguments = ["--lr", "1", "--no-layer-norm", "--z-agg=min"]
    #expect(AgentKind.firstUnread(in: arguments, by: [.faql]) == "z-agg")
    #expect(AgentKind.firstUnread(in: arguments, by: [.faql, .fan]) == nil)
    #expect(AgentKind.firstUnread(in: ["--no-normalize-q-loss"], by: [.fan]) == "normalize-q-loss")
    #expect(AgentKind.firstUnread(in: ["--steps", "3", "--flow-steps", "2"], by: [.fql]) == nil)
  }

  // MARK: Names

  @Test func drawsAreThoseOfThePublishedCode() throws {
    let sizes = DataSpec(observationSize: 5, actionSize: 6, rewards: 0...0)
    let draws = AgentKind.fan.draws(sizes, try hyperparameters())
    #expect(
      draws.map(\.name) == [
        "critic/next_action_noise", "critic/next_time", "critic/target_noise", "actor/flow_noise",
        "actor/flow_time", "actor/action_noise", "actor/action_time", "actor/value_noise", "log/action_noise",
      ])
    #expect(draws.map(\.width) == [6, 1, 6, 6, 1, 6, 1, 6, 6])
    #expect(draws.allSatisfy { ($0.distribution == .uniform) == ($0.width == 1) })
  }

  @Test func figuresAreThoseOfThePublishedCode() throws {
    let figures = Part(0..<8, try hyperparameters()).agent.figures.all
    #expect(
      figures.map(\.name) == [
        "critic/critic_loss", "critic/q_loss", "critic/z_loss", "critic/br_mse", "critic/q_mean",
        "critic/q_max", "critic/q_min", "critic/z_mean", "critic/z_max", "critic/z_min", "actor/actor_loss",
        "actor/bc_flow_loss", "actor/br_loss", "actor/q_loss", "actor/z_loss", "actor/q", "actor/z",
        "actor/mse",
      ])
    for figure in figures {
      let expected: Figure.Reduction =
        figure.name.hasSuffix("_max") ? .maximum : figure.name.hasSuffix("_min") ? .minimum : .sum
      #expect(figure.reduction == expected, "\(figure.name)")
    }
  }

  /// Defaults of the paper: 4 × 512, 4.9 million trained parameters at O = 37, A = 5.
  @Test func publishedSize() throws {
    let agent = FAN<Float>(
      DataSpec(observationSize: 37, actionSize: 5, rewards: 0...0), try Hyperparameters.parse([]), rows: 1)
    let trained = agent.layout.slots.reduce(0) { $0 + $1.count }
    #expect((4_850_000...4_950_000).contains(trained), "\(trained)")
    let networks = agent.layout.slots.map { String($0.name.prefix { $0 != "/" }) }
    #expect(Set(networks) == ["actor_bc_flow", "actor_onestep_flow", "critic", "critic_z"])
  }
}

/// One rank's rows of a batch of eight, and its part of the gradient at the initial parameters.
private final class Part {
  let agent: any Agent<Double>
  let gradient: Buffer<Double>
  let rows: Batch<Double>
  let parameters: Buffer<Double>

  private let draws: [Draw]

  init(_ range: Range<Int>, _ hyperparameters: Hyperparameters) {
    let spec = spec(hyperparameters)
    draws = hyperparameters.agent.draws(spec, hyperparameters)
    rows = batch(range, of: 8, hyperparameters)
    agent = hyperparameters.agent.make(spec, hyperparameters, rows: range.count)
    parameters = Buffer(count: agent.layout.count)
    gradient = Buffer(count: agent.layout.count)
    agent.layout.initialise(parameters.base, seed: 3)
  }

  /// The numbers of a random input.
  subscript(draw: String) -> Matrix<Double>? {
    draws.firstIndex { $0.name == draw }.map { rows.noise[$0] }
  }

  /// What critics that noise conditions see in an update's logged values: the noise that a draw for figures gives, or
  /// that of the next action, which is drawn first. One row for each quantile, where there are quantiles.
  var noise: Matrix<Double> {
    if let taus = self["critic/taus"] { return Matrix(taus.base, rows: taus.columns, columns: 1) }
    return self["log/value_noise"] ?? rows.noise[0]
  }

  /// Quantile levels as `returns` has them.
  func spreadQuantiles() {
    guard let taus = self["critic/taus"] else { return }
    for k in 0..<taus.columns { taus[0, k] = (Double(k) + 0.5) / Double(taus.columns) }
  }

  func evaluate(
    _ batch: Batch<Double>? = nil, logging: Bool = true, _ sumOverRanks: (inout ExactSums) -> Void
  ) throws {
    let target = Buffer<Double>(count: agent.layout.targetCount)
    agent.layout.copyFollowed(of: parameters.base, to: target.base)
    try agent.compute(
      batch ?? rows, parameters.base, target: target.base, gradients: gradient.base, logging: logging,
      sumOverRanks: sumOverRanks)
  }
}

private func abs(_ x: SIMD2<Double>) -> SIMD2<Double> { SIMD2(Swift.abs(x.x), Swift.abs(x.y)) }
