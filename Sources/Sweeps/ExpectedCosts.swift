import Agents
import Learning
import Settings
import TrainingData

/// What the runs of a sweep are expected to take, from the sizes of their networks and the updates that are left.
struct ExpectedCosts {
  /// What is known of the data of a configuration; nil if nothing is.
  let data: (Configuration) -> ExpectedData?
  private var known: [String: ExpectedWork] = [:]

  /// Data whose sizes are not known count as these.
  private static let usual = DataSpec(observationSize: 37, actionSize: 5, rewards: -1...0)
  /// Settings that change what is computed, but not how much.
  private static let scalars: Set = [
    "lr", "discount", "tau", "expectile", "alpha1", "alpha2", "alpha", "alpha-actor", "alpha-critic",
    "actor-noise",
    "actor-noise-clip", "kappa", "alpha-penalty", "confidence-weight-temp", "bcfm-lambda", "dcfm-lambda",
    "actor-fc-scale",
  ]

  /// - Parameter data: finds out about the data of a configuration; asked once for each dataset.
  init(data: @escaping (Configuration) -> ExpectedData?) {
    var looked: [String: ExpectedData?] = [:]
    self.data = { configuration in
      let key = "\(configuration.env) \(configuration.dataset ?? "") \(configuration.frameStack)"
      if let known = looked[key] { return known }
      let found = data(configuration)
      looked[key] = .some(found)
      return found
    }
  }

  /// What an update of a configuration takes.
  mutating func work(_ configuration: Configuration) throws -> ExpectedWork {
    let hyperparameters = configuration.hyperparameters
    let spec = data(configuration)?.spec ?? Self.usual
    let settings = hyperparameters.settings.filter { !Self.scalars.contains($0.name) }
    let key = "\(spec.observation) \(spec.actionSize) \(settings)"
    if let work = known[key] { return work }
    let work = try ExpectedWork(hyperparameters, spec)
    known[key] = work
    return work
  }

  /// Runs in the order in which they start when several train at a time: those that take longest first, so that the
  /// last ones do not train long after all others have ended. Runs that take the same keep their order.
  mutating func longestFirst(_ indices: [Int], of sweep: Sweep, in directory: SweepDirectory) throws -> [Int]
  {
    var costs: [Int: Double] = [:]
    for index in indices {
      let run = sweep.runs[index]
      costs[index] = try work(run.configuration).operations * Double(directory.updatesLeft(of: run))
    }
    return indices.sorted { (costs[$0]!, $1) > (costs[$1]!, $0) }
  }
}
