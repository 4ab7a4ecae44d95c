import Kernels
import Networks

/// An implicit quantile critic of two members (arXiv 1806.06923): Z(s, a, τ), the τ-quantile of the return.
///
/// c_i = cos(π · i · τ), i = 1 … num_cosines; e_τ = dense(c) and e_sa = dense([s, a]), shared by the members;
/// Z = MLP(e_sa ∘ e_τ), one for each member.
///
/// The critic's rows are pairs of an action and a quantile. Each action and each quantile is embedded once, whatever the number
/// of pairs that it belongs to, and all pairs go through the members in one product. Stacks of many pairs go through in
/// tiles of a bounded number.
final class QuantileCritic<T: Real> {
  /// Pairs since the last `clear`.
  private(set) var pairs = 0

  private let actionEmbedding: MLP<T>
  private let tauEmbedding: MLP<T>
  private let value: MLP<T>
  private let trains: Bool
  private var actions = 0
  private var taus = 0
  /// Row of the action and of the quantile of each pair.
  private let rows: UnsafeMutablePointer<SIMD2<Int32>>

  /// Numbers of rows.
  struct Capacity {
    let actions: Int
    let taus: Int
    let pairs: Int
  }

  /// - Parameters:
  ///   - isTarget: whether the critic is the target of the trained one.
  ///   - trains: whether backward passes follow.
  init(
    _ spec: DataSpec, _ h: Hyperparameters, _ capacity: Capacity, isTarget: Bool = false, trains: Bool,
    _ scratch: Scratch<T>, in networks: NetworkSet<T>
  ) {
    let (size, A) = (h.stateSize(spec), spec.actionSize)
    self.trains = trains
    actionEmbedding = networks.network(
      "critic/sa_embedding_net", isTarget: isTarget, rows: capacity.actions, scratch,
      inputGradientColumns: trains ? size..<size + A : 0..<0)
    tauEmbedding = networks.network(
      "critic/tau_embedding_net", isTarget: isTarget, rows: capacity.taus, scratch)
    value = networks.network(
      "critic", isTarget: isTarget, rows: capacity.pairs, scratch,
      inputGradientColumns: trains ? 0..<h.embeddingDim : 0..<0, keepsActivations: trains)
    rows = .allocate(capacity: capacity.pairs)
    rows.initialize(repeating: .zero, count: capacity.pairs)
  }

  /// The networks of the critic, in the order of the flat vector.
  static func shapes(_ spec: DataSpec, _ h: Hyperparameters) -> [NetworkShape] {
    [
      NetworkShape(
        name: "critic/sa_embedding_net", inputs: h.stateSize(spec) + spec.actionSize, hidden: [],
        outputs: h.embeddingDim, layerNorm: false, hasTarget: true, encoder: h.encoderShape(spec)),
      NetworkShape(
        name: "critic/tau_embedding_net", inputs: h.numCosines, hidden: [], outputs: h.embeddingDim,
        layerNorm: false, hasTarget: true),
      h.valueShape("critic", inputs: h.embeddingDim, hasTarget: true),
    ]
  }

  deinit { rows.deallocate() }

  // MARK: A tile

  /// Forgets all pairs and actions, and all quantiles unless they are kept with their embeddings.
  func clear(keepingTaus: Bool = false) {
    (pairs, actions) = (0, 0)
    if !keepingTaus { taus = 0 }
  }

  /// Adds an action at the state of a row; returns the row of the critic's input.
  func add(_ s: Observations<T>, _ state: Int, _ a: UnsafePointer<T>) -> Int {
    let size = actionEmbedding.stateSize(s)
    actionEmbedding.placeState(s, state, inputRow: actions)
    let action = actionEmbedding.input.row(actions) + size
    action.update(from: a, count: actionEmbedding.shape.inputs - size)
    actions += 1
    return actions - 1
  }

  /// Adds quantiles; returns the row of the first.
  func add(taus new: UnsafePointer<T>, count: Int) -> Int {
    let input = tauEmbedding.input
    for k in 0..<count { T.cosines(new[k], into: input.row(taus + k), count: input.columns) }
    taus += count
    return taus - count
  }

  /// Adds pairs of one action with `count` quantiles in a row; returns the first.
  @discardableResult func pair(_ action: Int, _ firstTau: Int, count: Int) -> Int {
    for k in 0..<count { rows[pairs + k] = SIMD2(Int32(action), Int32(firstTau + k)) }
    pairs += count
    return pairs - count
  }

  // MARK: Values

  /// Embeds the quantiles.
  ///
  /// - Parameter parameters: the flat vector of the critic's layout, here and below.
  func embedTaus(_ parameters: UnsafePointer<T>) {
    tauEmbedding.forward(parameters, rows: 0..<taus)
  }

  /// Embeds the actions, and computes the values of all pairs.
  func forward(_ parameters: UnsafePointer<T>) {
    actionEmbedding.forward(parameters, rows: 0..<actions)
    let (eAction, eTau, input) = (actionEmbedding.output(), tauEmbedding.output(), value.input)
    value.profile.time(.elementwise) {
      for p in 0..<pairs {
        T.multiplyElements(
          eAction.row(Int(rows[p].x)), eTau.row(Int(rows[p].y)), into: input.row(p), count: input.columns)
      }
    }
    value.forward(
      parameters, rows: 0..<pairs, gradientRows: trains ? 0..<pairs : 0..<0)
  }

