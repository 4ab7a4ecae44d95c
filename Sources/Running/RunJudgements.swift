import Agents
import Basics
import Checkpoints
import Evaluation
import Foundation
import Judging
import MPI
import Settings
import TrainingData

/// The judgements of a run by recorded episodes. Training waits for them: the ranks divide actors and seeds among each
/// other, and rank 0 writes the results to `fqe.csv` and to the log. Nothing that is trained changes.
final class RunJudgements {
  /// The columns of `fqe.csv`.
  static let columns = [
    "step", "actor", "value", "value_low", "value_high", "action_error", "share_at_bounds", "time/seconds",
  ]

  /// The last results, by actor; on rank 0.
  private(set) var results: [Evaluator.Actor: JudgedValue] = [:]
  /// The update whose policy is being judged, and the share of this rank's work that is done; nil when none is.
  private(set) var progress: (step: Int, share: Double)?
  /// Where results are written; on rank 0, set before the first judgement.
  var log: FigureLog?
  /// What the log holds from before the run continued; on rank 0.
  var recorded = RecordedJudgements()

  private let judge: Judge
  private let seeds: Int
  private let world: Communicator
  private let host: RunHost
  private let directory: RunDirectory
  /// Whether the best policy is the one with the highest value: where no episodes are played.
  private let choosesBest: Bool
  /// The value of the best policy so far; on rank 0.
  private var best: Double?

  /// The judge of a run. Collective.
  ///
  /// - Parameters:
  ///   - validation: the data to judge by; nil if the run has none.
  ///   - isResumed: whether the run continues, so that there may be a best policy already.
  /// - Throws: the same `Failure` on all ranks if there is nothing to judge by.
  init(
    _ request: RunRequest, _ spec: DataSpec, by validation: BatchSource, world: Communicator,
    isResumed: Bool, _ host: RunHost
  ) throws {
    let configuration = request.configuration
    (self.world, self.host, directory) = (world, host, request.directory)
    seeds = configuration.fittedQ.fqeSeeds
    choosesBest = configuration.evalEpisodes == 0
    judge = try Judge(validation, spec, configuration.hyperparameters, configuration.fittedQ)
    best = try world.together {
      guard world.rank == 0, isResumed, choosesBest else { return nil }
      guard let best = try request.directory.bestSoFar(host.logger), let before = try? best.configuration()
      else { return nil }
      let change = changedMeasure(since: best.state, before, configuration, validation.data.digest)
      return change == nil ? best.state.judgedValue : nil
    }
    if world.rank == 0, let interval = configuration.fqeInterval {
      host.logger.info(
        "every \(interval) updates training waits while \(min(seeds, world.size)) of \(world.size) rank(s) judge the policy by the validation data: \(seeds) network(s) of \(configuration.fittedQ.fqeUpdates) updates"
      )
    }
  }

  /// A piece of the work.
  private struct Task {
    let actor: Evaluator.Actor
    let seed: Int
  }

  /// Judges the present policy for actors that have no row yet. False if somebody asked to stop, and nothing is written.
  /// Collective.
  ///
  /// - Parameter report: is called on rank 0 now and then meanwhile.
  func judge(_ state: RunState, _ actors: [Evaluator.Actor], report: () -> Void) throws -> Bool {
    let actors = try missing(actors, at: state.step)
    guard !actors.isEmpty else { return true }
    host.watchdog.enter("judging the policy")
    let start = ContinuousClock.now
    let tasks = actors.flatMap { actor in (0..<seeds).map { Task(actor: actor, seed: $0) } }
    let parameters = UnsafePointer(state.learner.memory.parameters)
    defer { progress = nil }
    let (own, comparison) = try world.workTogether {
      (
        try values(of: tasks, parameters, step: state.step, report),
        world.rank == 0 && actors.contains(.policy) ? try judge.compareActions(parameters) : nil
      )
    }
    guard try world.allReduce(Int64(own == nil ? 0 : 1), .min) == 1, var values = own else { return false }
    try values.withUnsafeMutableBufferPointer { try world.allReduce($0.baseAddress!, count: tasks.count) }
    let seconds = (ContinuousClock.now - start).seconds
    try world.together {
      guard world.rank == 0 else { return }
      let bySeed = Dictionary(grouping: zip(tasks, values), by: \.0.actor).mapValues { $0.map(\.1) }
      for actor in actors {
        let value = JudgedValue(seeds: bySeed[actor]!)
        try record(value, actor, state, actor == .policy ? comparison : nil, seconds: seconds)
      }
      if let policy = bySeed[.policy], let behaviour = bySeed[.behaviour] {
        let difference = JudgedValue(seeds: zip(policy, behaviour).map { $0 - $1 })
        host.logger.info("update \(state.step): difference to behaviour cloning: \(difference)")
      }
    }
    return true
  }

