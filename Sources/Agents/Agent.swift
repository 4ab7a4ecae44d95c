import Kernels
import Networks

/// A method of offline reinforcement learning: networks, losses and gradients of one update.
///
/// An update takes the gradient of all losses at the parameters from before it. Adam then takes one step with all
/// parameters, and the targets follow the parameters from before that step. The agent does the first, the learner
/// the other two.
public protocol Agent<T>: AnyObject {
  /// The precision: Float trains, Double checks.
  associatedtype T: Real

  /// The method's name as people write it.
  static var title: String { get }
  /// The settings that it reads, beside those that all agents read, with their published defaults: flags without
  /// dashes, and `true` or `false` for switches.
  static var settings: KeyValuePairs<String, String> { get }
  /// The trained networks in the order of the flat vector.
  static func shapes(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [NetworkShape]
  /// The random inputs of an update, in the order in which they are drawn.
  static func draws(_ spec: DataSpec, _ hyperparameters: Hyperparameters) -> [Draw]
  /// The logged figures, named as in the published code.
  static var figureNames: [String] { get }
  /// Each trained network's name with the figure of the loss that its parameters descend. Differences of that
  /// figure check its gradient.
  static var losses: KeyValuePairs<String, String> { get }
  /// How the agent acts, for up to `rows` observations at once.
  static func policy(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) -> any Policy<T>
  /// Behaviour cloning with the flow of the dataset's actions; nil for an agent that learns no such flow.
  static func behaviour(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int) -> (any Policy<T>)?

  /// An agent with memory for up to `rows` rows on this rank.
  init(_ spec: DataSpec, _ hyperparameters: Hyperparameters, rows: Int)

  /// The networks with their memory, targets included.
  var networks: NetworkSet<T> { get }
  /// This rank's share of each figure, from the last logging call of `computeLosses`.
  var figures: Figures { get }
  /// Updates from one that moves the targets to the next; 1 unless the method says otherwise.
  var targetPeriod: Int { get }

  /// One update's losses and gradients on this rank's rows. Others call `compute`.
  ///
  /// - Parameters:
  ///   - batch: this rank's rows.
  ///   - parameters: the flat vector, of `layout.count` elements.
  ///   - target: the targets' parameters, of `layout.targetCount` elements.
  ///   - gradients: receives this rank's share of the gradient, as long as the flat vector; the ranks' shares add
  ///     up to the gradient. Nil computes losses and figures only.
  ///   - logging: whether `figures` are wanted; what only they need is otherwise left out.
  ///   - sumOverRanks: replaces its argument by the sum over all ranks. All ranks call it or none does. An agent
  ///     calls it for the scale of a normalised loss only, which stands outside the gradient.
  func computeLosses(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, target: UnsafePointer<T>,
    gradients: UnsafeMutablePointer<T>?, logging: Bool, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws

  /// What the critics expect of the return after action a in state s. Others call `expectedReturns`.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector.
  ///   - observation: s, one observation.
  ///   - action: a, 1 × A.
  ///   - noise: N(0, 1), samples × A, for critics that sample returns; at most as many samples as `rows`.
  func returns(
    _ parameters: UnsafePointer<T>, observation: Observations<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate
}

extension Agent {
  /// The targets move in every update.
  public var targetPeriod: Int { 1 }

  /// Where the tensors lie in the flat vector, and which of them have a target.
  public var layout: ParameterLayout { networks.layout }

  /// One update's losses and gradients on this rank's rows: `computeLosses`, with images encoded as its networks ask
  /// for them, and gradients passed on to the encoders.
  public func compute(
    _ batch: Batch<T>, _ parameters: UnsafePointer<T>, target: UnsafePointer<T>,
    gradients: UnsafeMutablePointer<T>?, logging: Bool, sumOverRanks: (inout ExactSums) throws -> Void
  ) throws {
    networks.begin(parameters, targets: target, rows: batch.rows)
    try computeLosses(
      batch, parameters, target: target, gradients: gradients, logging: logging, sumOverRanks: sumOverRanks)
    if let gradients { networks.backwardThroughEncoders(into: gradients) }
  }

  /// What the critics expect of the return after an action: `returns`, with the image encoded.
  public func expectedReturns(
    _ parameters: UnsafePointer<T>, observation: Observations<T>, action: Matrix<T>, noise: Matrix<T>
  ) -> ReturnEstimate {
    networks.begin(parameters, rows: observation.rows)
    return returns(parameters, observation: observation, action: action, noise: noise)
  }

  /// Whether the targets move in an update, counted from 0.
  public func movesTarget(update: Int) -> Bool { (update + 1) % targetPeriod == 0 }
}
