import Kernels
import Networks
import Testing

/// What parameters start as.
@Suite struct InitialisationTests {
  private let layout = ParameterLayout([
    NetworkShape(name: "a", inputs: 30, hidden: [50, 50, 50], outputs: 20, layerNorm: true, lastScale: 0.01),
    NetworkShape(name: "b", inputs: 10, hidden: [30], outputs: 3, layerNorm: true, ensemble: 2),
  ])

  /// The flat vector, which held other numbers before.
  private func parameters<T: Real>(_ layout: ParameterLayout, seed: UInt32, _: T.Type = Float.self) -> [T] {
    let buffer = Buffer<T>(count: layout.count)
    buffer.base.update(repeating: 7, count: layout.count)
    layout.initialise(buffer.base, seed: seed)
    return (0..<layout.count).map { buffer.base[$0] }
  }

  private func values(_ tensor: String, seed: UInt32 = 3) throws -> [Float] {
    let slot = try #require(layout.slots.first { $0.name == tensor })
    return Array(parameters(layout, seed: seed)[slot.range])
  }

  /// √(6 · scale / (in + out)) is the limit of a uniform distribution of Glorot's variance.
  @Test(arguments: [
    ("a/dense0/weight", Float(0.2738613)), ("a/dense1/weight", 0.2449490), ("a/dense3/weight", 0.0292770),
    ("b/dense0/weight", 0.3872983), ("b/dense1/weight", 0.4264014),
  ]) func weightsFillTheRangeUpToGlorotsLimit(tensor: String, limit: Float) throws {
    let values = try values(tensor)
    #expect(values.allSatisfy { abs($0) <= limit * 1.00001 })
    #expect(values.max()! > 0.96 * limit && values.min()! < -0.96 * limit)
  }

  @Test(arguments: ["a/dense1/weight", "a/dense3/weight", "b/dense0/weight"])
  func weightsAreUniform(tensor: String) throws {
    let values = try values(tensor)
    let limit = try #require(values.map(abs).max())
    // Counts in quarters of the range, to within five standard deviations.
    var counts = [0, 0, 0, 0]
    for value in values { counts[min(3, Int((value / limit + 1) * 2))] += 1 }
    let expected = Float(values.count) / 4
    for count in counts {
      #expect(abs(Float(count) - expected) < 5 * (expected * 3 / 4).squareRoot(), "\(counts)")
    }
  }

  @Test func biasesAndGapsStartAtZero() {
    let parameters = parameters(layout, seed: 3)
    var isElement = [Bool](repeating: false, count: layout.count)
    for slot in layout.slots where slot.initialiser != .zeros {
      for i in slot.range { isElement[i] = true }
    }
    #expect(parameters.indices.allSatisfy { isElement[$0] || parameters[$0] == 0 })
  }

  @Test func scalesOfNormsStartAtOne() throws {
    let slots = layout.slots.filter { $0.name.contains("/norm") && $0.name.hasSuffix("/scale") }
    #expect(slots.count == 4)
    for slot in slots { #expect(try values(slot.name).allSatisfy { $0 == 1 }, "\(slot.name)") }
  }

  @Test func theSameSeedGivesTheSameParameters() {
    #expect(parameters(layout, seed: 3) == parameters(layout, seed: 3))
  }

  @Test func anotherSeedGivesOtherWeights() throws {
    for slot in layout.slots where slot.isWeight {
      let (first, second) = (try values(slot.name, seed: 3), try values(slot.name, seed: 4))
      #expect(zip(first, second).count { $0 == $1 } <= 1, "\(slot.name)")
    }
  }

  @Test func weightsOfTheSameShapeAreDifferent() throws {
    #expect(try values("a/dense1/weight") != values("a/dense2/weight"))
  }

  @Test func membersOfAnEnsembleAreDifferent() throws {
    let values = try values("b/dense0/weight")
    #expect(values[..<300] != values[300...])
  }

  /// U(±√(6 / (9 · in + 9 · out))).
  @Test func weightsOfConvolutionsCountNinePositions() throws {
    let encoder = EncoderShape(
      height: 8, width: 8, channels: 9, stacks: [16, 32], blocks: 1, features: 64)
    let layout = ParameterLayout([
      NetworkShape(name: "c", inputs: 64, hidden: [], outputs: 1, layerNorm: false, encoder: encoder)
    ])
    let numbers = parameters(layout, seed: 3)
    for (name, fans) in [("stack0/conv0", 9 * (9 + 16)), ("stack1/conv1", 9 * 64), ("dense0", 128 + 64)] {
      let slot = try #require(layout.slots.first { $0.name == "c/encoder/\(name)/weight" })
      let largest = slot.range.map { abs(numbers[$0]) }.max()!
      let limit = (6 / Float(fans)).squareRoot()
      #expect(largest <= limit && largest > 0.98 * limit, "\(name)")
    }
  }

  @Test func laterNetworksDoNotChangeTheParametersOfEarlierOnes() {
    let shapes = [
      NetworkShape(name: "a", inputs: 3, hidden: [5], outputs: 2, layerNorm: true),
      NetworkShape(name: "b", inputs: 3, hidden: [5], outputs: 2, layerNorm: true),
    ]
    let (one, both) = (ParameterLayout([shapes[0]]), ParameterLayout(shapes))
    #expect(parameters(one, seed: 3)[...] == parameters(both, seed: 3)[..<one.count])
  }

  @Test func bothPrecisionsStartWithTheSameNumbers() {
    #expect(
      parameters(layout, seed: 3, Double.self) == parameters(layout, seed: 3, Float.self).map(Double.init))
  }
}
