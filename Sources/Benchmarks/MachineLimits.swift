import Basics
import Foundation
import Kernels
import Randomness

/// What the machine can do, measured on this rank.
final class MachineLimits {
  private let rows: Int
  private let width: Int
  private let workspace = Workspace<Float>()
  private let x: Matrix<Float>
  private let y: Matrix<Float>
  private let weight: Matrix<Float>
  private let stream: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>)
  private static let streamCount = 8 << 20

  /// For products of `rows` × `width` by `width` × `width`.
  init(rows: Int, width: Int) {
    self.rows = rows
    self.width = width
    x = workspace.matrix(rows: rows, columns: width)
    y = workspace.matrix(rows: rows, columns: width)
    weight = workspace.matrix(rows: width, columns: width)
    stream = (workspace.vector(Self.streamCount), workspace.vector(Self.streamCount))
    var random = RandomSequence(seed: 1, stream: .behaviour)
    for matrix in [x, y, weight] {
      for r in 0..<matrix.rows { for c in 0..<width { matrix[r, c] = random.uniform() - 0.5 } }
    }
  }

  /// Operations a second of the three products of a layer: forward, by weights, by inputs.
  func productRates(_ kernels: ProductKernels) -> [Double] {
    let operations = 2 * Double(rows) * Double(width) * Double(width)
    let repeats = max(3, Int(1e9 / operations))
    let forms: [() -> Void] = [
      { [self] in
        kernels.multiply(x, transposed: false, weight, transposed: false, into: y, accumulate: false)
      },
      { [self] in kernels.multiply(x, transposed: true, y, transposed: false, into: weight, accumulate: false)
      },
      { [self] in kernels.multiply(y, transposed: false, weight, transposed: true, into: x, accumulate: false)
      },
    ]
    return forms.map { form in
      form()
      return Double(repeats) * operations / seconds { for _ in 0..<repeats { form() } }
    }
  }

  /// The sum of some numbers, at the rate at which they can be read. Those beyond the last 64 are left out.
  static func sum(_ x: UnsafePointer<Float>, count: Int) -> Float {
    var (a, b, c, d) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
    for i in stride(from: 0, through: count - 64, by: 64) {
      a += load(x, i, 16)
      b += load(x, i + 16, 16)
      c += load(x, i + 32, 16)
      d += load(x, i + 48, 16)
    }
    return ((a + b) + (c + d)).sum()
  }

  /// Bytes a second of copying: each byte is read and written.
  func bandwidth() -> Double {
    let bytes = 2 * Double(Self.streamCount * MemoryLayout<Float>.stride)
    return bytes / seconds { stream.0.update(from: stream.1, count: Self.streamCount) }
  }
}
