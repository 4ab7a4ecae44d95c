import Basics
import Kernels
import Networks

/// A policy that takes observations and gives actions in the units of the data, before they were scaled.
public final class RawPolicy: Policy {
  public typealias T = Float

  public let observations: Observations<Float>
  public let actions: Matrix<Float>
  public var draws: [Draw] { policy.draws }
  public var noise: [Matrix<Float>] { policy.noise }
  public var networks: NetworkSet<Float> { policy.networks }
  private let policy: any Policy<Float>
  private let scales: DataScales
  private let workspace = Workspace<Float>()

  /// The policy `policy`, for data that were scaled so.
  ///
  /// - Parameter rows: the most observations of `policy`.
  public init(_ policy: any Policy<Float>, _ scales: DataScales, rows: Int) {
    self.policy = policy
    self.scales = scales
    observations = Observations(policy.observations.space, rows: rows, in: workspace)
    actions = workspace.matrix(rows: rows, columns: policy.actions.columns)
  }

  public func act(_ parameters: UnsafePointer<Float>, rows: Int) {
    policy.observations.rows(0..<rows).copy(observations.rows(0..<rows))
    scales.observations?.apply(to: policy.observations.vectors.base, rows: rows)
    policy.act(parameters, rows: rows)
    actions.rows(0..<rows).copy(policy.actions.rows(0..<rows))
    scales.actions?.invert(actions.base, rows: rows)
  }

  public var rule: String {
    let before = "observation = (observation - observations.shift) / observations.scale"
    let after = "action = action * actions.scale + actions.shift"
    let steps = [scales.observations == nil ? nil : before, policy.rule, scales.actions == nil ? nil : after]
    return steps.compactMap(\.self).joined(separator: "; then ") + "; 'scales' has the numbers"
  }

  public func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    var observations = observations
    if let columns = scales.observations {
      let centred = graph.apply(
        "Sub", observations, graph.numbers(columns.shift, named: "observations/shift"))
      observations = graph.apply("Div", centred, graph.numbers(columns.scale, named: "observations/scale"))
    }
    let action = policy.describe(observations, noise, in: &graph)
    guard let columns = scales.actions else { return action }
    let wide = graph.apply("Mul", action, graph.numbers(columns.scale, named: "actions/scale"))
    return graph.apply("Add", wide, graph.numbers(columns.shift, named: "actions/shift"))
  }
}
