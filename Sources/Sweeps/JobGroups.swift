import MPI

/// How the ranks of a job divide into groups that train a run each.
struct JobGroups {
  /// This rank's group; nil for a rank that is left over, because the job's ranks are no multiple of a group's.
  let own: Communicator?
  /// How many groups there are.
  let count: Int
  /// Groups whose first rank is on this node.
  let leadersOnNode: Int

  /// Divides all ranks of a job, those of a node one after the other. Collective over the job.
  init(_ world: Communicator, size: Int) throws(MPIError) {
    let node = try world.splitByNode()
    var first = Int64(world.rank)
    try node.broadcast(&first, count: MemoryLayout.size(ofValue: first))
    var nodes = [Int64](repeating: 0, count: world.size)
    nodes[world.rank] = first
    try world.allReduce(&nodes, count: nodes.count)
    let order = nodes.indices.sorted { (nodes[$0], $0) < (nodes[$1], $1) }
    let number = order.firstIndex(of: world.rank)! / size
    count = world.size / size
    let group = try world.split(colour: number)
    own = number < count ? group : nil
    leadersOnNode = Int(try node.allReduce(Int64(own?.rank == 0 ? 1 : 0)))
  }
}

extension Communicator {
  /// Rank 0's numbers, on all ranks. Collective.
  func broadcast(indices: [Int]) throws(MPIError) -> [Int] {
    let bytes = try broadcast(
      indices.flatMap { index in (0..<8).map { UInt8(truncatingIfNeeded: index >> (8 * $0)) } })
    return stride(from: 0, to: bytes.count, by: 8).map { start in
      (0..<8).reduce(0) { $0 | Int(bytes[start + $1]) << (8 * $1) }
    }
  }
}
