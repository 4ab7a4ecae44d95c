import CMPI
import Glibc
import Synchronization

/// A group of ranks that communicate with each other (MPI 3.1, chapter 6). Every method with "collective" in
/// its description is called by all ranks of the communicator, in the same order.
///
/// The communicators that `split` and `splitByNode` return are freed with their last reference. The standard calls
/// freeing collective, but it waits for no other rank, so it is harmless where an error unwinds one rank alone.
public final class Communicator: @unchecked Sendable {
  // A communicator is an opaque handle that MPI guards itself; calls come from the main thread, or from one that takes
  // its place (`SignsOfLife`).
  let handle: cmpi_comm
  /// This process's number, 0 … size − 1.
  public let rank: Int
  /// Number of ranks.
  public let size: Int
  /// Is called now and then while ranks work together, on any thread, when all have shown that they run.
  public var whenAllRun: (@Sendable () -> Void)?
  /// Is asked at the same moments whether this rank was asked to stop.
  public var wasAskedToStop: (@Sendable () -> Bool)?
  /// Whether some rank was asked to stop before or while ranks worked together, as far as this one has heard.
  public var someRankWasAskedToStop: Bool {
    get { stops.load(ordering: .relaxed) }
    set { stops.store(newValue, ordering: .relaxed) }
  }
  private let stops = Atomic(false)

  /// Whether this object frees the handle: not that of the world, which is MPI's.
  private let ownsHandle: Bool
  /// How many communicators there are that own their handle.
  static let alive = Atomic(0)

  /// All ranks of the job.
  public static func world() throws(MPIError) -> Communicator {
    try Communicator(cmpi_comm_world(), ownsHandle: false)
  }

  private init(_ handle: cmpi_comm, ownsHandle: Bool) throws(MPIError) {
    self.handle = handle
    self.ownsHandle = ownsHandle
    var rank: Int32 = 0
    var size: Int32 = 0
    try check("MPI_Comm_rank", cmpi_comm_rank(handle, &rank))
    try check("MPI_Comm_size", cmpi_comm_size(handle, &size))
    self.rank = Int(rank)
    self.size = Int(size)
    if ownsHandle { Self.alive.add(1, ordering: .relaxed) }
  }

  deinit {
    guard ownsHandle else { return }
    Self.alive.subtract(1, ordering: .relaxed)
    guard !MPI.isFinalised else { return }
    var handle = handle
    _ = cmpi_comm_free(&handle)
  }

  /// Splits into communicators of the ranks that give the same `colour`, ordered by rank. Collective.
  public func split(colour: Int) throws(MPIError) -> Communicator {
    var handle = cmpi_comm_null()
    try check("MPI_Comm_split", cmpi_comm_split(self.handle, Int32(colour), Int32(rank), &handle))
    return try Communicator(handle, ownsHandle: true)
  }

  /// Splits into communicators of the ranks that can share memory: those of a node. Collective.
  public func splitByNode() throws(MPIError) -> Communicator {
    var handle = cmpi_comm_null()
    try check("MPI_Comm_split_type", cmpi_comm_split_shared(self.handle, Int32(rank), &handle))
    return try Communicator(handle, ownsHandle: true)
  }

  /// Number of nodes that the ranks are on. Collective.
  public func nodeCount() throws(MPIError) -> Int {
    let node = try splitByNode()
    return Int(try allReduce(Int64(node.rank == 0 ? 1 : 0)))
  }

  /// Waits until all ranks have come here. Collective.
  public func barrier() throws(MPIError) {
    try check("MPI_Barrier", cmpi_barrier(handle))
  }

  /// Replaces each of `count` elements by its reduction over all ranks. Collective.
  public func allReduce<T: MPIElement>(
    _ elements: UnsafeMutablePointer<T>, count: Int, _ operation: Reduction = .sum
  ) throws(MPIError) {
    // MPI counts are 32-bit.
    let largest = 1 << 30
    for start in stride(from: 0, to: count, by: largest) {
      try check(
        "MPI_Allreduce",
        cmpi_allreduce_in_place(
          elements + start, Int32(min(largest, count - start)), T.datatype, operation.handle, handle))
    }
  }

  /// Sends each rank a part of `elements`, and receives one from each. Counts and starts, in elements, have an entry for
  /// each rank. Collective.
  public func exchange<T: MPIElement>(
    _ elements: UnsafePointer<T>, counts: [Int32], starts: [Int32], into received: UnsafeMutablePointer<T>,
    counts receivedCounts: [Int32], starts receivedStarts: [Int32]
  ) throws(MPIError) {
    try check(
      "MPI_Alltoallv",
      cmpi_alltoallv(
        elements, counts, starts, received, receivedCounts, receivedStarts, T.datatype, handle))
  }

  /// Gives all ranks the parts of `elements` that each of them has. Counts and starts, in elements, have an entry for
  /// each rank. Collective.
  public func gather<T: MPIElement>(
    _ elements: UnsafeMutablePointer<T>, counts: [Int32], starts: [Int32]
  ) throws(MPIError) {
    try check("MPI_Allgatherv", cmpi_allgatherv_in_place(elements, counts, starts, T.datatype, handle))
  }

  /// The reduction of one value over all ranks. Collective.
  public func allReduce<T: MPIElement>(_ value: T, _ operation: Reduction = .sum) throws(MPIError) -> T {
    var result = value
    try allReduce(&result, count: 1, operation)
    return result
  }

  /// Replaces `count` bytes by those of rank `root`. Collective.
  public func broadcast(
    _ bytes: UnsafeMutableRawPointer, count: Int, from root: Int = 0
  ) throws(MPIError) {
    let largest = 1 << 30
    for start in stride(from: 0, to: count, by: largest) {
      try check(
        "MPI_Bcast",
        cmpi_bcast(bytes + start, Int32(min(largest, count - start)), cmpi_byte(), Int32(root), handle))
    }
  }

  /// Rank `root`'s bytes, on all ranks. Collective.
  public func broadcast(_ bytes: [UInt8], from root: Int = 0) throws(MPIError) -> [UInt8] {
    var count = Int64(bytes.count)
    try broadcast(&count, count: 8, from: root)
    var result = rank == root ? bytes : [UInt8](repeating: 0, count: Int(count))
    try broadcast(&result, count: Int(count), from: root)
    return result
  }
}

/// An element type of reductions.
public protocol MPIElement: BitwiseCopyable {
  /// MPI's name for it.
  static var datatype: cmpi_datatype { get }
}

extension Float: MPIElement {
  /// `MPI_FLOAT`
  public static var datatype: cmpi_datatype { cmpi_float() }
}
extension Double: MPIElement {
  /// `MPI_DOUBLE`
  public static var datatype: cmpi_datatype { cmpi_double() }
}
extension Int64: MPIElement {
  /// `MPI_INT64_T`
  public static var datatype: cmpi_datatype { cmpi_int64() }
}
extension UInt64: MPIElement {
  /// `MPI_UINT64_T`
  public static var datatype: cmpi_datatype { cmpi_uint64() }
}

/// How values of several ranks become one (MPI 3.1, section 5.9.2).
public enum Reduction: Sendable {
  /// `MPI_SUM`
  case sum
  /// `MPI_MIN`
  case min
  /// `MPI_MAX`
  case max

  var handle: cmpi_op {
    switch self {
    case .sum: cmpi_sum()
    case .min: cmpi_min()
    case .max: cmpi_max()
    }
  }
}
