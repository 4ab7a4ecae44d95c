import Foundation

/// A tensor, row-major, in double precision.
public struct Tensor: Equatable, Sendable {
  /// The sizes, outermost first; empty for a single number.
  public let shape: [Int]
  /// The elements.
  public let values: [Double]

  /// A tensor of a shape. There must be as many values as the shape has elements.
  public init(_ shape: [Int], _ values: [Double]) {
    precondition(shape.reduce(1, *) == values.count, "\(values.count) values for the shape \(shape)")
    self.shape = shape
    self.values = values
  }

  /// A list of whole numbers.
  public init(_ integers: [Int]) { self.init([integers.count], integers.map(Double.init)) }

  fileprivate var integers: [Int] { values.map { Int($0) } }

  /// An axis, of which negative ones count from the end.
  fileprivate func axis(_ axis: Int) -> Int { axis < 0 ? axis + shape.count : axis }

  /// The tensor repeated along axes of size 1, and along new first axes, as ONNX broadcasts.
  fileprivate func expanded(to other: [Int]) throws -> Tensor {
    let shape = try common(self.shape, other)
    let own = [Int](repeating: 1, count: shape.count - self.shape.count) + self.shape
    let values = (0..<shape.reduce(1, *)).map { index in
      var (rest, position, stride) = (index, 0, 1)
      for axis in shape.indices.reversed() {
        if own[axis] > 1 { position += rest % shape[axis] * stride }
        rest /= shape[axis]
        stride *= own[axis]
      }
      return self.values[position]
    }
    return Tensor(shape, values)
  }

  /// The tensor with the elements along an axis reduced to one.
  fileprivate func reduced(_ axis: Int, keepsAxis: Bool, _ reduce: ([Double]) -> Double) -> Tensor {
    let axis = self.axis(axis)
    let (size, stride) = (shape[axis], shape[(axis + 1)...].reduce(1, *))
    let blocks = shape[..<axis].reduce(1, *)
    var reduced: [Double] = []
    for block in 0..<blocks {
      for i in 0..<stride {
        let elements = (0..<size).map { values[(block * size + $0) * stride + i] }
        reduced.append(reduce(elements))
      }
    }
    return Tensor(Array(shape[..<axis]) + (keepsAxis ? [1] : []) + shape[(axis + 1)...], reduced)
  }
}

/// An operator of a graph, with the names of the tensors that it reads and writes.
public struct GraphOperator: Sendable {
  /// Its type, as ONNX names it.
  public let type: String
  /// The tensors that it reads.
  public let inputs: [String]
  /// The tensor that it computes.
  public let output: String
  /// Its settings; single numbers are lists of one.
  public let attributes: [String: [Int]]

  /// An operator.
  public init(_ type: String, _ inputs: [String], _ output: String, _ attributes: [String: [Int]] = [:]) {
    (self.type, self.inputs, self.output, self.attributes) = (type, inputs, output, attributes)
  }
}

/// Why a graph cannot be computed.
public struct GraphError: Error, CustomStringConvertible {
  /// What is wrong.
  public let description: String
}

/// Computes a graph from the tensors that are given, constants included, and returns all tensors. It knows those
/// operators of ONNX's operator set 13 that policies are made of, written after their specification:
/// https://onnx.ai/onnx/operators
public func compute(_ operators: [GraphOperator], _ given: [String: Tensor]) throws -> [String: Tensor] {
  var values = given
  for op in operators {
    let inputs = try op.inputs.map { name in
      guard let value = values[name] else { throw GraphError(description: "\(name) is read but not there") }
      return value
    }
    guard values[op.output] == nil else { throw GraphError(description: "\(op.output) is written twice") }
    values[op.output] = try result(op, inputs)
  }
  return values
}

