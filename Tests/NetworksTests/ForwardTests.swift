import Kernels
import Networks
import Testing

/// Forward passes, and what they say about numbers that are not finite.
@Suite struct ForwardTests {
  @Test(arguments: Network.shapes) func aRowsOutputDoesNotDependOnOtherRows(shape: NetworkShape) {
    let network = Network(shape, rows: 6)
    network.mlp.forward(network.parameters.base, rows: 0..<6)
    let together = (0..<shape.members).map { Network.numbers(network.mlp.output($0), 4..<5) }
    network.mlp.forward(network.parameters.base, rows: 4..<5)
    let alone = (0..<shape.members).map { Network.numbers(network.mlp.output($0), 4..<5) }
    for (a, b) in zip(together.joined(), alone.joined()) { #expect(abs(a - b) < 1e-14) }
  }

  @Test(arguments: Network.shapes) func aNetworkWithoutActivationsComputesTheSame(shape: NetworkShape) {
    let (keeping, other) = (Network(shape, rows: 5), Network(shape, rows: 5, keepsActivations: false))
    for network in [keeping, other] { network.mlp.forward(network.parameters.base, rows: 0..<5) }
    for e in 0..<shape.members {
      #expect(Network.numbers(other.mlp.output(e), 0..<5) == Network.numbers(keeping.mlp.output(e), 0..<5))
    }
  }

  @Test(arguments: Network.shapes) func keepingRowsForGradientsDoesNotChangeOutputs(shape: NetworkShape) {
    let (kept, other) = (Network(shape, rows: 5), Network(shape, rows: 5))
    kept.mlp.forward(kept.parameters.base, rows: 0..<5, gradientRows: 2..<5)
    other.mlp.forward(other.parameters.base, rows: 0..<5)
    for e in 0..<shape.members {
      #expect(Network.numbers(kept.mlp.output(e), 0..<5) == Network.numbers(other.mlp.output(e), 0..<5))
    }
  }

  @Test func membersOfAnEnsembleComputeTheirOwn() {
    let network = Network(Network.shapes[4], rows: 2)
    network.mlp.forward(network.parameters.base, rows: 0..<2)
    let outputs = (0..<3).map { Network.numbers(network.mlp.output($0), 0..<2) }
    #expect(Set(outputs).count == 3)
  }

  @Test(arguments: Network.shapes) func singlePrecisionAgreesWithDouble(shape: NetworkShape) {
    let network = Network(shape, rows: 5)
    network.mlp.forward(network.parameters.base, rows: 0..<5)
    let single = MLP<Float>(shape, rows: 5, scratch: Scratch(rows: 5, width: shape.hidden.max() ?? 0))
    let parameters = Buffer<Float>(count: network.layout.count)
    for i in 0..<network.layout.count { parameters.base[i] = Float(network.parameters.base[i]) }
    for r in 0..<5 { for c in 0..<shape.inputs { single.input[r, c] = Float(network.mlp.input[r, c]) } }
    single.forward(parameters.base, rows: 0..<5)
    for e in 0..<shape.members {
      for r in 0..<5 {
        for c in 0..<shape.outputs {
          #expect(abs(Double(single.output(e)[r, c]) - network.mlp.output(e)[r, c]) < 1e-4, "\(e) \(r) \(c)")
        }
      }
    }
  }

  // MARK: Numbers that are not finite

  /// A network of three layers whose tensor `broken` has an element that is not a number.
  private func network(broken: String?) throws -> Network {
    let shape = NetworkShape(
      name: "net", inputs: 3, hidden: [4, 5], outputs: 2, layerNorm: false, ensemble: 2)
    let network = Network(shape, rows: 3)
    if let broken {
      let slot = try #require(network.slots.first { $0.name == "net/\(broken)" })
      // The last element belongs to the last member.
      network.parameters.base[slot.range.upperBound - 1] = .nan
    }
    return network
  }

  @Test(arguments: [("dense0/weight", "dense0"), ("dense1/bias", "dense1"), ("dense2/weight", "dense2")])
  func theFirstValueThatIsNotFiniteIsNamedByItsLayer(tensor: String, layer: String) throws {
    let network = try network(broken: tensor)
    network.mlp.forward(network.parameters.base, rows: 0..<3)
    #expect(network.mlp.firstNonFinite == "net/\(layer)")
  }

  @Test func anInputThatIsNotFiniteIsNamedFirst() throws {
    let network = try network(broken: "dense0/weight")
    network.mlp.input[2, 1] = .infinity
    network.mlp.forward(network.parameters.base, rows: 0..<3)
    #expect(network.mlp.firstNonFinite == "net/input")
  }

  @Test func nothingIsNamedWhenAllValuesAreFinite() throws {
    let network = try network(broken: nil)
    network.mlp.forward(network.parameters.base, rows: 0..<3)
    #expect(network.mlp.firstNonFinite == nil)
  }

  @Test(arguments: [Double.nan, .infinity]) func aGradientThatIsNotFiniteIsNoticed(value: Double) throws {
    let network = try network(broken: nil)
    network.mlp.outputGradient(1)[1, 0] = value
    network.differentiate(0..<3)
    #expect(!network.mlp.gradientIsFinite)
  }

  @Test func theNextFiniteGradientIsFiniteAgain() throws {
    let network = try network(broken: nil)
    let gradient = network.mlp.outputGradient(1)[1, 0]
    network.mlp.outputGradient(1)[1, 0] = .nan
    network.differentiate(0..<3)
    network.mlp.outputGradient(1)[1, 0] = gradient
    network.differentiate(0..<3)
    #expect(network.mlp.gradientIsFinite)
  }

  @Test func rowsWithoutGradientMayBeNotFinite() throws {
    let network = try network(broken: nil)
    network.mlp.input[0, 0] = .nan
    network.differentiate(0..<3, gradientRows: 1..<3)
    #expect(network.mlp.gradientIsFinite)
  }
}
