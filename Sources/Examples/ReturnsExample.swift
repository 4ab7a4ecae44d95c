import Agents
import Kernels
import Networks
import Optimisation
import Randomness

/// What three critics make of the returns of one policy: the uniform one in `TwoSteps`.
///
/// - A mean critic Q(s, a), as FAQL's.
/// - A critic of quantiles.
/// - FAN's critics, Q(s, a, ε) and its upper expectile Z(s, a).
///
/// All of them learn from the same batches of the same data, and value the same next actions a′ = π(s′, ε′).
public struct ReturnsExample: Sendable {
  /// What the critics say of a step.
  public struct Estimate: Sendable, Equatable {
    /// Q(s, a) of the mean critic.
    public let mean: Double
    /// The quantiles at `levels`.
    public let quantiles: [Double]
    /// FAN's Q(s, a, ε) at `noise`.
    public let q: [Double]
    /// FAN's Z(s, a).
    public let z: Double

    /// The quantile at the nearest level.
    public func quantile(level: Double) -> Double { quantiles[nearest(level, in: levels)] }
    /// FAN's Q at the nearest noise.
    public func q(noise: Double) -> Double { q[nearest(noise, in: ReturnsExample.noise)] }
  }

  /// Levels of the quantiles.
  public static let levels = FixedQuantiles.levels
  /// Noise at which Q is looked at: from −2.5 to 2.5, an even number of values, so that none is 0.
  public static let noise = (0..<64).map { -2.5 + 5 * Double($0) / 63 }
  /// The expectile that Z estimates: high, as it stands for the supremum.
  public static let expectile = 0.99
  /// Episodes of the data.
  public static let episodes = 500
  /// Updates of the critics.
  public static let updates = 8000
  /// Updates between entries of `progress`.
  private static let interval = 100

  /// The estimates at the end.
  public let estimates: [TwoSteps.Step: Estimate]
  /// The estimates in the course of the updates.
  public let progress: [(update: Int, estimates: [TwoSteps.Step: Estimate])]

  /// Records the data and trains the critics. The same seed gives the same numbers.
  public init(seed: UInt32) {
    let critics = Critics(seed: seed)
    let data = Self.record(seed: seed)
    var random = RandomSequence(seed: seed, stream: .sampling)
    var progress = [(update: 0, estimates: critics.estimates())]
    for update in 1...Self.updates {
      critics.update(number: update) {
        data[random.below(data.count)]
      } noise: {
        random.normal()
      }
      if update % Self.interval == 0 { progress.append((update, critics.estimates())) }
    }
    self.progress = progress
    estimates = progress.last!.estimates
  }

  /// The steps of some episodes of the uniform policy.
  private static func record(seed: UInt32) -> [TwoSteps.Step] {
    var random = RandomSequence(seed: seed, stream: .behaviour)
    return (0..<episodes).flatMap { _ in
      var steps: [TwoSteps.Step] = []
      var state: TwoSteps.State? = .start
      while let here = state {
        steps.append(TwoSteps.Step(here, TwoSteps.policy(noise: Double(random.normal()))))
        state = steps.last!.next
      }
      return steps
    }
  }
}

/// The index of the value that is nearest.
private func nearest(_ value: Double, in values: [Double]) -> Int {
  values.indices.min { abs(values[$0] - value) < abs(values[$1] - value) }!
}

/// The three critics, with one vector of parameters and one Adam.
private final class Critics {
  private static let rows = 64
  private static let width = 64
  private static let learningRate = 2e-3
  private static let tau: Float = 0.02

  private let layout: ParameterLayout
  private let mean: MeanCritic
  private let quantiles: FixedQuantiles
  private let noisy: NoisyCritics

  private let workspace = Workspace<Float>()
  private let parameters: UnsafeMutablePointer<Float>
  private let gradients: UnsafeMutablePointer<Float>
  private let moments: (first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>)
  private let target: UnsafeMutablePointer<Float>

  private let batch: Batch<Float>
  /// a′ = π(s′, ε′), ε′, and the ε at which Z looks at Q.
  private let nextAction: Matrix<Float>
  private let nextNoise: Matrix<Float>
  private let targetNoise: Matrix<Float>

