import Basics
import Kernels
import Networks
import Profiling

/// The networks of an agent or of a policy, with the memory for their rows.
public final class NetworkSet<T: Real> {
  /// Where the tensors lie in the flat vector, and which of them have a target.
  public let layout: ParameterLayout
  /// All networks, targets included, in the order in which they were made: that in which an update uses them.
  public private(set) var all: [MLP<T>] = []
  /// The chunks that sums over rows are made of; nil if they are made in the order of rows.
  public private(set) var chunks: RowChunks?
  /// Rows of the batch in the update at hand.
  private(set) var rows = 0

  private let shapes: [NetworkShape]
  private let width: Int
  /// The most rows of a batch.
  private let capacity: Int
  private let scratch: Scratch<T>
  private let workspace = Workspace<T>()
  private let inputActionColumns: Range<Int>
  private let observation: ObservationSpace
  private let trains: Bool
  /// One for each network, and for each target, that sees images.
  private var encoders: [(network: String, isTarget: Bool, encoder: Encoder<T>)] = []
  private let encoderScratch: EncoderScratch<T>?

  /// No networks yet.
  ///
  /// - Parameters:
  ///   - shapes: the trained networks in the order of the flat vector.
  ///   - rows: the most rows of a batch.
  ///   - stackedRows: the most rows of a stack that a backward pass goes through; 0 for policies, which have none.
  init(
    _ shapes: [NetworkShape], _ spec: DataSpec, rows: Int, stackedRows: Int = 0
  ) {
    self.shapes = shapes
    layout = ParameterLayout(shapes)
    capacity = rows
    width = shapes.flatMap(\.hidden).max() ?? 0
    scratch = Scratch(rows: stackedRows, width: width)
    observation = spec.observation
    trains = stackedRows > 0
    let encoder = shapes.lazy.compactMap(\.encoder).first
    encoderScratch = encoder.map { EncoderScratch($0, rows: rows) }
    let stateSize = encoder?.features ?? spec.observationSize
    inputActionColumns = stateSize..<stateSize + spec.actionSize
  }

  // MARK: Networks

  /// A network for stacks of rows in several roles.
  ///
  /// - Parameters:
  ///   - roles: what the rows are for, in the order of the stack, and where their gradients go.
  ///   - gradientColumns: the input columns whose gradient `.input` rows give; by default the action's in [s, a, …].
  func stack(
    _ name: String, _ roles: [(role: Role, gradient: GradientUse)],
    gradientColumns: Range<Int>? = nil
  ) -> Stack<T> {
    let wantsInput = roles.contains { $0.gradient == .input }
    let network = network(
      name, rows: roles.count * capacity, scratch,
      inputGradientColumns: wantsInput ? gradientColumns ?? inputActionColumns : 0..<0)
    return Stack(network, roles, in: self)
  }

  /// The target of a network, for stacks of rows in several roles.
  ///
  /// - Parameter forwardMode: the last role, if its derivative is wanted in forward mode.
  func target(_ name: String, _ roles: [Role], forwardMode: Role? = nil) -> Stack<T> {
    let target = network(name, isTarget: true, rows: roles.count * capacity, scratch)
    return Stack(target, roles.map { ($0, $0 == forwardMode ? .forwardMode : .none) }, in: self)
  }

  /// A network for `rows` rows, such as those of a tile.
  func network(
    _ name: String, isTarget: Bool = false, rows: Int, _ scratch: Scratch<T>,
    inputGradientColumns: Range<Int> = 0..<0, keepsActivations: Bool = true
  ) -> MLP<T> {
    let (shape, start) = (shape(name), isTarget ? layout.targetStart(of: name) : layout.start(of: name))
    let network = MLP(
      shape, start: start, rows: rows, inputGradientColumns: inputGradientColumns,
      keepsActivations: keepsActivations, scratch: scratch,
      encoder: encoder(of: shape, isTarget: isTarget, start: start))
    all.append(network)
    return network
  }

  /// The encoder of a network, which all stacks and tiles of the network share; nil if it sees no images.
  private func encoder(of shape: NetworkShape, isTarget: Bool, start: Int) -> Encoder<T>? {
    guard let encoderScratch, shape.encoder != nil else { return nil }
    if let known = encoders.first(where: { $0.network == shape.name && $0.isTarget == isTarget }) {
      return known.encoder
    }
    let encoder = Encoder(
      shape, start: start, rows: capacity, moments: Observations<T>.Moment.allCases.count,
      trains: trains && !isTarget, scratch: encoderScratch)
    encoders.append((shape.name, isTarget, encoder))
    return encoder
  }

  /// Scratch memory for backward passes of stacks of up to `rows` rows, apart from that of the other networks.
  func scratch(rows: Int) -> Scratch<T> { Scratch(rows: rows, width: width) }

  private func shape(_ name: String) -> NetworkShape {
    guard let shape = shapes.first(where: { $0.name == name }) else {
      preconditionFailure("\(name) is not a network of this agent")
    }
    return shape
  }

  /// Makes backward passes sum over rows by chunks. The gradient of each span of chunks then has a flat vector of its
  /// own, one behind the other.
  public func sum(by chunks: RowChunks) {
    self.chunks = chunks
    for network in all { network.sum(by: chunks, slabLength: layout.count) }
    for entry in encoders { entry.encoder.sum(by: chunks, slabLength: layout.count) }
  }

  // MARK: An update

  /// Begins an update, or an action: what was encoded with earlier parameters is forgotten.
  ///
  /// - Parameters:
  ///   - parameters: the flat vector.
  ///   - targets: the targets' vector; nil if no target is used.
  ///   - rows: rows of the batch.
  func begin(_ parameters: UnsafePointer<T>, targets: UnsafePointer<T>? = nil, rows: Int) {
    self.rows = rows
    for index in encoders.indices {
      encoders[index].encoder.begin(encoders[index].isTarget ? targets : parameters, rows: rows)
    }
  }

  /// Ends an update: the gradients that have come to the encoders reach their parameters.
  func backwardThroughEncoders(into gradients: UnsafeMutablePointer<T>) {
    for index in encoders.indices { encoders[index].encoder.backward(into: gradients) }
  }

  // MARK: Memory

  /// Memory for the observation of each row of a batch.
  func observations() -> Observations<T> { Observations(observation, rows: capacity, in: workspace) }

  /// Memory for `columns` numbers of each row of a batch.
  func matrix(columns: Int) -> Matrix<T> { workspace.matrix(rows: capacity, columns: columns) }

  /// Memory for a number of each row of a batch.
  func vector() -> UnsafeMutablePointer<T> { workspace.vector(capacity) }

  // MARK: What came out of an update

  /// Notes time and operations of all networks in a profile.
  public func measure(in profile: Profile) {
    for network in all { network.profile = profile }
    for entry in encoders { entry.encoder.profile = profile }
  }

  /// Whether this rank's share of the gradient is finite in the last call that computed it.
  public var gradientIsFinite: Bool {
    // By index: here, where the precision is not known, an iterator over the array would take memory for every step.
    all.indices.allSatisfy { all[$0].gradientIsFinite }
      && encoders.indices.allSatisfy { encoders[$0].encoder.gradientIsFinite }
  }

  /// The network and layer that gave the first value that is not finite in the last logging call, for a batch as
  /// large as the memory; nil when all are finite.
  public var firstNonFinite: String? {
    for network in all {
      let encoder = encoders.first { $0.network == network.shape.name && !$0.isTarget }?.encoder
      if let place = encoder?.firstNonFinite ?? network.firstNonFinite { return place }
    }
    return nil
  }
}
