import Basics

/// Zeroed memory of a group of ranks: a shared window, or ordinary memory when the group is one rank.
///
/// A window must be freed, as `SharedWindow` says; ordinary memory goes with its last reference.
public final class SharedMemory {
  /// The first byte, aligned to 64 bytes; the same memory on all ranks of the group.
  public let base: UnsafeMutableRawPointer
  private let window: SharedWindow?

  /// Reserves `byteCount` bytes. Collective over a group whose ranks share a node.
  ///
  /// - Parameter own: the bytes that this rank is to fill with zeros; by default the first rank fills all.
  public init(_ group: Communicator, byteCount: Int, filling own: [Range<Int>]? = nil) throws(MPIError) {
    window = group.size > 1 ? try SharedWindow(group, byteCount: byteCount, filling: own) : nil
    base = window?.base ?? allocateZeroed(byteCount: max(byteCount, 1))
  }

  deinit { if window == nil { base.deallocate() } }

  /// Waits for all ranks of the group and makes their writes visible. Collective.
  public func synchronise() throws(MPIError) { try window?.synchronise() }

  /// Gives a window back; nobody may use the memory afterwards. Collective.
  public func free() throws(MPIError) { try window?.free() }
}
