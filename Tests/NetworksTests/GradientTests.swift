import Kernels
import Networks
import Testing

/// Backward passes, in double precision.
@Suite struct GradientTests {
  private let rows = 0..<4

  /// The largest difference between the gradients of some tensors and central differences, and the largest gradient.
  private func compare(_ shape: NetworkShape, _ isCompared: (TensorSlot) -> Bool) -> (
    error: Double, size: Double
  ) {
    let network = Network(shape, rows: rows.count)
    network.differentiate(rows)
    var (error, size) = (0.0, 0.0)
    for slot in network.slots where isCompared(slot) {
      for i in slot.range {
        let gradient = network.gradients.base[i]
        error = max(error, abs(gradient - network.measured(network.parameters.base + i, rows)))
        size = max(size, abs(gradient))
      }
    }
    return (error, size)
  }

  @Test(arguments: Network.shapes) func gradientsOfWeightsAreThoseOfTheLoss(shape: NetworkShape) {
    let (error, size) = compare(shape) { $0.name.hasSuffix("/weight") }
    #expect(error < 1e-7 && size > 0.1, "\(error), \(size)")
  }

  @Test(arguments: Network.shapes) func gradientsOfBiasesAreThoseOfTheLoss(shape: NetworkShape) {
    let (error, size) = compare(shape) { $0.name.contains("/dense") && $0.name.hasSuffix("/bias") }
    #expect(error < 1e-7 && size > 0.1, "\(error), \(size)")
  }

  @Test(arguments: Network.shapes.filter { $0.layerNorm && !$0.hidden.isEmpty })
  func gradientsOfNormsAreThoseOfTheLoss(shape: NetworkShape) {
    let (error, size) = compare(shape) { $0.name.contains("/norm") }
    #expect(error < 1e-7 && size > 0.1, "\(error), \(size)")
  }

  /// Of an ensemble, whose members share the input, it is the sum over members.
  @Test(arguments: Network.shapes) func theInputsGradientIsThatOfTheLoss(shape: NetworkShape) {
    let columns = 1..<3
    let network = Network(shape, rows: rows.count, inputGradientColumns: columns)
    network.differentiate(rows, inputRows: rows)
    for r in rows {
      for c in columns {
        let measured = network.measured(network.mlp.input.row(r) + c, rows)
        #expect(abs(network.mlp.inputGradient[r, c - columns.lowerBound] - measured) < 1e-7, "\(r), \(c)")
      }
    }
  }

  // MARK: Tiles

  @Test(arguments: Network.shapes) func tilesAddUpToOnePass(shape: NetworkShape) {
    let (whole, tiled) = (Network(shape, rows: 7), Network(shape, rows: 7))
    whole.differentiate(0..<7)
    for (index, tile) in [0..<3, 3..<4, 4..<7].enumerated() {
      tiled.differentiate(tile, samples: index..<index + 1)
    }
    #expect(zip(whole.allGradients, tiled.allGradients).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test(arguments: Network.shapes) func aPassThatDoesNotAccumulateForgetsWhatWasThere(shape: NetworkShape) {
    let (fresh, used) = (Network(shape, rows: 4), Network(shape, rows: 4))
    fresh.differentiate(rows)
    for slot in used.slots { for i in slot.range { used.gradients.base[i] = .nan } }
    used.differentiate(rows)
    #expect(used.allGradients == fresh.allGradients)
  }

  // MARK: Rows in other roles

  @Test(arguments: Network.shapes) func rowsWithoutGradientDoNotChangeGradients(shape: NetworkShape) {
    let (alone, stacked) = (Network(shape, rows: 7), Network(shape, rows: 7))
    alone.differentiate(3..<7)
    for r in 0..<3 { for c in 0..<shape.inputs { stacked.mlp.input[r, c] = .nan } }
    stacked.differentiate(0..<7, gradientRows: 3..<7)
    #expect(stacked.allGradients == alone.allGradients)
  }

  @Test(arguments: Network.shapes) func rowsThatOnlyPassOnDoNotChangeGradients(shape: NetworkShape) {
    let (alone, stacked) = (
      Network(shape, rows: 7, inputGradientColumns: 0..<2),
      Network(shape, rows: 7, inputGradientColumns: 0..<2)
    )
    alone.differentiate(0..<4)
    stacked.differentiate(0..<7, weightRows: 0..<4, inputRows: 4..<7)
    #expect(zip(stacked.allGradients, alone.allGradients).allSatisfy { abs($0 - $1) < 1e-13 })
  }

  @Test(arguments: Network.shapes) func rowsThatOnlyPassOnGetTheirInputsGradient(shape: NetworkShape) {
    let (alone, stacked) = (
      Network(shape, rows: 7, inputGradientColumns: 0..<2),
      Network(shape, rows: 7, inputGradientColumns: 0..<2)
    )
    alone.differentiate(0..<7, inputRows: 0..<7)
    stacked.differentiate(0..<7, weightRows: 0..<4, inputRows: 4..<7)
    let (expected, got) = (
      Network.numbers(alone.mlp.inputGradient, 4..<7), Network.numbers(stacked.mlp.inputGradient, 4..<7)
    )
    #expect(zip(expected, got).allSatisfy { abs($0 - $1) < 1e-13 })
  }

  // MARK: Where gradients are written

  @Test func aNetworkWritesOnlyItsOwnGradients() {
    let shape = Network.shapes[3]
    let before = NetworkShape(name: "before", inputs: 2, hidden: [3], outputs: 1, layerNorm: false)
    let network = Network(shape, rows: 4, before: before)
    network.gradients.base.update(repeating: 7, count: network.layout.count)
    network.differentiate(rows)
    let own = Set(network.slots.flatMap(\.range))
    for (i, gradient) in network.allGradients.enumerated() {
      #expect((gradient == 7) != own.contains(i), "element \(i)")
    }
  }

  @Test func whereANetworkLiesDoesNotChangeItsGradients() {
    let shape = Network.shapes[3]
    let before = NetworkShape(name: "before", inputs: 2, hidden: [3], outputs: 1, layerNorm: false)
    let (first, second) = (Network(shape, rows: 4), Network(shape, rows: 4, before: before))
    let start = second.layout.start(of: shape.name)
    (second.parameters.base + start).update(from: first.parameters.base, count: first.layout.count)
    for e in 0..<shape.members { second.mlp.outputGradient(e).copy(first.mlp.outputGradient(e)) }
    second.mlp.input.copy(first.mlp.input)
    for network in [first, second] { network.differentiate(rows) }
    #expect(Array(second.allGradients[start...]) == first.allGradients)
  }

  @Test func clearGradientZeroesThatNetworkAlone() {
    let before = NetworkShape(name: "before", inputs: 2, hidden: [3], outputs: 1, layerNorm: false)
    let network = Network(Network.shapes[1], rows: 4, before: before)
    network.gradients.base.update(repeating: 7, count: network.layout.count)
    network.mlp.clearGradient(in: network.gradients.base)
    let start = network.layout.start(of: network.shape.name)
    #expect(network.allGradients.enumerated().allSatisfy { $1 == ($0 < start ? 7 : 0) })
  }
}
