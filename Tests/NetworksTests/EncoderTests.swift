import Kernels
import Networks
import Profiling
import Testing

/// Encoders of images, with the network that takes their features.
@Suite struct EncoderTests {
  @Test(arguments: [(8, 8, nil), (7, 5, 2), (4, 9, nil)] as [(Int, Int, Int?)])
  func everyGradientIsThatOfDifferences(height: Int, width: Int, ensemble: Int?) {
    let network = EncodedNetwork(height: height, width: width, ensemble: ensemble)
    _ = network.loss()
    network.differentiate()
    for slot in network.layout.slots {
      for i in [slot.range.lowerBound, slot.range.lowerBound + slot.count / 2, slot.range.upperBound - 1] {
        let (number, step) = (network.parameters.base + i, 1e-6)
        let centre = number.pointee
        number.pointee = centre + step
        let above = network.loss()
        number.pointee = centre - step
        let measured = (above - network.loss()) / (2 * step)
        number.pointee = centre
        #expect(abs(network.gradients.base[i] - measured) < 1e-6, "\(slot.name)")
      }
    }
    #expect(network.encoder.gradientIsFinite && network.mlp.gradientIsFinite)
  }

  @Test func theSameImagesGiveTheSameFeaturesWhetherActivationsAreKeptOrNot() {
    let (kept, streamed) = (
      EncodedNetwork(height: 7, width: 6), EncodedNetwork(height: 7, width: 6, trains: false)
    )
    kept.forward()
    let features = kept.features
    kept.forward(moment: 1)
    streamed.forward()
    for other in [kept.features, streamed.features] {
      #expect(zip(features, other).allSatisfy { abs($0 - $1) < 1e-12 })
    }
    #expect(Set(features).count == features.count)
  }

  @Test func countedOperationsAreThoseOfTheKernels() {
    let network = EncodedNetwork(height: 8, width: 6)
    let profile = Profile()
    (network.encoder.profile, network.mlp.profile) = (profile, profile)
    profile.isOn = true
    network.differentiate()
    #expect(profile.work.encodings == network.count)
    #expect(profile.work.computed == profile.productOperations)
  }

  /// At 64 × 64 × 9, impala_small takes 48.1 million operations an image, 10.6 of them in the first convolution.
  @Test func theOperationsOfThePublishedEncoderAreCounted() {
    let shape = EncoderShape(
      height: 64, width: 64, channels: 9, stacks: [16, 32, 32], blocks: 1, features: 512)
    #expect(abs(Double(shape.operationsPerImage) - 48.1e6) < 0.05e6)
  }

  @Test func theFirstLayerThatIsNotFiniteIsNamed() {
    let network = EncodedNetwork(height: 8, width: 8)
    network.forward()
    #expect(network.encoder.firstNonFinite == nil)
    for name in ["stack1/conv3", "stack1/conv0", "stack0/conv2"] {
      let slot = network.layout.slots.first { $0.name == "net/encoder/\(name)/bias" }!
      network.parameters.base[slot.offset] = .infinity
      network.forward()
      #expect(network.encoder.firstNonFinite == "net/encoder/\(name)")
    }
  }

  @Test func gradientsThatAreNotFiniteAreSeen() {
    let network = EncodedNetwork(height: 8, width: 8)
    _ = network.loss()
    network.mlp.outputGradient()[1, 0] = .infinity
    network.differentiate()
    #expect(!network.encoder.gradientIsFinite)
  }

  @Test func anEncoderThatNobodyAsksForLeavesItsGradientAlone() {
    let network = EncodedNetwork(height: 8, width: 8)
    network.gradients.base[0] = 5
    network.encoder.begin(network.parameters.base, rows: network.count)
    network.encoder.backward(into: network.gradients.base)
    #expect(network.gradients.base[0] == 5 && network.encoder.gradientIsFinite)
  }
}
