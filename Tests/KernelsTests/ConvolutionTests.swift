import Kernels
import Randomness
import Testing

/// The operands of a convolution and of its gradients, in both precisions.
private struct Operands {
  let shape: Convolution
  let images: Int
  let x, weights, bias, residual, gradient, pooledGradient: Pair
  let scratch: Pair

  init(_ shape: Convolution, images: Int = 2, _ value: (Float) -> Float = Self.integer) {
    self.shape = shape
    self.images = images
    x = numbers(images * shape.inputSize, seed: 1, value)
    weights = numbers(shape.weightCount, seed: 2, value)
    bias = numbers(shape.outputs, seed: 3, value)
    residual = numbers(images * shape.outputSize, seed: 4, value)
    gradient = numbers(images * shape.outputSize, seed: 5, value)
    pooledGradient = numbers(images * shape.pooledSize, seed: 6, value)
    scratch = Pair(1, shape.scratchSize) { _, _ in .nan }
  }

  /// Small integers, from which all sums are exact in both precisions, and windows have many equal places.
  static func integer(_ normal: Float) -> Float { normal.rounded() }

  var marginsAreIntact: Bool {
    [x, weights, bias, residual, gradient, pooledGradient, scratch].allSatisfy { $0.marginIsIntact }
  }

  /// The winners that the definition finds. (With other kernels they may differ by rounding.)
  func winners() -> Bytes {
    let size = images * shape.pooledSize
    let winners = Bytes(size)
    let y = Pair(1, size)
    Double.convolveAndPool(
      shape, images: images, .numbers(x.double.base), weights: weights.double.base, bias: bias.double.base,
      into: y.double.base, winners: winners.base, scratch: scratch.double.base)
    return winners
  }
}

/// Memory for bytes, and one more byte, which is 99.
private final class Bytes {
  let base: UnsafeMutablePointer<UInt8>
  let count: Int

  init(_ count: Int) {
    self.count = count
    base = .allocate(capacity: count + 1)
    base.initialize(repeating: 99, count: count + 1)
  }

  deinit { base.deallocate() }

  /// All bytes, with that behind them.
  var values: [UInt8] { (0...count).map { base[$0] } }
}

/// A vector of `count` numbers, each made from a normal number.
private func numbers(_ count: Int, seed: UInt32, _ value: (Float) -> Float = Operands.integer) -> Pair {
  var random = RandomSequence(seed: seed, stream: .acting)
  return Pair(1, count) { _, _ in value(random.normal()) }
}

extension Pair {
  /// The floats, as bits.
  fileprivate var bits: [UInt32] { (0..<float.columns).map { float[0, $0].bitPattern } }

  /// Whether both precisions have the same numbers, and nothing was written beyond them.
  fileprivate var agrees: Bool {
    (0..<float.columns).allSatisfy { Double(float[0, $0]) == double[0, $0] } && marginIsIntact
  }
}

extension Convolution: CustomTestStringConvertible {
  public var testDescription: String { "\(height) × \(width), \(inputs) to \(outputs)" }

  /// Sizes of one, odd ones, and counts of channels around the widths of registers and tiles.
  fileprivate static let examples = [
    (1, 1, 1, 1), (1, 7, 3, 4), (6, 1, 9, 16), (2, 2, 4, 4), (3, 5, 12, 17), (5, 4, 5, 31), (8, 8, 32, 32),
    (7, 13, 16, 9), (12, 10, 3, 24), (16, 16, 16, 32), (9, 26, 33, 5), (4, 6, 64, 48), (3, 3, 128, 20),
    (33, 32, 9, 16),
  ].map { Convolution(height: $0.0, width: $0.1, inputs: $0.2, outputs: $0.3) }
}

