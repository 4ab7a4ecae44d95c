import MPI

/// How the ranks of a run share the work on its parameters.
///
/// Ranks of a node form a group, which holds the parameters once. As many ranks of each group as the smallest has own a
/// piece of the parameters, the same piece as the rank with the same number in each other group: their peers. The ranks
/// beyond those of a larger group own nothing; their gradients count like all others.
public struct RankGroups {
  /// All ranks of the run.
  public let all: Communicator
  /// The ranks that share memory with this one, itself included.
  public let group: Communicator
  /// This rank and its peers in the other groups; the ranks that own nothing have none.
  public let peers: Communicator
  /// How many ranks of each group own a piece: the first ones.
  public let owners: Int
  /// Whether there are several groups, which exchange messages.
  let areSeveral: Bool
  /// Whether some group has ranks that own nothing.
  let areUneven: Bool
  /// Whether this rank is in the first group, which answers for values that all groups have alike.
  public let isInFirstGroup: Bool

  /// The ranks of each group, numbered among all ranks; groups in the order of their first ranks.
  let members: [[Int]]

  /// Whether this rank owns a piece of the parameters.
  var owns: Bool { group.rank < owners }
  /// Whether this rank is the one that fills its group's memory at the start.
  public var leadsGroup: Bool { group.rank == 0 }

  /// Divides all ranks. Collective.
  ///
  /// - Parameter ranksPerNode: how many ranks share memory at most; nil for all of a node.
  public init(_ all: Communicator, ranksPerNode: Int? = nil) throws(MPIError) {
    self.all = all
    let node = try all.splitByNode()
    group =
      try ranksPerNode.map { (size) throws(MPIError) in try node.split(colour: node.rank / size) } ?? node
    owners = Int(try all.allReduce(Int64(group.size), .min))
    areUneven = try all.allReduce(Int64(group.size), .max) > Int64(owners)
    areSeveral = try all.allReduce(Int64(group.rank == 0 ? 1 : 0)) > 1
    isInFirstGroup = try group.allReduce(Int64(all.rank == 0 ? 1 : 0), .max) == 1
    peers = try all.split(colour: min(group.rank, owners))
    var first = Int64(all.rank)
    try group.broadcast(&first, count: MemoryLayout.size(ofValue: first))
    var firsts = [Int64](repeating: 0, count: all.size)
    firsts[all.rank] = first
    try all.allReduce(&firsts, count: firsts.count)
    members = Set(firsts).sorted().map { first in firsts.indices.filter { firsts[$0] == first } }
  }

  /// The number of this rank's group.
  var number: Int { members.firstIndex { $0.contains(all.rank) } ?? 0 }
  /// The numbers of the groups of the peers, in the order of the peers' ranks.
  var groupsOfPeers: [Int] {
    members.indices.sorted { members[$0][group.rank] < members[$1][group.rank] }
  }
}
