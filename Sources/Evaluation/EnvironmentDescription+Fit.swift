import Agents
import Basics
import Environments

extension EnvironmentDescription {
  /// Throws when a policy for data of some sizes cannot play here.
  ///
  /// - Parameter data: names the dataset, or whatever else the sizes are from.
  public func requireFit(_ spec: DataSpec, task: String, data: String?) throws(Failure) {
    guard (observationSize, actionSize) != (spec.observationSize, spec.actionSize) else { return }
    throw Failure(
      .data,
      "\(data ?? "the data"): observations of \(spec.observationSize) numbers and actions of \(spec.actionSize), but \(task) has \(observationSize) and \(actionSize)"
    )
  }
}
