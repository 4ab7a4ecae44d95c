import Kernels
import Networks

/// An implicit quantile critic of two members (arXiv 1806.06923): Z(s, a, τ), the τ-quantile of the return.
///
/// c_i = cos(π · i · τ), i = 1 … num_cosines; e_τ = dense(c) and e_sa = dense([s, a]), shared by the members;
/// Z = MLP(e_sa ∘ e_τ), one for each member.
///
/// It evaluates pairs of an action and a quantile. Each action and each quantile is embedded once, whatever the number
/// of pairs that it belongs to, and all pairs go through the members in one product. Stacks of many pairs go through in
/// tiles of a bounded number.
final class QuantileCritic<T: Real> {
  /// The embeddings and the members.
  let networks: [MLP<T>]
  /// Offset of the first parameter in the layout that it was made with.
  let start: Int
  /// Pairs since the last `clear`.
  private(set) var pairs = 0

  private let actionEmbedding: MLP<T>
  private let tauEmbedding: MLP<T>
  private let value: MLP<T>
  private let trains: Bool
  private let observationSize: Int
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

  /// - Parameter trains: whether backward passes follow.
  init(
    _ spec: DataSpec, _ hyperparameters: Hyperparameters, layout: inout ParameterLayout,
    _ capacity: Capacity,
    trains: Bool, scratch: Scratch<T>
  ) {
    let (O, A) = (spec.observationSize, spec.actionSize)
    let (width, cosines) = (hyperparameters.embeddingDim, hyperparameters.numCosines)
    self.trains = trains
    observationSize = O
    start = layout.count
    actionEmbedding = MLP(
      NetworkShape(
        name: "critic/sa_embedding_net", inputs: O + A, hidden: [], outputs: width, layerNorm: false),
      layout: &layout, rows: capacity.actions, inputGradientColumns: trains ? O..<O + A : 0..<0,
      scratch: scratch)
    tauEmbedding = MLP(
      NetworkShape(
        name: "critic/tau_embedding_net", inputs: cosines, hidden: [], outputs: width, layerNorm: false),
      layout: &layout, rows: capacity.taus, scratch: scratch)
    value = MLP(
      hyperparameters.valueShape("critic", inputs: width), layout: &layout, rows: capacity.pairs,
      inputGradientColumns: trains ? 0..<width : 0..<0, keepsActivations: trains, scratch: scratch)
    networks = [actionEmbedding, tauEmbedding, value]
    rows = .allocate(capacity: capacity.pairs)
    rows.initialize(repeating: .zero, count: capacity.pairs)
  }

  deinit { rows.deallocate() }

  /// Gives it a target, and returns where that starts in the targets' vector.
  func follow(in layout: inout ParameterLayout) -> Int {
    let start = layout.follow(actionEmbedding)
    _ = layout.follow(tauEmbedding)
    _ = layout.follow(value)
    return start
  }

  // MARK: A tile

  /// Forgets all pairs and actions, and all quantiles unless they are kept with their embeddings.
  func clear(keepingTaus: Bool = false) {
    (pairs, actions) = (0, 0)
    if !keepingTaus { taus = 0 }
  }

