import Kernels

/// A computation as a graph of operators, for programs that are not this one.
///
/// Operators, their attributes and the shapes of their results are those of ONNX, operator set 13:
/// https://onnx.ai/onnx/operators
public struct OperatorGraph: Sendable {
  /// A tensor that flows along an edge.
  public struct Value: Sendable, Hashable {
    /// Unique in the graph.
    public let name: String
  }

  /// An input or a result of the graph.
  public struct Port: Sendable {
    /// The tensor.
    public let value: Value
    /// Its sizes; nil is the batch's.
    public let shape: [Int?]
    /// What its elements are.
    public let element: Element
  }

  /// What the elements of an input or of a result are.
  public enum Element: Sendable {
    /// Numbers of single precision.
    case float
    /// Numbers from 0 to 255.
    case byte
  }

  /// A tensor that belongs to the graph.
  public enum Constant: Sendable, Hashable {
    /// A parameter of the trained agent, by the name of its tensor.
    case parameter(String)
    /// A number.
    case number(Float)
    /// A vector of numbers.
    case numbers([Float])
    /// A list of whole numbers, such as axes and shapes.
    case integers([Int])
  }

  /// A setting of an operator.
  public enum Attribute: Sendable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
    case integer(Int)
    case integers([Int])

    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(arrayLiteral elements: Int...) { self = .integers(elements) }
  }

  /// An operator at work.
  public struct Node: Sendable {
    /// Which operator, such as `MatMul`.
    public let type: String
    /// What it reads.
    public let inputs: [Value]
    /// Its result.
    public let output: Value
    /// Its settings, by name.
    public let attributes: [String: Attribute]
  }

  /// Its inputs, in the order in which they were added.
  public private(set) var inputs: [Port] = []
  /// Its results.
  public private(set) var outputs: [Port] = []
  /// Its operators, each after those whose results it reads.
  public private(set) var nodes: [Node] = []
  /// Its constants.
  public private(set) var constants: [Constant: Value] = [:]

  /// An empty graph.
  public init() {}

  /// Names of the parameters that the graph reads, sorted.
  public var parameters: [String] {
    constants.keys.compactMap { if case .parameter(let name) = $0 { name } else { nil } }.sorted()
  }

  /// Adds an input.
  public mutating func input(_ name: String, _ shape: [Int?], of element: Element = .float) -> Value {
    let value = Value(name: name)
    inputs.append(Port(value: value, shape: shape, element: element))
    return value
  }

  /// Makes a value a result, under this name.
  public mutating func output(_ name: String, _ value: Value, _ shape: [Int?]) {
    let result = Value(name: name)
    nodes.append(Node(type: "Identity", inputs: [value], output: result, attributes: [:]))
    outputs.append(Port(value: result, shape: shape, element: .float))
  }

  /// A parameter of the agent.
  public mutating func parameter(_ name: String) -> Value { constant(.parameter(name), name) }

  /// A number, which goes with tensors of any shape.
  public mutating func number(_ value: Float) -> Value { constant(.number(value), "\(value)") }

  /// A vector of numbers, under a name that no other has.
  public mutating func numbers(_ values: [Float], named name: String) -> Value {
    constant(.numbers(values), name)
  }

  /// A list of whole numbers.
  public mutating func integers(_ values: Int...) -> Value { constant(.integers(values), "\(values)") }

  private mutating func constant(_ constant: Constant, _ name: String) -> Value {
    let value = constants[constant] ?? Value(name: name)
    constants[constant] = value
    return value
  }

  /// Adds an operator and returns its result.
  public mutating func apply(
    _ type: String, _ inputs: Value..., attributes: [String: Attribute] = [:]
  ) -> Value {
    apply(type, inputs, attributes)
  }

  private mutating func apply(
    _ type: String, _ inputs: [Value], _ attributes: [String: Attribute]
  ) -> Value {
    let output = Value(name: "\(type)_\(nodes.count)")
    nodes.append(Node(type: type, inputs: inputs, output: output, attributes: attributes))
    return output
  }

  // MARK: What policies are made of

  /// Limits every element to low … high.
  public mutating func clip(_ x: Value, _ low: Float = -1, _ high: Float = 1) -> Value {
    apply("Clip", x, number(low), number(high))
  }

  /// Tensors side by side.
  public mutating func concatenate(_ parts: Value...) -> Value {
    apply("Concat", parts, ["axis": -1])
  }

  /// 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))).
  mutating func gelu(_ x: Value) -> Value {
    let cube = apply("Mul", x, apply("Mul", x, x))
    let inner = apply("Add", x, apply("Mul", cube, number(Float(geluCubic))))
    let tanh = apply("Tanh", apply("Mul", inner, number(Float(geluSlope))))
    let half = apply("Mul", x, number(0.5))
    return apply("Mul", half, apply("Add", tanh, number(1)))
  }

  /// A column of a number, … × 1, for every row of a tensor … × columns.
  public mutating func column(_ value: Float, like x: Value) -> Value {
    let rows = apply("Slice", apply("Shape", x), integers(0), integers(-1))
    return apply("Expand", number(value), apply("Concat", rows, integers(1), attributes: ["axis": 0]))
  }
}

extension NetworkShape {
  /// What every network computes, in one line for people.
  public static let rule = """
    hidden layers: y = gelu(x @ weight + bias), gelu by its tanh approximation; where there is a norm of the same \
    number, y = (y - mean) / sqrt(variance + \(normEpsilon)) * scale + bias over the features; last layer: y = x @ weight \
    + bias; weights are (in, out), row-major; a first axis before that counts the members of an ensemble
    """

  /// Adds this network without its encoder to a graph, applied to `x`, rows × inputs. Gives rows × outputs; of an ensemble, members ×
  /// rows × outputs.
  public func describe(_ x: OperatorGraph.Value, in graph: inout OperatorGraph) -> OperatorGraph.Value {
    var x = x
    for index in hidden.indices {
      x = graph.gelu(dense(index, x, &graph))
      if layerNorm { x = normalise(index, x, &graph) }
    }
    return dense(hidden.count, x, &graph)
  }

  private func dense(
    _ index: Int, _ x: OperatorGraph.Value, _ graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    let product = graph.apply("MatMul", x, graph.parameter("\(name)/dense\(index)/weight"))
    return graph.apply("Add", product, vector("dense\(index)/bias", &graph))
  }

  /// (x − mean) / √(variance + ε) · scale + bias over the features.
  private func normalise(
    _ index: Int, _ x: OperatorGraph.Value, _ graph: inout OperatorGraph
  ) -> OperatorGraph.Value {
    func mean(_ x: OperatorGraph.Value) -> OperatorGraph.Value {
      graph.apply("ReduceMean", x, attributes: ["axes": [-1], "keepdims": 1])
    }
    let centred = graph.apply("Sub", x, mean(x))
    let variance = mean(graph.apply("Mul", centred, centred))
    let deviation = graph.apply(
      "Sqrt", graph.apply("Add", variance, graph.number(Float(normEpsilon))))
    let scaled = graph.apply(
      "Mul", graph.apply("Div", centred, deviation), vector("norm\(index)/scale", &graph))
    return graph.apply("Add", scaled, vector("norm\(index)/bias", &graph))
  }

  /// A tensor of one number a feature, ready to meet (members ×) rows × features.
  private func vector(_ tensor: String, _ graph: inout OperatorGraph) -> OperatorGraph.Value {
    let value = graph.parameter("\(name)/\(tensor)")
    return ensemble == nil ? value : graph.apply("Unsqueeze", value, graph.integers(1))
  }
}
