/// The kernels of convolutions in double precision. These plain loops define what they compute.
extension Double {
  public static func convolve(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Double>, weights: UnsafePointer<Double>,
    bias: UnsafePointer<Double>, adding residual: UnsafePointer<Double>?,
    into y: UnsafeMutablePointer<Double>,
    scratch: UnsafeMutablePointer<Double>
  ) {
    let s = shape
    for image in 0..<images {
      for r in 0..<s.height {
        for c in 0..<s.width {
          for o in 0..<s.outputs {
            var sum = bias[o]
            s.forEachTap(row: r, column: c) { place, tap in
              for k in 0..<s.inputs {
                sum +=
                  x[image * s.inputSize + place * s.inputs + k]
                  * weights[(tap * s.inputs + k) * s.outputs + o]
              }
            }
            let i = image * s.outputSize + (r * s.width + c) * s.outputs + o
            y[i] = sum + (residual?[i] ?? 0)
          }
        }
      }
    }
  }

  public static func convolveAndPool(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Double>, weights: UnsafePointer<Double>,
    bias: UnsafePointer<Double>, into y: UnsafeMutablePointer<Double>, winners: UnsafeMutablePointer<UInt8>?,
    scratch: UnsafeMutablePointer<Double>
  ) {
    let s = shape
    for image in 0..<images {
      convolve(
        s, images: 1, x.image(image, s), weights: weights, bias: bias, adding: nil, into: scratch,
        scratch: scratch)
      for window in 0..<s.pooledHeight * s.pooledWidth {
        for o in 0..<s.outputs {
          var largest = -infinity
          var winner: UInt8?
          s.forEachPlace(ofWindow: window) { place, number in
            let value = scratch[place * s.outputs + o]
            if winner == nil || value > largest || value.isNaN { (largest, winner) = (value, number) }
          }
          let i = image * s.pooledSize + window * s.outputs + o
          y[i] = largest
          if let winners, let winner { winners[i] = winner }
        }
      }
    }
  }

  public static func addConvolutionGradients(
    _ shape: Convolution, images: Int, _ x: ConvolutionInput<Double>, gradient: ConvolutionGradient<Double>,
    weights: UnsafeMutablePointer<Double>, bias: UnsafeMutablePointer<Double>,
    scratch: UnsafeMutablePointer<Double>
  ) {
    let s = shape
    for image in 0..<images {
      let dy = gradient.image(image, s, scratch: scratch)
      for r in 0..<s.height {
        for c in 0..<s.width {
          for o in 0..<s.outputs {
            let slope = dy[(r * s.width + c) * s.outputs + o]
            bias[o] += slope
            s.forEachTap(row: r, column: c) { place, tap in
              for k in 0..<s.inputs {
                weights[(tap * s.inputs + k) * s.outputs + o] +=
                  x[image * s.inputSize + place * s.inputs + k] * slope
              }
            }
          }
        }
      }
    }
  }

  public static func convolutionInputGradient(
    _ shape: Convolution, images: Int, gradient: ConvolutionGradient<Double>, weights: UnsafePointer<Double>,
    positivePartsOf x: UnsafePointer<Double>?, into dx: UnsafeMutablePointer<Double>, accumulate: Bool,
    scratch: UnsafeMutablePointer<Double>
  ) {
    let s = shape
    for image in 0..<images {
      let dy = gradient.image(image, s, scratch: scratch)
      for r in 0..<s.height {
        for c in 0..<s.width {
          for k in 0..<s.inputs {
            // Place (r, c) is the place of tap t for the output at the place of tap 8 − t.
            var sum = 0.0
            s.forEachTap(row: r, column: c) { place, tap in
              for o in 0..<s.outputs {
                sum += dy[place * s.outputs + o] * weights[((8 - tap) * s.inputs + k) * s.outputs + o]
              }
            }
            let i = image * s.inputSize + (r * s.width + c) * s.inputs + k
            if let x, x[i] <= 0 { sum = 0 }
            dx[i] = accumulate ? dx[i] + sum : sum
          }
        }
      }
    }
  }

  public static func positiveParts(
    of x: UnsafePointer<Double>, into y: UnsafeMutablePointer<Double>, count: Int
  ) {
    for i in 0..<count { y[i] = x[i] <= 0 ? 0 : x[i] }
  }

  public static func positivePartsBackward(
    _ gradient: UnsafeMutablePointer<Double>, of x: UnsafePointer<Double>, count: Int
  ) {
    for i in 0..<count where x[i] <= 0 { gradient[i] = 0 }
  }
}

extension Convolution {
  /// Calls `body` for each of the nine taps (i, j), with its number 3i + j, whose place of the image lies
  /// inside it. A place is a number of a row times the width, plus the number of a column.
  fileprivate func forEachTap(row: Int, column: Int, _ body: (_ place: Int, _ tap: Int) -> Void) {
    for i in 0..<3 {
      for j in 0..<3 {
        let (r, c) = (row + i - 1, column + j - 1)
        if (0..<height).contains(r) && (0..<width).contains(c) { body(r * width + c, 3 * i + j) }
      }
    }
  }

  /// Calls `body` for each place of a window that lies inside the image, with its number in the window.
  fileprivate func forEachPlace(ofWindow window: Int, _ body: (_ place: Int, _ number: UInt8) -> Void) {
    let row = 2 * (window / pooledWidth) - rowsBefore
    let column = 2 * (window % pooledWidth) - columnsBefore
    forEachTap(row: row + 1, column: column + 1) { place, tap in body(place, UInt8(tap)) }
  }
}

extension ConvolutionInput {
  /// Element i, as it is convolved.
  fileprivate subscript(i: Int) -> T {
    switch self {
    case .bytes(let x): T(x[i]) / 255
    case .numbers(let x): x[i]
    case .positiveParts(let x): x[i] <= 0 ? 0 : x[i]
    }
  }

  /// The input from an image on.
  fileprivate func image(_ image: Int, _ shape: Convolution) -> ConvolutionInput {
    switch self {
    case .bytes(let x): .bytes(x + image * shape.inputSize)
    case .numbers(let x): .numbers(x + image * shape.inputSize)
    case .positiveParts(let x): .positiveParts(x + image * shape.inputSize)
    }
  }
}

extension ConvolutionGradient {
  /// The gradient by the output of an image; that of a pooled output is put together in `scratch`.
  fileprivate func image(_ image: Int, _ s: Convolution, scratch: UnsafeMutablePointer<T>)
    -> UnsafePointer<T>
  {
    switch self {
    case .whole(let dy): return dy + image * s.outputSize
    case .pooled(let dy, let winners):
      scratch.update(repeating: 0, count: s.outputSize)
      for window in 0..<s.pooledHeight * s.pooledWidth {
        for o in 0..<s.outputs {
          let i = image * s.pooledSize + window * s.outputs + o
          s.forEachPlace(ofWindow: window) { place, number in
            if number == winners[i] { scratch[place * s.outputs + o] += dy[i] }
          }
        }
      }
      return UnsafePointer(scratch)
    }
  }
}
