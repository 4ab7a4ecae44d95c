import Kernels
import Networks

/// FAN's policy and behaviour flow for acting, with a workspace of its own, so that it can act on a copy of the
/// parameters while training goes on.
public final class FANPolicy<T: Real> {
  /// Observations to act on, rows × O; filled by the caller.
  public let observations: Matrix<T>
  /// Noise ε ~ N(0, 1), rows × A; filled by the caller.
  public let noise: Matrix<T>
  /// The actions of the last call, rows × A, in [−1, 1].
  public let actions: Matrix<T>

  private let policy: MLP<T>
  private let flow: MLP<T>
  private let workspace = Workspace<T>()

  /// A policy that acts for up to `rows` observations at once.
  public init(observationSize: Int, actionSize: Int, hyperparameters: Hyperparameters, rows: Int) {
    let shapes = FANShapes(observationSize, actionSize, hyperparameters)
    let scratch = Scratch<T>(rows: 0, width: shapes.widestLayer)
    // The same networks come first in FAN's layout, so its flat vector serves here.
    var layout = ParameterLayout()
    flow = MLP(shapes.flow, layout: &layout, rows: rows, scratch: scratch)
    policy = MLP(shapes.policy, layout: &layout, rows: rows, scratch: scratch)
    observations = workspace.matrix(rows: rows, columns: observationSize)
    noise = workspace.matrix(rows: rows, columns: actionSize)
    actions = workspace.matrix(rows: rows, columns: actionSize)
  }

  /// actions ← clip(π(s, ε)) for the first `rows` rows.
  public func act(_ parameters: UnsafePointer<T>, rows n: Int) {
    policy.input.rows(0..<n).concatenate(observations.rows(0..<n), noise.rows(0..<n))
    policy.forward(parameters + policy.start, rows: 0..<n)
    actions.rows(0..<n).clip(policy.output().rows(0..<n))
  }

  /// actions ← the behaviour flow alone, integrated from ε by `steps` Euler steps, then clipped: behaviour
  /// cloning, for comparison.
  public func imitate(_ parameters: UnsafePointer<T>, rows n: Int, steps: Int = 10) {
    let (O, A) = (observations.columns, noise.columns)
    let input = flow.input.rows(0..<n)
    input.columns(0..<O + A).concatenate(observations.rows(0..<n), noise.rows(0..<n))
    for step in 0..<steps {
      for i in 0..<n { input[i, O + A] = T(step) / T(steps) }
      flow.forward(parameters + flow.start, rows: 0..<n)
      for i in 0..<n {
        for c in 0..<A { input[i, O + c] += flow.output()[i, c] / T(steps) }
      }
    }
    actions.rows(0..<n).clip(input.columns(O..<O + A))
  }
}