private func result(_ op: GraphOperator, _ x: [Tensor]) throws -> Tensor {
  func attribute(_ name: String) throws -> [Int] {
    guard let value = op.attributes[name] else {
      throw GraphError(description: "\(op.type) without \(name)")
    }
    return value
  }
  func each(_ change: (Double) -> Double) -> Tensor { Tensor(x[0].shape, x[0].values.map(change)) }
  switch op.type {
  case "Identity": return x[0]
  case "Cast":
    guard try attribute("to") == [1] else { throw GraphError(description: "Cast to other than float") }
    return x[0]
  case "Relu": return each { max($0, 0) }
  case "Transpose": return transposed(x[0], try attribute("perm"))
  case "Conv":
    let slides = (try attribute("kernel_shape"), try attribute("pads"), try attribute("strides"))
    guard slides == ([3, 3], [1, 1, 1, 1], [1, 1]) else {
      throw GraphError(description: "Conv other than 3 x 3 with zeros around the image")
    }
    return convolved(x[0], x[1], x[2])
  case "MaxPool":
    guard try attribute("kernel_shape") == [3, 3], try attribute("strides") == [2, 2] else {
      throw GraphError(description: "MaxPool other than 3 x 3 with stride 2")
    }
    return pooled(x[0], pads: try attribute("pads"))
  case "Tanh": return each(tanh)
  case "Cos": return each(cos)
  case "Sqrt": return each(sqrt)
  case "Clip": return each { min(max($0, x[1].values[0]), x[2].values[0]) }
  case "Add": return try pairwise(x, +)
  case "Sub": return try pairwise(x, -)
  case "Mul": return try pairwise(x, *)
  case "Div": return try pairwise(x, /)
  case "Min": return try pairwise(x, min)
  case "MatMul": return try product(x[0], x[1])
  case "Shape": return Tensor(x[0].shape)
  case "Slice":
    let (count, ends) = (x[0].shape[0], (x[1].integers[0], x[2].integers[0]))
    guard x[0].shape.count == 1 else { throw GraphError(description: "Slice of several axes") }
    let range = x[0].axis(0) + ends.0..<(ends.1 < 0 ? ends.1 + count : min(ends.1, count))
    return Tensor([range.count], Array(x[0].values[range]))
  case "Range":
    let (start, end, step) = (x[0].values[0], x[1].values[0], x[2].values[0])
    let values = Array(stride(from: start, to: end, by: step))
    return Tensor([values.count], values)
  case "Expand": return try x[0].expanded(to: x[1].integers)
  case "Reshape": return try reshaped(x[0], to: x[1].integers)
  case "Unsqueeze":
    var shape = x[0].shape
    let rank = shape.count + x[1].values.count
    for axis in x[1].integers.map({ $0 < 0 ? $0 + rank : $0 }).sorted() { shape.insert(1, at: axis) }
    return Tensor(shape, x[0].values)
  case "Squeeze":
    let axes = x[1].integers.map(x[0].axis)
    guard axes.allSatisfy({ x[0].shape[$0] == 1 }) else {
      throw GraphError(description: "Squeeze of axes larger than 1")
    }
    let shape = x[0].shape.enumerated().filter { !axes.contains($0.offset) }.map(\.element)
    return Tensor(shape, x[0].values)
  case "Concat": return try concatenated(x, axis: attribute("axis")[0])
  case "ReduceMean":
    return x[0].reduced(try attribute("axes")[0], keepsAxis: try attribute("keepdims") == [1]) {
      $0.reduce(0, +) / Double($0.count)
    }
  case "ReduceMin":
    return x[0].reduced(try attribute("axes")[0], keepsAxis: try attribute("keepdims") == [1]) { $0.min()! }
  case "ArgMax":
    return x[0].reduced(try attribute("axis")[0], keepsAxis: try attribute("keepdims") == [1]) { values in
      Double(values.firstIndex(of: values.max()!)!)
    }
  case "GatherND":
    guard try attribute("batch_dims") == [1], x[1].shape.last == 1, x[1].shape.count == 2 else {
      throw GraphError(description: "GatherND other than of one element for each of a batch")
    }
    let size = x[0].shape[2...].reduce(1, *)
    var values: [Double] = []
    for (row, index) in x[1].integers.enumerated() {
      let start = (row * x[0].shape[1] + index) * size
      values += x[0].values[start..<start + size]
    }
    return Tensor([x[0].shape[0]] + x[0].shape[2...], values)
  default: throw GraphError(description: "unknown operator \(op.type)")
  }
}

private func transposed(_ x: Tensor, _ axes: [Int]) -> Tensor {
  let shape = axes.map { x.shape[$0] }
  let strides = x.shape.indices.map { x.shape[($0 + 1)...].reduce(1, *) }
  let values = (0..<x.values.count).map { index in
    var (rest, position) = (index, 0)
    for (size, axis) in zip(shape, axes).reversed() {
      position += rest % size * strides[axis]
      rest /= size
    }
    return x.values[position]
  }
  return Tensor(shape, values)
}

/// Images × channels × rows × columns, with weights outputs × channels × 3 × 3.
private func convolved(_ x: Tensor, _ weight: Tensor, _ bias: Tensor) -> Tensor {
  let (inputs, height, width, outputs) = (x.shape[1], x.shape[2], x.shape[3], weight.shape[0])
  var values: [Double] = []
  for image in 0..<x.shape[0] {
    for o in 0..<outputs {
      for r in 0..<height {
        for c in 0..<width {
          var sum = bias.values[o]
          for k in 0..<inputs {
            for i in max(0, 1 - r)..<min(3, height + 1 - r) {
              for j in max(0, 1 - c)..<min(3, width + 1 - c) {
                let place = ((image * inputs + k) * height + r + i - 1) * width + c + j - 1
                sum += x.values[place] * weight.values[((o * inputs + k) * 3 + i) * 3 + j]
              }
            }
          }
          values.append(sum)
        }
      }
    }
  }
  return Tensor([x.shape[0], outputs, height, width], values)
}