  /// Both members' values of some pairs.
  func values(_ pairs: Range<Int>) -> Twins<T> { Block(network: value, rows: pairs).values }

  /// The gradients of the loss with respect to the values of some pairs; the caller fills them.
  func valueGradients(_ pairs: Range<Int>) -> Twins<T> {
    Block(network: value, rows: pairs).valueGradients
  }

  /// From the gradients of the values to the parameters' and to those of actions.
  ///
  /// - Parameters:
  ///   - trained: the first actions, quantiles and pairs, whose gradients reach the parameters; those of the other
  ///     pairs go on to their actions.
  ///   - samples: those of the tile, after which come those of the next.
  func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, trained: Capacity,
    samples: Range<Int>
  ) {
    value.backward(
      parameters, into: gradients, weightRows: 0..<trained.pairs,
      inputRows: 0..<pairs, samples: samples)
    value.profile.time(.elementwise) { spreadGradients(trainedPairs: trained.pairs) }
    actionEmbedding.backward(
      parameters, into: gradients,
      weightRows: 0..<trained.actions, inputRows: trained.actions..<actions, samples: samples)
    tauEmbedding.backward(
      parameters, into: gradients,
      weightRows: 0..<trained.taus, samples: samples)
  }

  /// From the gradients of e_sa ∘ e_τ to those of e_sa, and of e_τ for the first pairs.
  private func spreadGradients(trainedPairs: Int) {
    let (eAction, eTau, gradient) = (actionEmbedding.output(), tauEmbedding.output(), value.inputGradient)
    let (toAction, toTau) = (actionEmbedding.outputGradient(), tauEmbedding.outputGradient())
    toAction.base.update(repeating: 0, count: actions * toAction.columns)
    toTau.base.update(repeating: 0, count: taus * toTau.columns)
    for p in 0..<pairs {
      let (action, tau) = (Int(rows[p].x), Int(rows[p].y))
      T.addElementProducts(
        gradient.row(p), eTau.row(tau), to: toAction.row(action), count: gradient.columns)
      guard p < trainedPairs else { continue }
      T.addElementProducts(
        gradient.row(p), eAction.row(action), to: toTau.row(tau), count: gradient.columns)
    }
  }

  /// The gradient of the loss with respect to an untrained action after `backward`.
  func actionGradient(_ action: Int) -> UnsafePointer<T> {
    UnsafePointer(actionEmbedding.inputGradient.row(action))
  }

  /// Adds values of batch × N states and actions at N × K quantiles to a graph: both members' as one, batch × N × K.
  ///
  /// - Parameter states: gives the states as a network takes them.
  func describe(
    _ states: (NetworkShape, inout OperatorGraph) -> OperatorGraph.Value, _ actions: OperatorGraph.Value,
    taus: OperatorGraph.Value,
    _ aggregation: Aggregation, in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let count = Float(tauEmbedding.shape.inputs)
    let numbers = graph.apply("Range", graph.number(1), graph.number(count + 1), graph.number(1))
    let halfTurns = graph.apply("Mul", graph.apply("Unsqueeze", taus, graph.integers(-1)), numbers)
    let cosines = graph.apply("Cos", graph.apply("Mul", halfTurns, graph.number(.pi)))
    let eTau = tauEmbedding.shape.describe(cosines, in: &graph)
    let state = states(actionEmbedding.shape, &graph)
    let eAction = actionEmbedding.shape.describe(graph.concatenate(state, actions), in: &graph)
    let pairs = graph.apply("Mul", graph.apply("Unsqueeze", eAction, graph.integers(2)), eTau)
    // Ensembles are applied to rows, and come out as members × rows × 1.
    let rows = graph.apply("Reshape", pairs, graph.integers(-1, value.shape.inputs))
    let both = value.shape.describe(rows, in: &graph)
    let z = graph.apply(
      aggregation == .mean ? "ReduceMean" : "ReduceMin", both, attributes: ["axes": [0], "keepdims": 0])
    let shape = graph.apply("Slice", graph.apply("Shape", pairs), graph.integers(0), graph.integers(-1))
    return graph.apply("Reshape", z, shape)
  }

  /// The quantiles of the return at `count` evenly spaced levels, at most `perPass` at once, and their mean; means over
  /// the members.
  func returns(
    _ parameters: UnsafePointer<T>, _ s: Observations<T>, _ a: Matrix<T>, count: Int, perPass: Int
  ) -> ReturnEstimate {
    var samples: [Double] = []
    for first in stride(from: 0, to: count, by: perPass) {
      let levels = (first..<min(first + perPass, count)).map { (T($0) + 0.5) / T(count) }
      clear()
      pair(add(s, 0, a.base), add(taus: levels, count: levels.count), count: levels.count)
      embedTaus(parameters)
      forward(parameters)
      samples += levels.indices.map { Double(values(0..<levels.count).mean($0)) }
    }
    return ReturnEstimate(samples: samples, name: "Q", value: samples.reduce(0, +) / Double(count))
  }
}
