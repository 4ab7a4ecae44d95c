import Kernels
import Networks
import TestSupport
import Testing

/// Graphs of operators, computed one operator at a time.
@Suite struct OperatorGraphTests {
  /// The operators of a graph.
  private func operators(_ graph: OperatorGraph) -> [GraphOperator] {
    graph.nodes.map { node in
      GraphOperator(
        node.type, node.inputs.map(\.name), node.output.name,
        node.attributes.mapValues {
          switch $0 {
          case .integer(let value): [value]
          case .integers(let values): values
          }
        })
    }
  }

  /// Computes a graph.
  private func compute(
    _ graph: OperatorGraph, _ inputs: [String: Tensor],
    parameters: (String) throws -> Tensor = { _ in Tensor([]) }
  ) throws -> [String: Tensor] {
    var values = inputs
    for (constant, value) in graph.constants {
      values[value.name] =
        switch constant {
        case .parameter(let name): try parameters(name)
        case .number(let number): Tensor([], [Double(number)])
        case .numbers(let numbers): Tensor([numbers.count], numbers.map { Double($0) })
        case .integers(let integers): Tensor(integers)
        }
    }
    return try TestSupport.compute(operators(graph), values)
  }

  /// The output of a network's graph for the rows of its input, in the given shape.
  private func output(_ network: Network, shape: [Int]) throws -> Tensor {
    var graph = OperatorGraph()
    let input = graph.input("x", shape.map(Optional.init))
    graph.output("y", network.shape.describe(input, in: &graph), [])
    let numbers = Network.numbers(network.mlp.input, 0..<network.mlp.input.rows)
    let values = try compute(graph, ["x": Tensor(shape, numbers)]) { name in
      let slot = try #require(network.slots.first { $0.name == name })
      return Tensor(slot.shape, slot.range.map { network.parameters.base[$0] })
    }
    return try #require(values["y"])
  }

  /// Constants of a graph are in single precision.
  @Test(arguments: Network.shapes) func aNetworksGraphComputesItsForwardPass(shape: NetworkShape) throws {
    let network = Network(shape, rows: 5)
    let output = try output(network, shape: [5, shape.inputs])
    #expect(output.shape == (shape.ensemble.map { [$0] } ?? []) + [5, shape.outputs])
    network.mlp.forward(network.parameters.base, rows: 0..<5)
    let expected = (0..<shape.members).flatMap { Network.numbers(network.mlp.output($0), 0..<5) }
    #expect(zip(output.values, expected).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  /// Sizes that are even, odd, and become odd on the way.
  @Test(arguments: [(8, 8), (7, 5), (6, 9), (10, 4)])
  func anEncodersGraphComputesItsFeatures(height: Int, width: Int) throws {
    let encoded = EncodedNetwork(height: height, width: width)
    var graph = OperatorGraph()
    let images = graph.input("images", [nil, height, width, 3], of: .byte)
    graph.output("state", encoded.shape.describeState(images, in: &graph), [])
    let bytes = encoded.images.map(Double.init)
    let values = try compute(graph, ["images": Tensor([encoded.count, height, width, 3], bytes)]) { name in
      let slot = try #require(encoded.layout.slots.first { $0.name == name })
      return Tensor(slot.shape, slot.range.map { encoded.parameters.base[$0] })
    }
    let state = try #require(values["state"])
    #expect(state.shape == [encoded.count, 6])
    encoded.forward()
    #expect(zip(state.values, encoded.features).allSatisfy { abs($0 - $1) < 1e-6 })
  }

  @Test func aNetworksGraphTakesRowsWithMoreAxes() throws {
    let network = Network(Network.shapes[3], rows: 6)
    let (flat, deep) = (try output(network, shape: [6, 4]), try output(network, shape: [2, 3, 4]))
    #expect(deep.shape == [2, 3, 2] && deep.values == flat.values)
  }

  @Test func aGraphListsItsParametersSorted() {
    let shape = NetworkShape(name: "net", inputs: 2, hidden: [3], outputs: 1, layerNorm: true)
    var graph = OperatorGraph()
    let x = graph.input("x", [nil, 2])
    _ = shape.describe(shape.describe(x, in: &graph), in: &graph)
    #expect(graph.parameters == shape.tensors.map(\.name).sorted())
  }

  @Test func equalConstantsAreOneConstant() {
    var graph = OperatorGraph()
    #expect(graph.number(0.5) == graph.number(0.5) && graph.integers(1, 2) == graph.integers(1, 2))
    #expect(graph.constants.count == 2)
  }

  @Test func aNumberAndAListOfItAreTwoConstants() {
    var graph = OperatorGraph()
    #expect(graph.number(1) != graph.integers(1) && graph.constants.count == 2)
  }

  @Test func allTensorsOfAGraphHaveNamesOfTheirOwn() {
    var graph = OperatorGraph()
    let x = graph.input("x", [nil, 4])
    let y = Network.shapes[3].describe(graph.clip(x), in: &graph)
    graph.output("y", graph.concatenate(y, graph.column(0.5, like: y)), [nil, 3])
    let names =
      graph.inputs.map(\.value.name) + graph.constants.values.map(\.name) + graph.nodes.map(\.output.name)
    #expect(Set(names).count == names.count)
  }

  @Test func operatorsFollowThoseWhoseResultsTheyRead() {
    var graph = OperatorGraph()
    let x = graph.input("x", [nil, 4])
    graph.output("y", Network.shapes[4].describe(x, in: &graph), [3, nil, 2])
    var known = Set(graph.constants.values.map(\.name) + ["x"])
    for node in graph.nodes {
      #expect(node.inputs.allSatisfy { known.contains($0.name) }, "\(node)")
      known.insert(node.output.name)
    }
  }

  @Test func portsKeepTheirNamesAndShapes() throws {
    var graph = OperatorGraph()
    let x = graph.input("x", [nil, 4])
    graph.output("y", x, [nil, 4])
    let (input, output) = (try #require(graph.inputs.first), try #require(graph.outputs.first))
    #expect(input.value.name == "x" && input.shape == [nil, 4])
    #expect(output.value.name == "y" && output.shape == [nil, 4])
  }

  @Test func clippingLimitsEveryElement() throws {
    var graph = OperatorGraph()
    graph.output("y", graph.clip(graph.input("x", [nil])), [nil])
    let values = try compute(graph, ["x": Tensor([4], [-3, -0.5, 0.25, 9])])
    #expect(values["y"]?.values == [-1, -0.5, 0.25, 1])
  }

  @Test(arguments: [[2, 3], [2, 1, 3]]) func aColumnHasARowForEveryRow(shape: [Int]) throws {
    var graph = OperatorGraph()
    let x = graph.input("x", shape.map(Optional.init))
    graph.output("y", graph.column(0.25, like: x), [])
    let values = try compute(graph, ["x": Tensor(shape, [Double](repeating: 7, count: 6))])
    #expect(values["y"] == Tensor(shape.dropLast() + [1], [0.25, 0.25]))
  }

  @Test func concatenationPutsTensorsSideBySide() throws {
    var graph = OperatorGraph()
    let (a, b) = (graph.input("a", [nil, 1]), graph.input("b", [nil, 2]))
    graph.output("y", graph.concatenate(a, b), [nil, 3])
    let values = try compute(graph, ["a": Tensor([2, 1], [1, 2]), "b": Tensor([2, 2], [3, 4, 5, 6])])
    #expect(values["y"] == Tensor([2, 3], [1, 3, 4, 2, 5, 6]))
  }
}