  /// Adds an action at a state; returns its row.
  func add(_ s: UnsafePointer<T>, _ a: UnsafePointer<T>) -> Int {
    let row = actionEmbedding.input.row(actions)
    row.update(from: s, count: observationSize)
    (row + observationSize).update(from: a, count: actionEmbedding.shape.inputs - observationSize)
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
  /// - Parameter parameters: the critic's first parameter, here and below.
  func embedTaus(_ parameters: UnsafePointer<T>) {
    tauEmbedding.forward(parameters + tauEmbedding.start - start, rows: 0..<taus)
  }

  /// Embeds the actions, and evaluates all pairs.
  func forward(_ parameters: UnsafePointer<T>) {
    actionEmbedding.forward(parameters + actionEmbedding.start - start, rows: 0..<actions)
    let (eAction, eTau, input) = (actionEmbedding.output(), tauEmbedding.output(), value.input)
    value.profile.time(.elementwise) {
      for p in 0..<pairs {
        T.multiplyElements(
          eAction.row(Int(rows[p].x)), eTau.row(Int(rows[p].y)), into: input.row(p), count: input.columns)
      }
    }
    value.forward(
      parameters + value.start - start, rows: 0..<pairs, gradientRows: trains ? 0..<pairs : 0..<0)
  }

  /// Both members' values of some pairs.
  func values(_ pairs: Range<Int>) -> TwinValues<T> { value.values(pairs) }

  /// Where the gradients of the loss with respect to those go.
  func valueGradients(_ pairs: Range<Int>) -> TwinValues<T> { value.valueGradients(pairs) }

  /// From the gradients of the values to the parameters' and to those of actions.
  ///
  /// - Parameters:
  ///   - trained: the first actions, quantiles and pairs, whose gradients reach the parameters; those of the other
  ///     pairs go on to their actions.
  ///   - accumulate: adds to the gradients of earlier tiles.
  func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, trained: Capacity,
    accumulate: Bool
  ) {
    value.backward(
      parameters + value.start - start, into: gradients + value.start - start, weightRows: 0..<trained.pairs,
      inputRows: 0..<pairs, accumulate: accumulate)
    value.profile.time(.elementwise) { spreadGradients(trainedPairs: trained.pairs) }
    actionEmbedding.backward(
      parameters + actionEmbedding.start - start, into: gradients + actionEmbedding.start - start,
      weightRows: 0..<trained.actions, inputRows: trained.actions..<actions, accumulate: accumulate)
    tauEmbedding.backward(
      parameters + tauEmbedding.start - start, into: gradients + tauEmbedding.start - start,
      weightRows: 0..<trained.taus, accumulate: accumulate)
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
  func describe(
    _ states: OperatorGraph.Value, _ actions: OperatorGraph.Value, taus: OperatorGraph.Value,
    _ aggregation: Aggregation, in graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let count = Float(tauEmbedding.shape.inputs)
    let numbers = graph.apply("Range", graph.number(1), graph.number(count + 1), graph.number(1))
    let halfTurns = graph.apply("Mul", graph.apply("Unsqueeze", taus, graph.integers(-1)), numbers)
    let cosines = graph.apply("Cos", graph.apply("Mul", halfTurns, graph.number(.pi)))
    let eTau = tauEmbedding.shape.describe(cosines, in: &graph)
    let eAction = actionEmbedding.shape.describe(graph.concatenate(states, actions), in: &graph)
    let pairs = graph.apply("Mul", graph.apply("Unsqueeze", eAction, graph.integers(2)), eTau)
    // Ensembles are applied to rows, and come out as members × rows × 1.
    let rows = graph.apply("Reshape", pairs, graph.integers(-1, value.shape.inputs))
    let both = value.shape.describe(rows, in: &graph)
    let z = graph.apply(
      aggregation == .mean ? "ReduceMean" : "ReduceMin", both, attributes: ["axes": [0], "keepdims": 0])
    let shape = graph.apply("Slice", graph.apply("Shape", pairs), graph.integers(0), graph.integers(-1))
    return graph.apply("Reshape", z, shape)
  }

  /// - Parameters:
  ///   - rows: what it evaluates in an update.
  ///   - trained: what of that trains it; the other actions receive gradients.
  func addOperations(_ rows: Capacity, trained: Capacity? = nil, to sum: inout Operations) {
    sum.add(actionEmbedding, rows: rows.actions, forward: 1)
    sum.add(tauEmbedding, rows: rows.taus, forward: 1)
    sum.add(value, rows: rows.pairs, forward: 1)
    guard let trained else { return }
    sum.add(actionEmbedding, rows: trained.actions, forward: 0, weights: 1)
    sum.add(actionEmbedding, rows: rows.actions - trained.actions, forward: 0, inputs: 1)
    sum.add(tauEmbedding, rows: trained.taus, forward: 0, weights: 1)
    sum.add(value, rows: trained.pairs, forward: 0, weights: 1)
    sum.add(value, rows: rows.pairs, forward: 0, inputs: 1)
  }
}
