import CMPI
import Glibc

/// The cores of a node that its ranks do not compute on: for work beside theirs.
///
/// Launchers bind ranks to cores, and threads and processes that a rank starts are bound to the same ones. There
/// they would take time from it while other cores are idle.
public struct SpareCores: Sendable, Equatable {
  /// The cores to run on; when none is known to be free, all that the launcher may use.
  public let cores: Set<Int>
  /// How many cores are free.
  public let count: Int

  /// Looks at what the ranks of this node are bound to. Collective.
  ///
  /// - Parameter threads: cores that a rank keeps busy when it is not bound to particular ones.
  public init(_ world: Communicator, threads: Int) throws(MPIError) {
    let node = try world.splitByNode()
    let own = Self.allowed(to: 0)
    // A launched rank's parent has the launcher's cores. A program started by hand keeps to what it was given.
    let usable = MPI.isLaunched ? own.union(Self.allowed(to: getppid())) : own
    var isBound = (0..<Self.limit).map { own.contains($0) ? Int64(1) : 0 }
    try node.allReduce(&isBound, count: Self.limit, .max)
    let free = usable.filter { isBound[$0] == 0 }
    cores = free.isEmpty ? usable : free
    count = free.isEmpty ? max(0, usable.count - node.size * threads) : free.count
  }

  /// An equal share of these cores for each of so many runs on this node; the runs may use the same ones in turn.
  public func shared(among runs: Int) -> SpareCores { SpareCores(cores: cores, count: count / max(1, runs)) }

  private init(cores: Set<Int>, count: Int) { (self.cores, self.count) = (cores, count) }

  /// Moves the calling thread, and what it starts from now on, to these cores, with less priority than the ranks unless
  /// they wait for it.
  public func moveHere(withLessPriority: Bool = true) {
    if withLessPriority { yield() }
    var mask = [UInt8](repeating: 0, count: Self.limit / 8)
    for core in cores { mask[core / 8] |= 1 << UInt8(core % 8) }
    // Where the system does not allow that, the thread stays on its cores.
    _ = cmpi_set_cores(0, mask, mask.count)
  }

  /// Lets others run before this thread and what it starts.
  private func yield() {
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
  }

  /// Cores are numbered below this.
  private static let limit = 1024

  /// The cores that this process may run on.
  public static var ofThisProcess: Set<Int> { allowed(to: 0) }

  private static func allowed(to process: pid_t) -> Set<Int> {
    var mask = [UInt8](repeating: 0, count: limit / 8)
    guard cmpi_get_cores(process, &mask, mask.count) > 0 else { return [] }
    return Set((0..<limit).filter { mask[$0 / 8] >> UInt8($0 % 8) & 1 == 1 })
  }
}
