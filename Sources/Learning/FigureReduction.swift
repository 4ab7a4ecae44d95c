import Agents
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