  /// The actors that the agent has and that have no row of an update. Rank 0 knows. Collective.
  private func missing(_ actors: [Evaluator.Actor], at step: Int) throws -> [Evaluator.Actor] {
    let known = recorded.results[step] ?? [:]
    results.merge(known) { $1 }
    let flags = try world.broadcast(actors.map { known[$0] == nil ? 1 : 0 })
    return zip(actors, flags).filter { $1 == 1 && judge.judges($0) }.map(\.0)
  }

  /// The values of this rank's pieces of the work, and zeros for the others'; nil if somebody asked to stop.
  private func values(
    of tasks: [Task], _ parameters: UnsafePointer<Float>, step: Int, _ report: () -> Void
  ) throws -> [Double]? {
    var values = [Double](repeating: 0, count: tasks.count)
    let own = tasks.indices.filter { $0 % world.size == world.rank }
    do {
      for (number, index) in own.enumerated() {
        let task = tasks[index]
        values[index] = try judge.value(of: task.actor, parameters, seed: task.seed) { share in
          if host.shouldStop() { throw CancellationError() }
          progress = (step, (Double(number) + share) / Double(own.count))
          report()
        }
      }
    } catch is CancellationError { return nil }
    return values
  }

  /// Writes a result down, and keeps the policy if it is the best.
  private func record(
    _ value: JudgedValue, _ actor: Evaluator.Actor, _ state: RunState, _ comparison: ActionComparison?,
    seconds: Double
  ) throws {
    results[actor] = value
    let isBest = actor == .policy && choosesBest && value.mean > best ?? -.infinity
    if isBest {
      try state.requireFinite()
      try state.save(to: directory.best, online: nil, judgedValue: value.mean)
      best = value.mean
    }
    let figures = [
      value.mean, value.interval?.low, value.interval?.high, comparison?.error, comparison?.shareAtBounds,
    ]
    try log?.append(
      ["\(state.step)", actor.rawValue] + figures.map { $0.map { "\($0)" } } + [decimals(seconds, 6)])
    try log?.synchronize()
    let who = actor == .policy ? "" : "behaviour cloning: "
    host.logger.info(
      "update \(state.step): \(who)value \(value)\(isBest ? ", the best so far" : "") by recorded episodes; training waited \(decimals(seconds, 1)) s"
    )
  }

  /// The result in a row of `fqe.csv`; nil if it has none.
  static func result(_ fields: [String]) -> (Evaluator.Actor, JudgedValue)? {
    guard let actor = Evaluator.Actor(rawValue: fields[1]), let mean = Double(fields[2]) else { return nil }
    let interval = Double(fields[3]).flatMap { low in Double(fields[4]).map { (low: low, high: $0) } }
    return (actor, JudgedValue(mean: mean, interval: interval))
  }
}

/// The rows of `fqe.csv` that a run which continues finds there.
struct RecordedJudgements {
  /// Results by update and actor.
  private(set) var results: [Int: [Evaluator.Actor: JudgedValue]] = [:]

  /// Takes a row.
  mutating func add(_ step: Int, _ fields: [String]) {
    if let (actor, value) = RunJudgements.result(fields) { results[step, default: [:]][actor] = value }
  }
}
