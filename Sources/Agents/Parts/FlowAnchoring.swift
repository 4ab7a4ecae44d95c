import Kernels
import Networks

/// Flow anchoring: the direction from noise to the policy's action is compared with the behaviour flow's velocity
/// at one random time on the way, so that the flow is never integrated.
///
/// Rows of the flow: n between ε′ and a′ at s′; n between noise and data at s, whose loss trains the flow; n between
/// ε and π at s, which only pass a gradient on to π.
final class FlowAnchoring<T: Real> {
  let flow: BehaviourFlow<T>
  /// br of the last `forward` with a next path: Σ over A of (a′ − ε′ − v(s′, x, t))² for each row.
  let nextError: UnsafeMutablePointer<T>
  private let weight: T
  private let workspace = Workspace<T>()

  /// - Parameter weight: of the loss, alpha1.
  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, weight: T, layout: inout ParameterLayout,
    rows: Int, scratch: Scratch<T>
  ) {
    self.weight = weight
    flow = BehaviourFlow(
      BehaviourFlow<T>.shape(spec, hyperparameters), layout: &layout, rows: 3 * rows,
      passesGradient: true, scratch: scratch)
    nextError = workspace.vector(rows)
  }

  /// The velocities at x on each path; those of `next`, and `nextError`, only when it is given.
  func forward(
    _ parameters: UnsafePointer<T>, _ batch: Batch<T>, next: Path<T>?, data: Path<T>, policy: Path<T>
  ) {
    let n = batch.rows
    let s = batch.observations.rows(0..<n)
    if let next { flow.place(next, batch.nextObservations.rows(0..<n), rows: block(0, n)) }
    flow.place(data, s, rows: block(1, n))
    flow.place(policy, s, rows: block(2, n))
    flow.network.forward(
      parameters + flow.network.start, rows: (next == nil ? n : 0)..<3 * n, gradientRows: n..<3 * n)
    if let next { flow.measure(next, rows: block(0, n), into: nextError) }
  }

  /// bc_flow_loss, the mean over B and A of (v(s, x_t, t)θ − (a − x₀))², and br_loss, that of
  /// (π − ε − v(s, x, t))², with their gradients with respect to v and, where π enters directly, to π.
  func loss(_ batch: Batch<T>, data: Path<T>, policy: Path<T>, gradient: Matrix<T>, _ figures: Figures?) {
    let n = batch.rows
    let flowLoss = flow.squaredError(data, rows: block(1, n), weight: batch.perElement)
    let anchoringLoss = flow.squaredError(policy, rows: block(2, n), weight: weight * batch.perElement)
    let throughVelocity = flow.network.outputGradient().rows(block(2, n))
    for i in 0..<n {
      for c in 0..<gradient.columns { gradient[i, c] = -throughVelocity[i, c] }
    }
    figures?["actor/bc_flow_loss"] = Double(flowLoss * batch.perElement)
    figures?["actor/br_loss"] = Double(anchoringLoss * batch.perElement)
  }

  /// The flow's gradients; adds to `gradient` what reaches π through x = (1 − t)ε + t·π.
  func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, policy: Path<T>,
    gradient: Matrix<T>
  ) {
    let n = gradient.rows
    flow.network.backward(
      parameters + flow.network.start, into: gradients + flow.network.start, weightRows: block(1, n),
      inputRows: block(2, n))
    let throughX = flow.network.inputGradient.rows(block(2, n))
    for i in 0..<n {
      for c in 0..<gradient.columns { gradient[i, c] += policy.time[i, 0] * throughX[i, c] }
    }
  }

  /// - Parameter weighsNext: whether `nextError` is needed.
  func addOperations(rows n: Int, weighsNext: Bool, to sum: inout Operations) {
    sum.add(flow.network, rows: n, forward: weighsNext ? 3 : 2, weights: 1, inputs: 2)
  }
}
