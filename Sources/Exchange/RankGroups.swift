import MPI

/// How the ranks of a run share the work on its parameters.
///
/// Ranks of a node form groups, each of which holds the parameters once. Groups are equally large, so that every
/// rank has one peer in each other group: the rank with the same number there, which owns the same piece of the
/// parameters.
public struct RankGroups {
  /// All ranks of the run.
  public let all: Communicator
  /// The ranks that share memory with this one, itself included.
  public let group: Communicator
  /// This rank and its peers in the other groups.
  public let peers: Communicator

  /// Whether there are several groups, which exchange messages.
  var areSeveral: Bool { peers.size > 1 }
  /// Whether this rank is in the first group, which answers for values that all groups have alike.
  public var isInFirstGroup: Bool { peers.rank == 0 }
  /// Whether this rank is the one that fills its group's memory at the start.
  public var leadsGroup: Bool { group.rank == 0 }

  /// Divides all ranks. Collective.
  ///
  /// - Parameter ranksPerNode: how many ranks share memory; nil for all of a node.
  public init(_ all: Communicator, ranksPerNode: Int? = nil) throws(MPIError) {
    self.all = all
    let node = try all.splitByNode()
    let size = try Self.groupSize(all, node, ranksPerNode: ranksPerNode)
    group = try node.split(colour: node.rank / size)
    peers = try all.split(colour: group.rank)
  }

  /// The largest size that divides every node's number of ranks, and `ranksPerNode` if that is given.
  private static func groupSize(
    _ all: Communicator, _ node: Communicator, ranksPerNode: Int?
  ) throws(MPIError) -> Int {
    var sizes = [Int64](repeating: 0, count: all.size)
    sizes[all.rank] = Int64(node.size)
    try all.allReduce(&sizes, count: sizes.count)
    let common = sizes.reduce(0) { greatestCommonDivisor($0, Int($1)) }
    return ranksPerNode.map { greatestCommonDivisor(common, $0) } ?? common
  }

  private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : greatestCommonDivisor(b, a % b)
  }
}
