import Glibc

/// Size of a large page on x86-64 and most ARM systems.
private let largePage = 2 << 20

/// From which size on it is asked first whether there is as much memory. The system may promise more than there is, and
/// end the process when it is used.
private let askedFor = 64 << 20

/// Zeroed memory aligned to 64 bytes: a cache line, and one AVX-512 register. The caller deallocates it. Ends the process
/// with a line and the code of a system failure where there is not as much.
///
/// Large blocks lie in large pages: products and optimiser otherwise miss the address cache on every row.
public func allocateZeroed(byteCount: Int) -> UnsafeMutableRawPointer {
  if byteCount >= askedFor, let free = MachineShare().freeMemory, byteCount > free {
    endWithoutMemory(byteCount, free: free)
  }
  let isLarge = byteCount >= largePage
  let base = UnsafeMutableRawPointer.allocate(
    byteCount: byteCount, alignment: isLarge ? largePage : 64)
  if isLarge { madvise(base, byteCount, MADV_HUGEPAGE) }
  base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
  return base
}

/// Ends this process: what computes on rows has no way to go on, nor anybody to tell.
private func endWithoutMemory(_ byteCount: Int, free: Int) -> Never {
  StandardStream.error.attempt(
    """
    fan-dist: \(gigabytes(byteCount)) GB of memory are needed at once, and \(gigabytes(free)) GB are free: a smaller \
    --batch-size needs less, and a dataset directory larger than --dataset-memory stays in its files

    """)
  // Not exit, which runs handlers that may wait for other ranks. The launcher ends them when this one has ended.
  _exit(Failure.Code.system.rawValue)
}
