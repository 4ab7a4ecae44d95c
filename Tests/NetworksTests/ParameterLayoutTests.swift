import Kernels
import Networks
import Testing

/// Where tensors lie in the flat vector.
@Suite struct ParameterLayoutTests {
  private let networks = [
    NetworkShape(name: "a", inputs: 3, hidden: [5, 17], outputs: 2, layerNorm: true),
    NetworkShape(
      name: "b", inputs: 4, hidden: [6], outputs: 1, layerNorm: false, ensemble: 2, hasTarget: true),
    NetworkShape(name: "c", inputs: 2, hidden: [], outputs: 16, layerNorm: true),
    NetworkShape(name: "d", inputs: 1, hidden: [4], outputs: 3, layerNorm: true, hasTarget: true),
  ]
  private var layout: ParameterLayout { ParameterLayout(networks) }

  @Test func tensorsOfANetworkAreListedLayerByLayer() {
    #expect(
      networks[0].tensors.map(\.name) == [
        "a/dense0/weight", "a/dense0/bias", "a/norm0/scale", "a/norm0/bias",
        "a/dense1/weight", "a/dense1/bias", "a/norm1/scale", "a/norm1/bias",
        "a/dense2/weight", "a/dense2/bias",
      ])
    #expect(
      networks[0].tensors.map(\.shape) == [[3, 5], [5], [5], [5], [5, 17], [17], [17], [17], [17, 2], [2]])
  }

  @Test func membersAreTheFirstAxisOfAnEnsemblesTensors() {
    #expect(networks[1].tensors.map(\.shape) == [[2, 4, 6], [2, 6], [2, 6, 1], [2, 1]])
  }

  @Test func anEnsembleOfOneHasAMemberAxisToo() {
    let shape = NetworkShape(name: "e", inputs: 2, hidden: [], outputs: 3, layerNorm: false, ensemble: 1)
    #expect(shape.tensors.map(\.shape) == [[1, 2, 3], [1, 3]])
  }

  /// An encoder's tensors come first, and have no member axis.
  @Test func anEncodersTensorsStandBeforeThoseOfItsNetwork() {
    let encoder = EncoderShape(height: 5, width: 6, channels: 3, stacks: [4, 2], blocks: 1, features: 7)
    let shape = NetworkShape(
      name: "e", inputs: 9, hidden: [], outputs: 1, layerNorm: false, ensemble: 2, encoder: encoder)
    let convolutions = (0..<2).flatMap { stack in (0..<3).map { "stack\(stack)/conv\($0)" } }
    let names = (convolutions + ["dense0"]).map { "encoder/\($0)" } + ["dense0"]
    #expect(shape.tensors.map(\.name) == names.flatMap { ["e/\($0)/weight", "e/\($0)/bias"] })
    #expect(shape.tensors[0].shape == [3, 3, 3, 4] && shape.tensors[6].shape == [3, 3, 4, 2])
    #expect(shape.tensors[12].shape == [2 * 2 * 2, 7] && shape.tensors[14].shape == [2, 9, 1])
  }

  @Test func everyTensorStartsAtABoundary() {
    for slot in layout.slots { #expect(slot.offset % 16 == 0, "\(slot)") }
  }

  @Test func tensorsFollowOneAnotherWithoutOverlapOrWaste() {
    var end = 0
    for slot in layout.slots {
      #expect(slot.offset >= end && slot.offset < end + 16, "\(slot) after \(end)")
      end = slot.range.upperBound
    }
    #expect(layout.count >= end && layout.count < end + 16)
  }

  @Test func networksStartWhereTheOnesBeforeEnd() {
    let counts = networks.map(\.parameterCount)
    for (index, network) in networks.enumerated() {
      #expect(layout.start(of: network.name) == counts[..<index].reduce(0, +))
      #expect(
        layout.slots.first { $0.name.hasPrefix("\(network.name)/") }?.offset == layout.start(of: network.name)
      )
    }
    #expect(layout.count == counts.reduce(0, +))
  }

  @Test func weightsAreToldFromVectors() {
    for slot in layout.slots { #expect(slot.isWeight == slot.name.hasSuffix("/weight"), "\(slot.name)") }
  }

  // MARK: Targets

  @Test func targetsFollowTheNetworksThatHaveThem() {
    #expect(
      layout.followed
        == ["b", "d"].map { name in
          let start = layout.start(of: name)
          return start..<start + networks.first { $0.name == name }!.parameterCount
        })
  }

  @Test func targetsLieOneAfterTheOtherInTheirVector() {
    #expect(layout.targetStart(of: "b") == 0)
    #expect(layout.targetStart(of: "d") == networks[1].parameterCount)
    #expect(layout.targetCount == networks[1].parameterCount + networks[3].parameterCount)
  }

  @Test func targetTensorsAreThoseOfTheirNetworksUnderAnotherName() {
    for network in [networks[1], networks[3]] {
      let start = layout.targetStart(of: network.name)
      let slots = layout.targetSlots.filter { $0.name.hasPrefix("target_\(network.name)/") }
      #expect(slots.map(\.name) == network.tensors.map { "target_\($0.name)" })
      #expect(slots.map(\.offset) == network.tensors.map { start + $0.offset })
      #expect(slots.map(\.shape) == network.tensors.map(\.shape))
    }
    #expect(layout.targetSlots.count == networks[1].tensors.count + networks[3].tensors.count)
  }

  @Test func copyFollowedGivesTargetsTheNumbersOfTheirNetworks() {
    let parameters = Buffer<Double>(count: layout.count)
    for i in 0..<layout.count { parameters.base[i] = Double(i) }
    let target = Buffer<Double>(count: layout.targetCount)
    layout.copyFollowed(of: parameters.base, to: target.base)
    let copied = (0..<layout.targetCount).map { target.base[$0] }
    #expect(copied == layout.followed.flatMap { $0.map(Double.init) })
  }

  @Test func withoutTargetsTheTargetsVectorIsEmpty() {
    let layout = ParameterLayout([networks[0], networks[2]])
    #expect(layout.followed.isEmpty && layout.targetCount == 0 && layout.targetSlots.isEmpty)
  }
}
