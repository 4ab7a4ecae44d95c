import Agents
import Basics
import Environments

extension EnvironmentDescription {
  /// Throws when a policy for data of some sizes cannot play here.
  ///
  /// - Parameter data: names the dataset, or whatever else the sizes are from.
  public func requireFit(_ spec: DataSpec, task: String, data: String?) throws(Failure) {
    guard observation == spec.observation, actionSize == spec.actionSize else {
      throw misfit(spec, task: task, data: data)
    }
    guard let here = observationOrder, let there = spec.observationOrder, here != there else { return }
    func text(_ order: [String]) -> String { printable(order.joined(separator: ", "), limit: 400) }
    throw Failure(
      .data,
      "\(data ?? "the data"): observations are \(text(there)), in this order, but \(task) has \(text(here)); import the data again, or use the environment they are from"
    )
  }

  private func misfit(_ spec: DataSpec, task: String, data: String?) -> Failure {
    Failure(
      .data,
      "\(data ?? "the data"): observations of \(spec.observation) and actions of \(spec.actionSize), but \(task) has \(observation) and \(actionSize)"
    )
  }
}
