import Kernels

/// The order in which slabs are added up, as far as some ranks have them: as a binary tree over the spans of chunks that
/// they are the sums of, whoever has which span; or one after the other, if they are not sums of chunks.
struct SpanTree {
  /// Where a sum lies: in a slab of a group.
  struct Slab {
    /// The chunks that it is the sum of; none if it is not made by chunks.
    let chunks: Range<Int>
    /// The rank that has it, or the group.
    let holder: Int
    /// The number of the slab among the holder's.
    let number: Int
  }

  /// A step of the sum: a slab is put on a stack, or the two sums on top of it become one.
  enum Step { case take(Int), add }

  /// The slabs that are added, in the order of chunks.
  let slabs: [Slab]
  /// How they become as few as possible.
  let steps: [Step]
  /// The sums that are left: one if the slabs are of all chunks.
  let sums: [Slab]
  /// Sums that lie on the stack at the same time, at most.
  let depth: Int

  init(_ unordered: [Slab]) {
    slabs = unordered.sorted { $0.chunks.lowerBound < $1.chunks.lowerBound }
    var (steps, stack, depth) = ([Step](), [Slab](), 0)
    for (index, slab) in slabs.enumerated() {
      stack.append(slab)
      steps.append(.take(index))
      depth = max(depth, stack.count)
      while stack.count > 1, let both = Self.node(stack[stack.count - 2], stack[stack.count - 1]) {
        stack.removeLast(2)
        stack.append(both)
        steps.append(.add)
      }
    }
    (self.steps, sums, self.depth) = (steps, stack, depth)
  }

  /// One slab of each rank, added in the order of ranks.
  init(ranks: Int) {
    slabs = (0..<ranks).map { Slab(chunks: 0..<0, holder: $0, number: 0) }
    steps = [.take(0)] + (1..<ranks).flatMap { [.take($0), .add] }
    (sums, depth) = ([slabs[0]], min(ranks, 2))
  }

  /// The node over two sums, which lies where the left one did; nil if they are not both halves of a node.
  private static func node(_ left: Slab, _ right: Slab) -> Slab? {
    let (a, b) = (left.chunks, right.chunks)
    guard a.count == b.count, a.upperBound == b.lowerBound, a.lowerBound % (2 * a.count) == 0 else {
      return nil
    }
    return Slab(chunks: a.lowerBound..<b.upperBound, holder: left.holder, number: left.number)
  }
}

/// Adds up slabs block by block.
final class SpanSum {
  let tree: SpanTree
  private let base: (SpanTree.Slab) -> UnsafeMutablePointer<Float>
  private let blocks: [Buffer<Float>]
  private var stack: [UnsafeMutablePointer<Float>]

  /// - Parameter base: the first element of a slab.
  init(_ tree: SpanTree, _ base: @escaping (SpanTree.Slab) -> UnsafeMutablePointer<Float>) {
    self.tree = tree
    self.base = base
    blocks = (0..<tree.depth).map { _ in Buffer(count: GradientExchange.blockLength) }
    stack = []
    stack.reserveCapacity(tree.depth)
  }

  /// A block of the sum of all slabs, until the next call; in the slab itself if there is only one.
  func block(_ start: Int, _ length: Int) -> UnsafePointer<Float> {
    add(start, length) { left, place in
      let sum = blocks[place].base
      if left != sum { sum.update(from: left, count: length) }
      return sum
    }
    return UnsafePointer(stack[0])
  }

  /// Adds up a range as far as the slabs go: each sum that is left is written where its first slab is.
  func addInPlace(_ range: Range<Int>) {
    for start in stride(from: range.lowerBound, to: range.upperBound, by: GradientExchange.blockLength) {
      add(start, min(GradientExchange.blockLength, range.upperBound - start)) { left, _ in left }
    }
  }

  /// Takes the steps for a block; what is left lies on the stack.
  ///
  /// - Parameter place: where the sum of a left and a right side goes, from where the left one is and its place on the
  ///   stack; it holds the left one.
  @inline(__always)
  private func add(
    _ start: Int, _ length: Int,
    to place: (UnsafeMutablePointer<Float>, Int) -> UnsafeMutablePointer<Float>
  ) {
    stack.removeAll(keepingCapacity: true)
    for step in tree.steps {
      switch step {
      case .take(let index): stack.append(base(tree.slabs[index]) + start)
      case .add:
        let right = stack.removeLast()
        let sum = place(stack.removeLast(), stack.count)
        Float.add(right, to: sum, count: length)
        stack.append(sum)
      }
    }
  }
}
