import Kernels
import Networks

/// What an agent needs to know about the data it learns from.
public struct DataSpec: Sendable, Equatable {
  /// O, the numbers of an observation.
  public let observationSize: Int
  /// A, the numbers of an action.
  public let actionSize: Int
  /// The smallest and the largest reward of the dataset.
  public let rewards: ClosedRange<Double>

  /// A spec of these sizes.
  public init(observationSize: Int, actionSize: Int, rewards: ClosedRange<Double>) {
    self.observationSize = observationSize
    self.actionSize = actionSize
    self.rewards = rewards
  }
}

/// A method of offline reinforcement learning: networks, losses and gradients of one update.
///
/// An update computes the gradient of all losses at the parameters from before it; Adam then takes one step with
/// all parameters, and the targets follow the parameters from before that step. The trainer does the latter two.
public protocol Agent<T>: AnyObject {
  /// The precision: Float trains, Double checks.
  associatedtype T: Real

  /// Its name as people write it.
  static var title: String { get }
  /// The settings that it reads, beside those that all agents do, with their published defaults: flags without
  /// dashes, and `true` or `false` for switches.
  static var settings: KeyValuePairs<String, String> { get }
  /// The random inputs of an update, in the order in which they are drawn.
  static func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw]
  /// Its way to act, for up to `rows` observations at once.
  static func policy(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) -> any Policy<T>
  /// Behaviour cloning with the flow that it learns of the dataset's actions; nil when it learns none.
  static func behaviour(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) -> (any Policy<T>)?

  /// Networks and workspaces for up to `rows` rows on this rank.
  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int)

  /// Where the tensors lie in the flat vector of parameters, and which of them have a target.
  var layout: ParameterLayout { get }
  /// All networks, targets included, in the order in which an update evaluates them.
  var networks: [MLP<T>] { get }
  /// The logged figures, with this rank's part of each from the last logging call of `evaluate`.
  var figures: Figures { get }
  /// Keeps the scales of normalised losses as they are, for checks by finite differences: they stand outside the
  /// gradient.
  var freezesScales: Bool { get set }
  /// The matrix products that an update of `rows` rows needs.
  func operations(rows: Int) -> Operations

  /// One update's losses and gradients on this rank's rows.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector, of `layout.count` elements.
  ///   - target: the targets' parameters, of `layout.targetCount` elements.
  ///   - logging: whether `figures` are wanted; what only they need is otherwise not computed.
  ///   - gradients: receives this rank's part of the gradient, as long as the flat vector; the ranks' parts add
  ///     up to it. Nil computes losses and figures only.
  ///   - sumOverRanks: replaces its argument by its sum over all ranks. Called by all ranks or by none. What it
  ///     throws is thrown.
  func evaluate(
    _ parameters: UnsafePointer<T>, target: UnsafePointer<T>, batch: Batch<T>, logging: Bool,
    gradients: UnsafeMutablePointer<T>?, sumOverRanks: (inout SIMD2<Double>) throws -> Void
  ) throws

  /// What the critics expect of the return after action a in state s.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector.
  ///   - observation: s, 1 × O.
  ///   - action: a, 1 × A.
  ///   - noise: N(0, 1), samples × A, for critics that sample returns; no more samples than the workspaces have rows.
  func returns(
    _ parameters: UnsafePointer<T>, observation: Matrix<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate

  /// Whether the targets move in an update, counted from 0.
  func movesTarget(update: Int) -> Bool

  /// The part of the loss that reaches a network's parameters, from the figures of the last logging call: what
  /// differences of that network's gradient are taken of.
  func lossReaching(_ network: String) -> Double
}

extension Agent {
  /// Whether this rank's part of the gradient is finite in the last call that computed it.
  public var gradientIsFinite: Bool {
    // By index: here, where the precision is not known, an iterator over the array would take memory for every step.
    let networks = networks
    return networks.indices.allSatisfy { networks[$0].gradientIsFinite }
  }

  /// The network and layer that gave the first value that is not finite in the last logging call, for a batch as
  /// large as the workspaces; nil when all are finite.
  public var firstNonFinite: String? {
    for network in networks {
      if let place = network.firstNonFinite { return place }
    }
    return nil
  }

  /// The targets move in every update.
  public func movesTarget(update: Int) -> Bool { true }
}