  init(seed: UInt32) {
    let spec = DataSpec(
      observationSize: TwoSteps.State.allCases.count, actionSize: 1,
      rewards: TwoSteps.Step.all.map(\.reward).min()!...TwoSteps.Step.all.map(\.reward).max()!)
    let rows = Self.rows
    let hidden = [Self.width, Self.width]
    let networks = CriticNetworks(
      [MeanCritic.shape(spec, hidden: hidden), FixedQuantiles.shape(spec, hidden: hidden)]
        + NoisyCritics.shapes(spec, hidden: hidden), rows: rows)
    mean = MeanCritic(networks)
    quantiles = FixedQuantiles(networks)
    noisy = NoisyCritics(networks, expectile: ReturnsExample.expectile)
    layout = networks.layout
    parameters = workspace.vector(layout.count)
    gradients = workspace.vector(layout.count)
    moments = (workspace.vector(layout.count), workspace.vector(layout.count))
    target = workspace.vector(layout.targetCount)
    layout.initialise(parameters, seed: seed)
    layout.copyFollowed(of: parameters, to: target)
    batch = Batch(capacity: rows, spec, draws: [])
    nextAction = workspace.matrix(rows: rows, columns: 1)
    nextNoise = workspace.matrix(rows: rows, columns: 1)
    targetNoise = workspace.matrix(rows: rows, columns: 1)
  }

  /// One update.
  ///
  /// - Parameters:
  ///   - number: from 1.
  ///   - sample: a step of the data.
  ///   - noise: N(0, 1).
  func update(number: Int, sample: () -> TwoSteps.Step, noise: () -> Float) {
    for row in 0..<batch.rows {
      fill(row, with: sample())
      nextNoise[row, 0] = noise()
      nextAction[row, 0] = TwoSteps.policy(noise: Double(nextNoise[row, 0])).component
      targetNoise[row, 0] = noise()
    }
    mean.learn(batch, nextAction: nextAction, parameters, target, into: gradients)
    quantiles.forward(parameters, target, batch, nextAction: nextAction)
    quantiles.regress(batch)
    quantiles.backward(parameters, into: gradients, rows: batch.rows)
    noisy.learn(
      batch, nextAction: nextAction, nextNoise: nextNoise, targetNoise: targetNoise, parameters, target,
      into: gradients)
    move(number)
  }

  private func fill(_ row: Int, with step: TwoSteps.Step) {
    encode(step.state, batch.observations.vectors.row(row))
    batch.actions[row, 0] = step.action.component
    batch.rewards[row] = Float(step.reward)
    batch.masks[row] = step.next == nil ? 0 : 1
    // What follows the end does not count.
    encode(step.next ?? .start, batch.nextObservations.vectors.row(row))
  }

  /// The state's place holds 1, the others 0.
  private func encode(_ state: TwoSteps.State, _ observation: UnsafeMutablePointer<Float>) {
    for other in TwoSteps.State.allCases { observation[other.rawValue] = other == state ? 1 : 0 }
  }

  /// The targets follow the parameters from before Adam's step, as in training. The learning rate falls to zero, so
  /// that the numbers settle.
  private func move(_ number: Int) {
    let rate = Self.learningRate * (1 - Double(number - 1) / Double(ReturnsExample.updates))
    var start = target
    for range in layout.followed {
      Float.moveTarget(
        start, toward: parameters + range.lowerBound, tau: Self.tau, count: range.count)
      start += range.count
    }
    Float.adam(
      parameters, gradient: gradients, firstMoment: moments.first, secondMoment: moments.second,
      AdamStep(number: number, learningRate: rate), count: layout.count)
  }

  /// What the critics say of all steps.
  func estimates() -> [TwoSteps.Step: ReturnsExample.Estimate] {
    Dictionary(uniqueKeysWithValues: TwoSteps.Step.all.map { ($0, estimate($0)) })
  }

  private func estimate(_ step: TwoSteps.Step) -> ReturnsExample.Estimate {
    fill(0, with: step)
    for (row, noise) in ReturnsExample.noise.enumerated() { nextNoise[row, 0] = Float(noise) }
    let (s, a) = (batch.observations.vectors.rows(0..<1), batch.actions.rows(0..<1))
    let noisy = noisy.values(parameters, s, a, noise: nextNoise.rows(0..<ReturnsExample.noise.count))
    return ReturnsExample.Estimate(
      mean: mean.value(parameters, s, a), quantiles: quantiles.quantiles(parameters, s, a), q: noisy.q,
      z: noisy.z)
  }
}
