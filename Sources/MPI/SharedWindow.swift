import CMPI
import Glibc
import Synchronization

/// One block of memory that all ranks of a node see (MPI 3.1, section 11.2.3).
///
/// A write is visible to the other ranks after both have called `synchronise`.
///
/// Whoever makes a window calls `free` in the end. No `deinit` does that: freeing waits for all ranks of the window,
/// and would wait for ever where an error unwinds one rank alone. `Releases` says when it is right to free.
public final class SharedWindow {
  /// The first byte, aligned to 64 bytes; the same memory on all ranks, at an address of each one's own.
  public let base: UnsafeMutableRawPointer
  /// Length in bytes.
  public let byteCount: Int

  private var window: cmpi_win
  private let communicator: Communicator
  /// How many windows there are that have not been freed.
  static let alive = Atomic(0)

  /// Reserves `byteCount` zeroed bytes, the same number on all ranks. Collective over a communicator whose
  /// ranks share a node.
  ///
  /// - Parameter ranges: the bytes that this rank is the first to write to, and which therefore lie in the memory of its
  ///   socket; by default the first rank writes to all. The ranks' bytes together are all bytes.
  public init(
    _ communicator: Communicator, byteCount: Int, filling ranges: [Range<Int>]? = nil
  ) throws(MPIError) {
    self.communicator = communicator
    self.byteCount = byteCount
    var window = cmpi_win_null()
    var own: UnsafeMutableRawPointer?
    // Rank 0 holds the whole block; 64 more bytes let it start at a multiple of 64.
    let size = communicator.rank == 0 ? byteCount + 64 : 0
    do throws(MPIError) {
      try check(
        "MPI_Win_allocate_shared",
        cmpi_win_allocate_shared(size, communicator.handle, &own, &window))
    } catch {
      var error = error
      error.advice = Self.advice(byteCount)
      throw error
    }
    self.window = window
    Self.alive.add(1, ordering: .relaxed)
    var first: UnsafeMutableRawPointer?
    try check("MPI_Win_shared_query", cmpi_win_shared_query(window, 0, &first))
    // The offset to the boundary is rank 0's: mappings start at page boundaries, malloc (one rank) does not.
    var offset = Int64(64 - Int(bitPattern: first!) % 64)
    try communicator.broadcast(&offset, count: 8)
    base = first! + Int(offset)
    try check("MPI_Win_lock_all", cmpi_win_lock_all(window))
    try fill(ranges ?? (communicator.rank == 0 ? [0..<byteCount] : []))
    try synchronise()
  }

  /// Fills some of the block with zeros, so that the system gives it memory now.
  ///
  /// The library asks only whether there is room. When several jobs ask at once there may be too little for all, and then
  /// the first write to a page that gets none ends the process (SIGBUS). Where the system itself writes, that is an error.
  private func fill(_ ranges: [Range<Int>]) throws(MPIError) {
    let zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC)
    guard zeros >= 0 else {
      for range in ranges {
        (base + range.lowerBound).initializeMemory(as: UInt8.self, repeating: 0, count: range.count)
      }
      return
    }
    defer { close(zeros) }
    for range in ranges {
      var done = range.lowerBound
      while done < range.upperBound {
        let count = read(zeros, base + done, min(range.upperBound - done, 1 << 30))
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else {
          var error = MPIError(function: "MPI_Win_allocate_shared", code: Int32(MPI_ERR_NO_MEM))
          error.advice = Self.advice(byteCount)
          throw error
        }
        done += count
      }
    }
  }

  private static func advice(_ byteCount: Int) -> String {
    "\((byteCount + 1 << 20 - 1) >> 20) MB of shared memory are needed: enlarge /dev/shm (in a container --shm-size)"
      + (Launcher.own == .openMPI
        ? ", or name another local directory in OMPI_MCA_osc_sm_backing_directory" : "")
  }

  /// Waits for all ranks of the node and makes their writes visible. Collective.
  public func synchronise() throws(MPIError) {
    try check("MPI_Win_sync", cmpi_win_sync(window))
    try communicator.barrier()
    try check("MPI_Win_sync", cmpi_win_sync(window))
  }

  /// Gives the memory back; `base` is invalid afterwards. Collective.
  public func free() throws(MPIError) {
    try check("MPI_Win_unlock_all", cmpi_win_unlock_all(window))
    try check("MPI_Win_free", cmpi_win_free(&window))
    Self.alive.subtract(1, ordering: .relaxed)
  }
}
