import Kernels
import Networks

/// FQL's constraint: the policy is pulled to where the behaviour flow, integrated from the same noise, ends.
///
/// Rows of the flow: n that are integrated; n between noise and data at s, whose loss trains the flow.
final class FlowDistillation<T: Real> {
  let flow: BehaviourFlow<T>
  private let weight: T
  private let steps: Int
  /// Where the flow from ε ends, clipped, n × A.
  private let flowAction: Matrix<T>
  private let workspace = Workspace<T>()

  /// - Parameter weight: of the loss, alpha.
  init(
    _ problem: Problem, _ hyperparameters: Hyperparameters, weight: T, layout: inout ParameterLayout,
    rows: Int, scratch: Scratch<T>
  ) {
    self.weight = weight
    steps = hyperparameters.flowSteps
    flow = BehaviourFlow(
      BehaviourFlow<T>.shape(problem, hyperparameters), layout: &layout, rows: 2 * rows,
      passesGradient: false, scratch: scratch)
    flowAction = workspace.matrix(rows: rows, columns: problem.actionSize)
  }

  /// The flow from ε at s, and its velocity at x_t between noise and data.
  func forward(_ parameters: UnsafePointer<T>, _ batch: Batch<T>, noise: Matrix<T>, data: Path<T>) {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    flow.place(data, s, rows: block(1, n))
    flow.integrate(
      parameters, s, from: noise, steps: steps, into: flowAction.rows(0..<n), gradientRows: block(1, n))
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
        let error = action[i, c] - flowAction[i, c]
        sum += error * error
        gradient[i, c] = 2 * weight * error * batch.perElement
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