/// An agent's way to act, with a workspace of its own, so that it can act on a copy of the parameters while
/// training goes on.
public protocol Policy<T>: AnyObject {
  /// The precision.
  associatedtype T: Real

  /// Observations to act on, rows × O; filled by the caller.
  var observations: Matrix<T> { get }
  /// The random inputs of a step.
  var draws: [Draw] { get }
  /// One matrix for each of `draws`; filled by the caller.
  var noise: [Matrix<T>] { get }
  /// The actions of the last call, rows × A, in [−1, 1].
  var actions: Matrix<T> { get }

  /// The networks that `act` evaluates.
  var networks: [MLP<T>] { get }

  /// Chooses the actions of the first `rows` observations.
  ///
  /// - Parameter parameters: the flat vector of the agent's layout.
  func act(_ parameters: UnsafePointer<T>, rows: Int)

  /// How it acts, in one line for people.
  var rule: String { get }
  /// Adds to a graph what `act` computes: from observations, batch × O, and the tensors of `draws`, batch × width,
  /// to actions, batch × A. Shared draws have their own number of rows.
  func describe(
    _ observations: OperatorGraph.Value, _ noise: [OperatorGraph.Value], in graph: inout OperatorGraph
  ) -> OperatorGraph.Value
}

extension Policy {
  /// What `act` computes as a graph, from `observation` and the draws by their names to `action`.
  public var graph: OperatorGraph {
    var graph = OperatorGraph()
    let input = graph.input("observation", [nil, observations.columns])
    let noise = draws.map { graph.input($0.name, [$0.sharedRows, $0.width]) }
    let action = describe(input, noise, in: &graph)
    graph.output("action", action, [nil, actions.columns])
    return graph
  }
}

/// Matrix products, counted from the networks.
public struct Operations: Sendable, Equatable {
  /// Multiplications and additions of forward passes.
  public private(set) var forward = 0
  /// Those of gradients by weights.
  public private(set) var weights = 0
  /// Those of gradients by inputs, each taken to cost what a forward pass does.
  public private(set) var inputs = 0
  /// The same in forward passes of one network over the rows of the batch. Members of ensembles are counted singly; a
  /// stack of many rows for each sample is many passes.
  public private(set) var passes = 0.0
  /// What the kernels compute: less than the total, as a first layer gives gradients by its inputs only to the
  /// columns that somebody needs.
  public private(set) var computed = 0.0
  /// Updates that all of this is the mean over.
  public private(set) var period = 1

  private let batch: Int

  /// None yet, in an update of `batch` rows.
  init(batch: Int) { self.batch = batch }

  /// All of them together.
  public var total: Int { forward + weights + inputs }

  /// Adds passes over one network, `rows` rows each, made in one of `period` updates.
  ///
  /// - Parameters:
  ///   - weights: how many of them give gradients by weights. These pass back through all layers but the first.
  ///   - inputs: how many pass back: those, and the ones that only give gradients by the network's inputs.
  mutating func add<T>(
    _ network: MLP<T>, rows: Int, forward: Int, weights: Int = 0, inputs: Int = 0, every period: Int = 1
  ) {
    let shape = network.shape
    let cost = rows * shape.operationsPerRow
    let perInput = 2 * rows * shape.members * (shape.hidden.first ?? shape.outputs)
    let products =
      (forward + weights) * cost + inputs * (cost - shape.inputs * perInput)
      + max(0, inputs - weights) * network.inputGradientColumns.count * perInput
    self.forward += forward * cost / period
    self.weights += weights * cost / period
    self.inputs += inputs * cost / period
    computed += Double(products) / Double(period)
    passes += Double((forward + weights + inputs) * shape.members * rows) / Double(batch * period)
    self.period = max(self.period, period)
  }

  /// Adds products in forward mode, which cost what forward passes do; the kernels spare those with inputs that stay.
  ///
  /// - Parameters:
  ///   - count: directions in which each row is differentiated.
  ///   - columns: how many of the inputs change.
  mutating func addTangents<T>(_ network: MLP<T>, rows: Int, count: Int = 1, columns: Int) {
    add(network, rows: rows, forward: count)
    let shape = network.shape
    let first = shape.members * (shape.hidden.first ?? shape.outputs)
    computed -= Double(2 * rows * count * (shape.inputs - columns) * first)
  }
}