/// The largest of each 3 x 3 window with stride 2. `pads` are places before rows and columns, and after them.
private func pooled(_ x: Tensor, pads: [Int]) -> Tensor {
  let (height, width) = (x.shape[2], x.shape[3])
  let rows = (height + pads[0] + pads[2] - 3) / 2 + 1
  let columns = (width + pads[1] + pads[3] - 3) / 2 + 1
  var values: [Double] = []
  for plane in 0..<x.shape[0] * x.shape[1] {
    for r in 0..<rows {
      for c in 0..<columns {
        var largest = -Double.infinity
        for i in 2 * r - pads[0]..<2 * r - pads[0] + 3 where (0..<height).contains(i) {
          for j in 2 * c - pads[1]..<2 * c - pads[1] + 3 where (0..<width).contains(j) {
            largest = max(largest, x.values[(plane * height + i) * width + j])
          }
        }
        values.append(largest)
      }
    }
  }
  return Tensor(Array(x.shape[..<2]) + [rows, columns], values)
}

/// The shape to which ONNX broadcasts two shapes.
private func common(_ a: [Int], _ b: [Int]) throws -> [Int] {
  let rank = max(a.count, b.count)
  let (a, b) = (
    [Int](repeating: 1, count: rank - a.count) + a, [Int](repeating: 1, count: rank - b.count) + b
  )
  return try zip(a, b).map { first, second in
    guard first == second || first == 1 || second == 1 else {
      throw GraphError(description: "shapes \(a) and \(b) do not go together")
    }
    return max(first, second)
  }
}

private func pairwise(_ x: [Tensor], _ combine: (Double, Double) -> Double) throws -> Tensor {
  let shape = try common(x[0].shape, x[1].shape)
  let (a, b) = (try x[0].expanded(to: shape), try x[1].expanded(to: shape))
  return Tensor(shape, zip(a.values, b.values).map(combine))
}

private func product(_ a: Tensor, _ b: Tensor) throws -> Tensor {
  guard a.shape.count >= 2, b.shape.count >= 2, a.shape.last == b.shape[b.shape.count - 2] else {
    throw GraphError(description: "no product of the shapes \(a.shape) and \(b.shape)")
  }
  let (rows, inner, columns) = (a.shape[a.shape.count - 2], a.shape.last!, b.shape.last!)
  let batch = try common(a.shape.dropLast(2), b.shape.dropLast(2))
  let first = try a.expanded(to: batch + [rows, inner])
  let second = try b.expanded(to: batch + [inner, columns])
  var values: [Double] = []
  for e in 0..<batch.reduce(1, *) {
    for r in 0..<rows {
      for c in 0..<columns {
        var sum = 0.0
        for i in 0..<inner {
          sum += first.values[(e * rows + r) * inner + i] * second.values[(e * inner + i) * columns + c]
        }
        values.append(sum)
      }
    }
  }
  return Tensor(batch + [rows, columns], values)
}

private func reshaped(_ x: Tensor, to shape: [Int]) throws -> Tensor {
  let known = shape.filter { $0 != -1 }.reduce(1, *)
  let full = shape.map { $0 == -1 ? x.values.count / max(known, 1) : $0 }
  guard full.reduce(1, *) == x.values.count else {
    throw GraphError(description: "\(x.values.count) elements do not fit the shape \(shape)")
  }
  return Tensor(full, x.values)
}

private func concatenated(_ x: [Tensor], axis: Int) throws -> Tensor {
  let axis = x[0].axis(axis)
  func others(_ tensor: Tensor) -> [Int] { Array(tensor.shape[..<axis]) + tensor.shape[(axis + 1)...] }
  guard x.allSatisfy({ $0.shape.count == x[0].shape.count && others($0) == others(x[0]) }) else {
    throw GraphError(description: "shapes \(x.map(\.shape)) cannot be concatenated along axis \(axis)")
  }
  var values: [Double] = []
  for block in 0..<x[0].shape[..<axis].reduce(1, *) {
    for tensor in x {
      let size = tensor.shape[axis...].reduce(1, *)
      values += tensor.values[block * size..<(block + 1) * size]
    }
  }
  var shape = x[0].shape
  shape[axis] = x.reduce(0) { $0 + $1.shape[axis] }
  return Tensor(shape, values)
}
