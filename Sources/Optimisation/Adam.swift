import Kernels

/// A precision in which parameters are trained, with Adam's step and the step of target parameters.
///
/// As for `Real`, `Double` is the definition and `Float` is vectorised.
public protocol Trainable: Real {
  /// target ← tau · online + (1 − tau) · target, over `count` parameters.
  static func moveTarget(
    _ target: UnsafeMutablePointer<Self>, toward online: UnsafePointer<Self>, tau: Self, count: Int)

  /// One Adam step over `count` parameters (Kingma and Ba, 2015, algorithm 1): with m and v the two moments,
  /// m ← β₁·m + (1 − β₁)·gradient, v ← β₂·v + (1 − β₂)·gradient², and parameters ← parameters − lr · m̂ /
  /// (√v̂ + ε), where m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
  static func adam(
    _ parameters: UnsafeMutablePointer<Self>, gradient: UnsafePointer<Self>,
    firstMoment: UnsafeMutablePointer<Self>, secondMoment: UnsafeMutablePointer<Self>,
    _ step: AdamStep<Self>, count: Int)
}

/// The constants of one Adam step.
public struct AdamStep<T: Real> {
  /// β₁, the decay of the first moment: 0.9.
  public let beta1: T = 0.9
  /// β₂, the decay of the second moment: 0.999.
  public let beta2: T = 0.999
  /// ε, which is added to the root: 1e-8.
  public let epsilon: T = 1e-8
  /// The learning rate with the first moment's bias correction: lr / (1 − β₁ᵗ).
  public let rate: T
  /// The second moment's bias correction, 1 / (1 − β₂ᵗ).
  public let secondCorrection: T

  /// Makes the constants of step t = `number`, counted from 1.
  public init(number: Int, learningRate: Double) {
    var power1 = 1.0
    var power2 = 1.0
    var square1 = 0.9
    var square2 = 0.999
    var exponent = number
    while exponent > 0 {
      if exponent & 1 == 1 {
        power1 *= square1
        power2 *= square2
      }
      square1 *= square1
      square2 *= square2
      exponent >>= 1
    }
    rate = T(learningRate / (1 - power1))
    secondCorrection = T(1 / (1 - power2))
  }
}

extension Float: Trainable {
  public static func moveTarget(
    _ target: UnsafeMutablePointer<Float>, toward online: UnsafePointer<Float>, tau: Float, count: Int
  ) {
    @inline(__always) func body(_ j: Int, _ n: Int) {
      let kept = load(target, j, n) * (1 - tau)
      store(kept.addingProduct(load(online, j, n), Lanes(repeating: tau)), target, j, n)
    }
    forEachLanes(count, body)
  }

  public static func adam(
    _ parameters: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
    firstMoment: UnsafeMutablePointer<Float>, secondMoment: UnsafeMutablePointer<Float>,
    _ step: AdamStep<Float>, count: Int
  ) {
    let complement1 = Lanes(repeating: 1 - step.beta1)
    let complement2 = Lanes(repeating: 1 - step.beta2)
    @inline(__always) func body(_ j: Int, _ n: Int) {
      let g = load(gradient, j, n)
      let m = (load(firstMoment, j, n) * step.beta1).addingProduct(complement1, g)
      let v = (load(secondMoment, j, n) * step.beta2).addingProduct(complement2, g * g)
      let deviation = root(v * step.secondCorrection) + step.epsilon
      store(m, firstMoment, j, n)
      store(v, secondMoment, j, n)
      store(load(parameters, j, n) - step.rate * m / deviation, parameters, j, n)
    }
    forEachLanes(count, body)
  }
}

extension Double: Trainable {
  public static func moveTarget(
    _ target: UnsafeMutablePointer<Double>, toward online: UnsafePointer<Double>, tau: Double, count: Int
  ) {
    for i in 0..<count { target[i] = tau * online[i] + (1 - tau) * target[i] }
  }

  public static func adam(
    _ parameters: UnsafeMutablePointer<Double>, gradient: UnsafePointer<Double>,
    firstMoment: UnsafeMutablePointer<Double>, secondMoment: UnsafeMutablePointer<Double>,
    _ step: AdamStep<Double>, count: Int
  ) {
    for i in 0..<count {
      let g = gradient[i]
      firstMoment[i] = step.beta1 * firstMoment[i] + (1 - step.beta1) * g
      secondMoment[i] = step.beta2 * secondMoment[i] + (1 - step.beta2) * g * g
      let root = (secondMoment[i] * step.secondCorrection).squareRoot()
      parameters[i] -= step.rate * firstMoment[i] / (root + step.epsilon)
    }
  }
}
