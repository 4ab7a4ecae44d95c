import Agents
import Kernels
import MPI

/// One value for each figure from what all ranks have of it. Collective over all ranks.
func reduce(
  _ values: [Double], of figures: [Figure], over world: Communicator
) throws(MPIError) -> [Double] {
  // One sum and one maximum suffice: the smallest value is minus the largest negated value.
  var sums = zip(values, figures).map { $1.reduction == .sum ? $0 : 0 }
  var extremes = zip(values, figures).map { $1.reduction == .minimum ? -$0 : $0 }
  try world.allReduce(&sums, count: sums.count)
  try world.allReduce(&extremes, count: extremes.count, .max)
  return figures.indices.map { i in
    switch figures[i].reduction {
    case .sum: sums[i]
    case .maximum: extremes[i]
    case .minimum: -extremes[i]
    }
  }
}

/// The same from what each chunk has of the figures, added as a binary tree over the chunks. Collective over all ranks.
///
/// - Parameter values: those of this rank's chunks.
func reduce(
  _ values: [[Double]], of chunks: RowChunks, figures: [Figure], over world: Communicator
) throws(MPIError) -> [Double] {
  // Each number comes from one rank, and the others add 0 to it, which changes no bit.
  var all = [Double](repeating: 0, count: chunks.batch.count * figures.count)
  for (chunk, values) in values.enumerated() {
    for (i, value) in values.enumerated() { all[(chunks.first + chunk) * figures.count + i] += value }
  }
  try world.allReduce(&all, count: all.count)
  return figures.enumerated().map { i, figure in
    var nodes = (0..<chunks.batch.count).map { all[$0 * figures.count + i] }
    while nodes.count > 1 {
      nodes = stride(from: 0, to: nodes.count, by: 2).map { node in
        switch figure.reduction {
        case .sum: nodes[node] + nodes[node + 1]
        case .maximum: max(nodes[node], nodes[node + 1])
        case .minimum: min(nodes[node], nodes[node + 1])
        }
      }
    }
    return nodes[0]
  }
}
