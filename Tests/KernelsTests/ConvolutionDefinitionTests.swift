import Kernels
import Randomness
import Testing

/// Random numbers for a convolution, its loss Σ y · g, and the gradients of that by the definition.
private struct Loss {
  let shape: Convolution
  let pooled: Bool
  var x, weights, bias: [Double]
  let g: [Double]

  init(_ shape: Convolution, pooled: Bool) {
    var random = RandomSequence(seed: 1, stream: .acting)
    func numbers(_ count: Int) -> [Double] { (0..<count).map { _ in Double(random.normal()) } }
    self.shape = shape
    self.pooled = pooled
    x = numbers(shape.inputSize)
    weights = numbers(shape.weightCount)
    bias = numbers(shape.outputs)
    g = numbers(pooled ? shape.pooledSize : shape.outputSize)
  }

  private func outputs() -> (y: [Double], winners: [UInt8]) {
    var scratch = [Double](repeating: .nan, count: shape.scratchSize)
    var y = [Double](repeating: .nan, count: g.count)
    var winners = [UInt8](repeating: 0, count: g.count)
    x.withUnsafeBufferPointer {
      let input = ConvolutionInput.positiveParts($0.baseAddress!)
      if pooled {
        Double.convolveAndPool(
          shape, images: 1, input, weights: weights, bias: bias, into: &y, winners: &winners,
          scratch: &scratch)
      } else {
        Double.convolve(
          shape, images: 1, input, weights: weights, bias: bias, adding: nil, into: &y, scratch: &scratch)
      }
    }
    return (y, winners)
  }

  var value: Double { zip(outputs().y, g).reduce(0) { $0 + $1.0 * $1.1 } }

  func gradients() -> (x: [Double], weights: [Double], bias: [Double]) {
    let winners = outputs().winners
    var scratch = [Double](repeating: .nan, count: shape.scratchSize)
    var dx = [Double](repeating: .nan, count: x.count)
    var dWeights = [Double](repeating: 0, count: weights.count)
    var dBias = [Double](repeating: 0, count: bias.count)
    x.withUnsafeBufferPointer { x in
      g.withUnsafeBufferPointer { g in
        winners.withUnsafeBufferPointer { winners in
          let gradient: ConvolutionGradient<Double> =
            pooled ? .pooled(g.baseAddress!, winners: winners.baseAddress!) : .whole(g.baseAddress!)
          Double.convolutionInputGradient(
            shape, images: 1, gradient: gradient, weights: weights, positivePartsOf: x.baseAddress!,
            into: &dx, accumulate: false, scratch: &scratch)
          Double.addConvolutionGradients(
            shape, images: 1, .positiveParts(x.baseAddress!), gradient: gradient, weights: &dWeights,
            bias: &dBias, scratch: &scratch)
        }
      }
    }
    return (dx, dWeights, dBias)
  }

  /// The largest difference between a gradient and finite differences by the numbers at a key path.
  func deviation(of gradient: [Double], by numbers: WritableKeyPath<Loss, [Double]>) -> Double {
    var worst = 0.0
    var moved = self
    for i in gradient.indices {
      let step = 1e-6
      moved[keyPath: numbers][i] = self[keyPath: numbers][i] + step
      let above = moved.value
      moved[keyPath: numbers][i] = self[keyPath: numbers][i] - step
      worst = max(worst, abs((above - moved.value) / (2 * step) - gradient[i]))
      moved[keyPath: numbers][i] = self[keyPath: numbers][i]
    }
    return worst
  }
}

/// The definition of the kernels of convolutions is what the specification of encoders says.
@Suite struct ConvolutionDefinitionTests {
  @Test(
    arguments: [(1, 1, 2, 2), (3, 4, 2, 3), (5, 2, 1, 2)].map {
      Convolution(height: $0.0, width: $0.1, inputs: $0.2, outputs: $0.3)
    }, [false, true])
  func gradientsAreThoseOfFiniteDifferences(shape: Convolution, pooled: Bool) {
    let loss = Loss(shape, pooled: pooled)
    let gradients = loss.gradients()
    #expect(loss.deviation(of: gradients.x, by: \.x) < 1e-8)
    #expect(loss.deviation(of: gradients.weights, by: \.weights) < 1e-8)
    #expect(loss.deviation(of: gradients.bias, by: \.bias) < 1e-8)
  }

  /// The input of a convolution whose only weight is the one in the middle is its output.
  private func pool(_ image: [Double], height: Int, width: Int) -> (largest: [Double], winners: [UInt8]) {
    let shape = Convolution(height: height, width: width, inputs: 1, outputs: 1)
    let weights = (0..<9).map { $0 == 4 ? 1.0 : 0 }
    var y = [Double](repeating: 0, count: shape.pooledSize)
    var winners = [UInt8](repeating: 99, count: shape.pooledSize)
    var scratch = [Double](repeating: 0, count: shape.scratchSize)
    image.withUnsafeBufferPointer {
      Double.convolveAndPool(
        shape, images: 1, .numbers($0.baseAddress!), weights: weights, bias: [0], into: &y,
        winners: &winners, scratch: &scratch)
    }
    return (y, winners)
  }

  @Test func windowsBeginInAnImageOfEvenSizeAndBeforeOneOfOddSize() {
    let even = (0..<16).map(Double.init)
    #expect(pool(even, height: 4, width: 4).largest == [10, 11, 14, 15])
    let odd = (0..<9).map { -Double($0) }
    #expect(pool(odd, height: 3, width: 3).largest == [0, -1, -3, -4])
  }

  @Test func theFirstOfEqualPlacesInsideTheImageWins() {
    #expect(pool([Double](repeating: -1, count: 16), height: 4, width: 4).winners == [0, 0, 0, 0])
    #expect(pool([Double](repeating: -1, count: 9), height: 3, width: 3).winners == [4, 3, 1, 0])
    #expect(pool([0, 2, 2, 0, 0, 2, 2, 2, 2], height: 3, width: 3).winners == [5, 3, 4, 1])
  }

  @Test func aNaNWinsInsideTheImage() {
    let pooled = pool([Double](repeating: .nan, count: 9), height: 3, width: 3)
    #expect(pooled.largest.allSatisfy { $0.isNaN })
    #expect(pooled.winners == [8, 7, 5, 4])
    #expect(pool([0, .nan, 2, 1], height: 2, width: 2).largest[0].isNaN)
  }
}
