import Kernels
import Networks
import Profiling
import Testing

/// The operations that a profile counts.
@Suite struct WorkTests {
  private func network(_ shape: NetworkShape, inputGradientColumns: Range<Int> = 0..<0) -> Network {
    let network = Network(shape, rows: 8, inputGradientColumns: inputGradientColumns)
    network.mlp.profile.isOn = true
    return network
  }

  @Test func aLayerTakesTwoOperationsForEachWeightAndRow() {
    let shape = NetworkShape(name: "net", inputs: 3, hidden: [4, 5], outputs: 2, layerNorm: true)
    #expect(shape.operationsPerRow == 2 * (3 * 4 + 4 * 5 + 5 * 2))
    var ensemble = shape
    ensemble.ensemble = 3
    #expect(ensemble.operationsPerRow == 3 * shape.operationsPerRow)
  }

  @Test(arguments: Network.shapes) func theWorkOfForwardPassesIsThatOfTheirProducts(shape: NetworkShape) {
    let network = network(shape)
    network.mlp.forward(network.parameters.base, rows: 2..<8, gradientRows: 4..<8)
    let work = network.mlp.profile.work
    #expect(work.computed == network.mlp.profile.productOperations)
    #expect(work.forward == 6 * shape.operationsPerRow && work.total == work.forward)
  }

  /// For rows whose gradient reaches weights, inputs, both, or only inputs, of all or of some columns.
  @Test(
    arguments: Network.shapes,
    [
      (0..<8, nil, 0..<0), (0..<8, 0..<8, 0..<2), (0..<5, 5..<8, 1..<3), (2..<6, 4..<8, 0..<3),
    ] as [(Range<Int>, Range<Int>?, Range<Int>)])
  func theWorkOfBackwardPassesIsThatOfTheirProducts(
    shape: NetworkShape, roles: (weights: Range<Int>, inputs: Range<Int>?, columns: Range<Int>)
  ) {
    let network = network(shape, inputGradientColumns: roles.columns)
    network.mlp.forward(network.parameters.base, rows: 0..<8, gradientRows: 0..<8)
    network.mlp.profile.reset()
    network.mlp.backward(
      network.parameters.base, into: network.gradients.base, weightRows: roles.weights,
      inputRows: roles.inputs)
    #expect(network.mlp.profile.work.computed == network.mlp.profile.productOperations)
  }

  @Test(arguments: Network.shapes) func theWorkOfForwardModeIsThatOfItsProducts(shape: NetworkShape) {
    let network = network(shape)
    network.mlp.forward(network.parameters.base, rows: 0..<8, gradientRows: 0..<8)
    network.mlp.profile.reset()
    let workspace = Workspace<Double>()
    let direction = workspace.matrix(rows: 8, columns: 2)
    network.mlp.pushForward(network.parameters.base, rows: 0..<8, along: direction, columns: 1..<3)
    #expect(network.mlp.profile.work.computed == network.mlp.profile.productOperations)
  }

  @Test func rowsAreCountedForEveryMember() {
    let shape = Network.shapes[4]
    let network = network(shape, inputGradientColumns: 0..<2)
    network.differentiate(0..<8, weightRows: 0..<5, inputRows: 5..<8)
    // Eight rows forward, five that reach weights, eight that are passed back.
    #expect(network.mlp.profile.work.rows == 3 * (8 + 5 + 8))
  }

  @Test func gradientsOfWeightsAndOfInputsAreCountedApart() {
    let shape = Network.shapes[3]
    let network = network(shape, inputGradientColumns: 0..<2)
    network.differentiate(0..<8, weightRows: 0..<5, inputRows: 5..<8)
    let work = network.mlp.profile.work
    #expect(work.weights == 5 * shape.operationsPerRow && work.inputs == 8 * shape.operationsPerRow)
  }

  @Test func nothingIsCountedWhileTheProfileIsOff() {
    let network = network(Network.shapes[3])
    network.mlp.profile.isOn = false
    network.differentiate(0..<8)
    #expect(network.mlp.profile.work == Work() && network.mlp.profile.productOperations == 0)
  }
}
