import Kernels
import Networks
import Randomness

/// An agent's way to act, with memory of its own, so that it can act on a copy of the parameters while training
/// goes on.
public protocol Policy<T>: AnyObject {
  /// The precision.
  associatedtype T: Real

  /// Observations to act on; the caller fills them.
  var observations: Observations<T> { get }
  /// The random inputs of a step.
  var draws: [Draw] { get }
  /// One matrix for each of `draws`; the caller fills them.
  var noise: [Matrix<T>] { get }
  /// The actions of the last call, rows × A, in [−1, 1].
  var actions: Matrix<T> { get }
  /// The networks with their memory.
  var networks: NetworkSet<T> { get }

  /// Chooses the actions of the first `rows` observations.
  ///
  /// - Parameter parameters: the flat vector of the agent's layout.
  func act(_ parameters: UnsafePointer<T>, rows: Int)

  /// How the policy acts, in one line for people.
  var rule: String { get }
  /// Adds to a graph what `act` computes: from observations, batch × O or batch × height × width × channels, and the
  /// tensors of `draws`, batch × width, to actions, batch × A. Shared draws have their own number of rows.
  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value
}

extension Policy {
  /// Fills `noise` for the first `rows` observations. The numbers depend on seed, step and row only.
  public func drawNoise(rows: Int, seed: UInt32, step: Int) where T == Float {
    for (index, (draw, noise)) in zip(draws, noise).enumerated() {
      let key = SIMD2(seed, RandomStream.acting(index).rawValue)
      draw.fill(noise, rows: rows, key: key, step: step) { UInt32($0) }
    }
  }

  /// What `act` computes as a graph, from `observation` and the draws by their names to `action`.
  public var graph: OperatorGraph {
    var graph = OperatorGraph()
    let input =
      switch observations.space {
      case .vector(let size): graph.input("observation", [nil, size])
      case .image(let height, let width, let channels):
        graph.input("observation", [nil, height, width, channels], of: .byte)
      }
    let noise = draws.map { graph.input($0.name, [$0.sharedRows, $0.width]) }
    let action = describe(input, noise, in: &graph)
    graph.output("action", action, [nil, actions.columns])
    return graph
  }
}