/// The kernels of convolutions that this processor can run give what the plain loops in double precision
/// give: exactly that, as the sums of small integers are exact.
@Suite struct ConvolutionTests {
  @Test(arguments: ConvolutionKernels.usable, Convolution.examples)
  func outputsAreThoseOfTheDefinition(kernels: ConvolutionKernels, shape: Convolution) {
    let o = Operands(shape)
    for rectified in [false, true] {
      for adds in [false, true] {
        let y = numbers(o.images * shape.outputSize, seed: 7)
        kernels.convolve(
          shape, images: o.images, rectified ? .positiveParts(o.x.float.base) : .numbers(o.x.float.base),
          weights: o.weights.float.base, bias: o.bias.float.base, adding: adds ? o.residual.float.base : nil,
          into: y.float.base, scratch: o.scratch.float.base)
        Double.convolve(
          shape, images: o.images, rectified ? .positiveParts(o.x.double.base) : .numbers(o.x.double.base),
          weights: o.weights.double.base, bias: o.bias.double.base,
          adding: adds ? o.residual.double.base : nil, into: y.double.base, scratch: o.scratch.double.base)
        #expect(y.agrees, "relu \(rectified), residual \(adds)")
      }
    }
    #expect(o.marginsAreIntact)
  }

  @Test(arguments: ConvolutionKernels.usable, Convolution.examples)
  func pooledOutputsAndWinnersAreThoseOfTheDefinition(kernels: ConvolutionKernels, shape: Convolution) {
    let o = Operands(shape)
    let y = numbers(o.images * shape.pooledSize, seed: 7)
    Double.convolveAndPool(
      shape, images: o.images, .numbers(o.x.double.base), weights: o.weights.double.base,
      bias: o.bias.double.base, into: y.double.base, winners: nil, scratch: o.scratch.double.base)
    for keeps in [false, true] {
      let winners = Bytes(o.images * shape.pooledSize)
      kernels.convolveAndPool(
        shape, images: o.images, .numbers(o.x.float.base), weights: o.weights.float.base,
        bias: o.bias.float.base, into: y.float.base, winners: keeps ? winners.base : nil,
        scratch: o.scratch.float.base)
      #expect(y.agrees && o.marginsAreIntact, "winners \(keeps)")
      if keeps { #expect(winners.values == o.winners().values) }
    }
  }

  @Test(arguments: ConvolutionKernels.usable, Convolution.examples)
  func gradientsByWeightsAndBiasAreThoseOfTheDefinition(kernels: ConvolutionKernels, shape: Convolution) {
    let o = Operands(shape)
    let winners = o.winners()
    for pooled in [false, true] {
      let (weights, bias) = (numbers(shape.weightCount, seed: 7), numbers(shape.outputs, seed: 8))
      kernels.addGradients(
        shape, images: o.images, .positiveParts(o.x.float.base),
        gradient: pooled
          ? .pooled(o.pooledGradient.float.base, winners: winners.base) : .whole(o.gradient.float.base),
        weights: weights.float.base, bias: bias.float.base, scratch: o.scratch.float.base)
      Double.addConvolutionGradients(
        shape, images: o.images, .positiveParts(o.x.double.base),
        gradient: pooled
          ? .pooled(o.pooledGradient.double.base, winners: winners.base) : .whole(o.gradient.double.base),
        weights: weights.double.base, bias: bias.double.base, scratch: o.scratch.double.base)
      #expect(weights.agrees && bias.agrees && o.marginsAreIntact, "pooled \(pooled)")
    }
  }

  @Test(arguments: ConvolutionKernels.usable, Convolution.examples)
  func gradientsByTheInputAreThoseOfTheDefinition(kernels: ConvolutionKernels, shape: Convolution) {
    let o = Operands(shape)
    let winners = o.winners()
    for pooled in [false, true] {
      for (rectified, adds) in [(false, false), (true, false), (true, true)] {
        let dx = numbers(o.images * shape.inputSize, seed: 7)
        kernels.inputGradient(
          shape, images: o.images,
          gradient: pooled
            ? .pooled(o.pooledGradient.float.base, winners: winners.base) : .whole(o.gradient.float.base),
          weights: o.weights.float.base, positivePartsOf: rectified ? o.x.float.base : nil,
          into: dx.float.base, accumulate: adds, scratch: o.scratch.float.base)
        Double.convolutionInputGradient(
          shape, images: o.images,
          gradient: pooled
            ? .pooled(o.pooledGradient.double.base, winners: winners.base) : .whole(o.gradient.double.base),
          weights: o.weights.double.base, positivePartsOf: rectified ? o.x.double.base : nil,
          into: dx.double.base, accumulate: adds, scratch: o.scratch.double.base)
        #expect(dx.agrees && o.marginsAreIntact, "pooled \(pooled), relu \(rectified), adds \(adds)")
      }
    }
  }

  @Test(arguments: ConvolutionKernels.usable) func bytesAreDividedBy255(kernels: ConvolutionKernels) {
    let shape = Convolution(height: 16, width: 16, inputs: 1, outputs: 1)
    let bytes = Bytes(256)
    for i in 0..<256 { bytes.base[i] = UInt8(i) }
    // The weight in the middle is 1, so the output is the input.
    let weights = Pair(1, 9) { _, i in i == 4 ? 1 : 0 }
    let (bias, y, scratch) = (Pair(1, 1), Pair(1, 256), Pair(1, shape.scratchSize))
    kernels.convolve(
      shape, images: 1, .bytes(bytes.base), weights: weights.float.base, bias: bias.float.base, adding: nil,
      into: y.float.base, scratch: scratch.float.base)
    #expect(y.bits == (0..<256).map { (Float($0) / 255).bitPattern })
    Double.convolve(
      shape, images: 1, .bytes(bytes.base), weights: weights.double.base, bias: bias.double.base, adding: nil,
      into: y.double.base, scratch: scratch.double.base)
    #expect((0..<256).allSatisfy { y.double[0, $0] == Double($0) / 255 })
  }

  /// A NaN is neither lost in relu or the pool, nor spread to other images or by the lanes of registers that
  /// belong to no channel.
  @Test(arguments: ConvolutionKernels.usable, Convolution.examples)
  func aNaNIsWhereTheDefinitionHasIt(kernels: ConvolutionKernels, shape: Convolution) {
    let o = Operands(shape)
    let place = shape.inputSize * 3 / 2
    (o.x.float[0, place], o.x.double[0, place]) = (.nan, .nan)
    let (y, pooled) = (Pair(1, o.images * shape.outputSize), Pair(1, o.images * shape.pooledSize))
    kernels.convolve(
      shape, images: o.images, .positiveParts(o.x.float.base), weights: o.weights.float.base,
      bias: o.bias.float.base, adding: nil, into: y.float.base, scratch: o.scratch.float.base)
    Double.convolve(
      shape, images: o.images, .positiveParts(o.x.double.base), weights: o.weights.double.base,
      bias: o.bias.double.base, adding: nil, into: y.double.base, scratch: o.scratch.double.base)
    kernels.convolveAndPool(
      shape, images: o.images, .numbers(o.x.float.base), weights: o.weights.float.base,
      bias: o.bias.float.base, into: pooled.float.base, winners: nil, scratch: o.scratch.float.base)
    Double.convolveAndPool(
      shape, images: o.images, .numbers(o.x.double.base), weights: o.weights.double.base,
      bias: o.bias.double.base, into: pooled.double.base, winners: nil, scratch: o.scratch.double.base)
    for result in [y, pooled] {
      let places = (0..<result.float.columns)
      #expect(places.contains { result.double[0, $0].isNaN })
      #expect(places.allSatisfy { result.float[0, $0].isNaN == result.double[0, $0].isNaN })
    }
  }

  /// With numbers whose sums are rounded.
  @Test(arguments: Convolution.examples) func imagesGetTheSameBitsAloneAndAmongOthers(shape: Convolution) {
    let o = Operands(shape, images: 3) { $0 }
    let winners = o.winners()
    func results(inCallsOf count: Int) -> [Pair] {
      let pairs = [
        o.images * shape.outputSize, o.images * shape.pooledSize, o.images * shape.inputSize,
        shape.weightCount, shape.outputs, shape.weightCount, shape.outputs,
      ].map { numbers($0, seed: 7) { $0 } }
      let (y, pooled, dx) = (pairs[0].float.base, pairs[1].float.base, pairs[2].float.base)
      let scratch = o.scratch.float.base
      for first in stride(from: 0, to: o.images, by: count) {
        let x = ConvolutionInput.numbers(o.x.float.base + first * shape.inputSize)
        let whole = ConvolutionGradient.whole(o.gradient.float.base + first * shape.outputSize)
        let offset = first * shape.pooledSize
        let pooledGradient = ConvolutionGradient.pooled(
          o.pooledGradient.float.base + offset, winners: winners.base + offset)
        Float.convolve(
          shape, images: count, x, weights: o.weights.float.base, bias: o.bias.float.base, adding: nil,
          into: y + first * shape.outputSize, scratch: scratch)
        Float.convolveAndPool(
          shape, images: count, x, weights: o.weights.float.base, bias: o.bias.float.base,
          into: pooled + offset, winners: nil, scratch: scratch)
        for (i, gradient) in [(3, whole), (5, pooledGradient)] {
          Float.convolutionInputGradient(
            shape, images: count, gradient: gradient, weights: o.weights.float.base, positivePartsOf: nil,
            into: dx + first * shape.inputSize, accumulate: i > 3, scratch: scratch)
          Float.addConvolutionGradients(
            shape, images: count, x, gradient: gradient, weights: pairs[i].float.base,
            bias: pairs[i + 1].float.base, scratch: scratch)
        }
      }
      return pairs
    }
    for (alone, together) in zip(results(inCallsOf: 1), results(inCallsOf: 3)) {
      #expect(alone.bits == together.bits)
    }
  }

  /// Results do not depend on the instruction set.
  @Test(
    .enabled(if: ConvolutionKernels.fastest == .avx512, "this processor has no AVX-512"),
    arguments: Convolution.examples)
  func allInstructionSetsGiveTheSameBits(shape: Convolution) {
    let o = Operands(shape) { $0 }
    let winners = o.winners()
    let results = [ConvolutionKernels.avx512, .avx2].map { kernels in
      let pairs = [
        o.images * shape.outputSize, o.images * shape.pooledSize, o.images * shape.inputSize,
        shape.weightCount, shape.outputs,
      ].map { numbers($0, seed: 7) { $0 } }
      let (x, scratch) = (ConvolutionInput.numbers(o.x.float.base), o.scratch.float.base)
      kernels.convolve(
        shape, images: o.images, x, weights: o.weights.float.base, bias: o.bias.float.base,
        adding: o.residual.float.base, into: pairs[0].float.base, scratch: scratch)
      kernels.convolveAndPool(
        shape, images: o.images, x, weights: o.weights.float.base, bias: o.bias.float.base,
        into: pairs[1].float.base, winners: nil, scratch: scratch)
      for gradient in [
        ConvolutionGradient.whole(UnsafePointer(o.gradient.float.base)),
        .pooled(UnsafePointer(o.pooledGradient.float.base), winners: winners.base),
      ] {
        kernels.inputGradient(
          shape, images: o.images, gradient: gradient, weights: o.weights.float.base, positivePartsOf: nil,
          into: pairs[2].float.base, accumulate: true, scratch: scratch)
        kernels.addGradients(
          shape, images: o.images, x, gradient: gradient, weights: pairs[3].float.base,
          bias: pairs[4].float.base, scratch: scratch)
      }
      return pairs.map(\.bits)
    }
    #expect(results[0] == results[1])
  }
}
