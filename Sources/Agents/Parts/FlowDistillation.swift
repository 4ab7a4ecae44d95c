import Kernels
import Networks

/// FQL's constraint: the policy is pulled to where the behaviour flow, integrated from the same noise, ends.
///
/// Rows of the flow: n that are integrated; n between noise and data at s, whose loss trains the flow.
final class FlowDistillation<T: Real> {
  let flow: BehaviourFlow<T>
  private let weight: T
  private let steps: Int
  private let clipsEachStep: Bool
  /// Where actions are clipped before they are measured.
  private let limit: T
  /// Where the flow from ε ends, clipped, n × A.
  private let flowAction: Matrix<T>
  private let workspace = Workspace<T>()

  /// - Parameters:
  ///   - name: the flow's.
  ///   - weight: of the loss, alpha.
  ///   - ofClippedActions: measures the distance to π_c instead of π.
  ///   - clipsEachStep: clips the flow after every step, not only after the last.
  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, flow name: String = "actor_bc_flow", weight: T,
    ofClippedActions: Bool = false, clipsEachStep: Bool = false, layout: inout ParameterLayout, rows: Int,
    scratch: Scratch<T>
  ) {
    self.weight = weight
    self.clipsEachStep = clipsEachStep
    limit = ofClippedActions ? 1 : .infinity
    steps = hyperparameters.flowSteps
    flow = BehaviourFlow(
      BehaviourFlow<T>.shape(spec, hyperparameters, name: name), layout: &layout, rows: 2 * rows,
      passesGradient: false, scratch: scratch)
    flowAction = workspace.matrix(rows: rows, columns: spec.actionSize)
  }

  /// The flow from ε at s, and its velocity at x_t between noise and data.
  func forward(_ parameters: UnsafePointer<T>, _ batch: Batch<T>, noise: Matrix<T>, data: Path<T>) {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    flow.place(data, s, rows: block(1, n))
    flow.integrate(
      parameters, s, from: noise, steps: steps, clipsEachStep: clipsEachStep, into: flowAction.rows(0..<n),
      gradientRows: block(1, n))
  }

  /// bc_flow_loss, the mean over B and A of (v(s, x_t, t)θ − (a − x₀))², and the distance of policy and flow, that of
  /// (π − sg(flow(s, ε)))², which the published codes name differently; writes the gradient of `weight` times the latter to π's.
  func loss(
    _ batch: Batch<T>, data: Path<T>, _ actor: OneStepActor<T>, figure: String, _ figures: Figures?
  ) {
    let n = batch.rows
    let flowLoss = flow.squaredError(data, rows: block(1, n), weight: batch.perElement)
    let (action, gradient) = (actor.output(n), actor.gradient(n))
    var sum = T(0)
    for i in 0..<n {
      for c in 0..<action.columns {
        let error = max(-limit, min(limit, action[i, c])) - flowAction[i, c]
        sum += error * error
        gradient[i, c] = abs(action[i, c]) <= limit ? 2 * weight * error * batch.perElement : 0
      }
    }
    figures?["actor/bc_flow_loss"] = Double(flowLoss * batch.perElement)
    figures?[figure] = Double(sum * batch.perElement)
  }

  func backward(_ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, rows n: Int) {
    flow.network.backward(
      parameters + flow.network.start, into: gradients + flow.network.start, weightRows: block(1, n))
  }

  func addOperations(rows n: Int, to sum: inout Operations) {
    sum.add(flow.network, rows: n, forward: 1 + steps, weights: 1, inputs: 1)
  }
}
