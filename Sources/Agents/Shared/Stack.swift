import Kernels
import Networks

/// What some rows of a stack are for. Each role has one row for each row of the batch.
enum Role: Int {
  /// The state and action of the dataset.
  case data
  /// The next state, and the action that the policy takes there.
  case next
  /// The state, and the action that the policy takes there.
  case policy
  /// What only a logged figure needs.
  case log
  /// A flow that is integrated step by step.
  case integrated
  /// A return flow that is stopped at a random time.
  case stopped
  /// A return flow whose derivative is followed.
  case weighted
  /// The point of the bootstrapped loss of return flows.
  case bootstrapped
  /// The point of their distributional loss.
  case distributional
}

/// Where the gradient of some rows goes in a backward pass.
enum GradientUse {
  /// Nowhere.
  case none
  /// To the network's parameters.
  case weights
  /// Through the network to its input, past the parameters.
  case input
  /// Nowhere, but the rows are kept for a derivative in forward mode.
  case forwardMode
}

/// A network whose rows play several roles in an update, so that all products with the same weights are one product.
///
/// `critic[.policy]` are the rows of a role. They follow one another in the order that the stack was made with: rows
/// without a gradient, then those whose loss reaches the parameters, then those that pass a gradient on to the input.
final class Stack<T: Real> {
  let network: MLP<T>

  private let set: NetworkSet<T>
  /// The place of each role in the stack.
  private let places: SIMD16<Int8>
  /// Places of the first role with a gradient, of the first whose gradient goes to the input, and the end.
  private let (firstTrained, firstPassed, end): (Int, Int, Int)

  init(_ network: MLP<T>, _ roles: [(role: Role, gradient: GradientUse)], in set: NetworkSet<T>) {
    self.network = network
    self.set = set
    var places = SIMD16<Int8>(repeating: -1)
    for (place, entry) in roles.enumerated() { places[entry.role.rawValue] = Int8(place) }
    self.places = places
    end = roles.count
    firstPassed = roles.firstIndex { $0.gradient == .input } ?? end
    firstTrained = roles.firstIndex { $0.gradient != .none } ?? end
    precondition(
      roles[..<firstTrained].allSatisfy { $0.gradient == .none }
        && roles[firstTrained..<firstPassed].allSatisfy { $0.gradient != .none && $0.gradient != .input }
        && roles[firstPassed...].allSatisfy { $0.gradient == .input }, "roles are out of order")
  }

  /// The rows of a role.
  subscript(role: Role) -> Block<T> { Block(network: network, rows: rows(place(role), place(role) + 1)) }

  private func place(_ role: Role) -> Int {
    let place = Int(places[role.rawValue])
    precondition(place >= 0, "this stack has no such role")
    return place
  }

  /// The rows from one place of the stack to another.
  private func rows(_ first: Int, _ end: Int) -> Range<Int> { first * set.rows..<end * set.rows }

  /// Computes the outputs of the rows from one role's to another's, of all rows by default.
  ///
  /// - Parameter parameters: the flat vector; for a target, the targets' vector.
  func forward(_ parameters: UnsafePointer<T>, from first: Role? = nil, through last: Role? = nil) {
    let (first, end) = (first.map(place) ?? 0, last.map { place($0) + 1 } ?? end)
    let trained = max(first, firstTrained)
    network.forward(
      parameters, rows: rows(first, end), gradientRows: trained < end ? rows(trained, end) : 0..<0)
  }

  /// From the gradients of the outputs to those of the parameters and of the inputs.
  ///
  /// - Parameters:
  ///   - gradients: the flat gradient, of which this network's tensors are overwritten.
  ///   - toInput: whether gradients with respect to the inputs are wanted.
  func backward(
    _ parameters: UnsafePointer<T>, into gradients: UnsafeMutablePointer<T>, toInput: Bool = true
  ) {
    network.backward(
      parameters, into: gradients, weightRows: rows(firstTrained, firstPassed),
      inputRows: toInput ? rows(firstPassed, end) : nil)
  }
}

/// Some rows of a network.
struct Block<T: Real> {
  let network: MLP<T>
  let rows: Range<Int>

  /// The inputs; the caller fills them before the forward pass.
  var input: Matrix<T> { network.input.rows(rows) }
  /// Input ← s.
  func place(_ s: Observations<T>) { _ = placeState(s) }
  /// Input ← [s, a].
  func place(_ s: Observations<T>, _ a: Matrix<T>) {
    let size = placeState(s)
    input.columns(size..<network.input.columns).copy(a)
  }
  /// Input ← [s, a, ε].
  func place(_ s: Observations<T>, _ a: Matrix<T>, _ ε: Matrix<T>) {
    let size = placeState(s)
    input.columns(size..<network.input.columns).concatenate(a, ε)
  }

  /// The columns of the input from `column` on ← s: the numbers of a vector, or the features of an image. Returns how
  /// many columns that are.
  func placeState(_ s: Observations<T>, at column: Int = 0) -> Int {
    precondition(s.rows == rows.count, "as many observations as rows")
    for row in 0..<s.rows { network.placeState(s, row, at: column, inputRow: rows.lowerBound + row) }
    return network.stateSize(s)
  }

  /// What member e of the ensemble computed.
  func output(_ e: Int = 0) -> Matrix<T> { network.output(e).rows(rows) }
  /// The gradient of the loss with respect to that; the caller fills it before the backward pass.
  func outputGradient(_ e: Int = 0) -> Matrix<T> { network.outputGradient(e).rows(rows) }
  /// The gradient of the loss with respect to the action in the input, after the backward pass.
  var inputGradient: Matrix<T> { network.inputGradient.rows(rows) }

  /// What both members of an ensemble computed.
  var values: Twins<T> { Twins(first: output(0), second: output(1)) }
  /// The gradients of the loss with respect to those.
  var valueGradients: Twins<T> { Twins(first: outputGradient(0), second: outputGradient(1)) }
}

extension MLP {
  /// Columns that a state takes in the input.
  func stateSize(_ s: Observations<T>) -> Int { shape.encoder?.features ?? s.space.count }

  /// Columns of a row of the input from `column` on ← the state of a row: the numbers of a vector, or the features of
  /// an image, which is encoded if this network has not encoded it in this update.
  func placeState(_ s: Observations<T>, _ row: Int, at column: Int = 0, inputRow: Int) {
    switch s.space {
    case .vector(let size):
      (input.row(inputRow) + column).update(from: s.row(row).assumingMemoryBound(to: T.self), count: size)
    case .image:
      placeFeatures(s.images, moment: s.moment.rawValue, image: s.index(row), inputRow: inputRow)
    }
  }
}
