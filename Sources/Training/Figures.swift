import Agents
import MPI

/// One value for each figure from the parts of all ranks. Collective over all ranks.
public func reduce(
  _ parts: [Double], of figures: [Figure], over world: Communicator
) throws(MPIError) -> [Double] {
  // One sum and one maximum; the smallest is minus the largest of the negated.
  var sums = zip(parts, figures).map { $1.reduction == .sum ? $0 : 0 }
  var extremes = zip(parts, figures).map { $1.reduction == .minimum ? -$0 : $0 }
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
