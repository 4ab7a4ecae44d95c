import Glibc

/// Size of a large page on x86-64 and most ARM systems.
private let largePage = 2 << 20

/// Zeroed memory aligned to 64 bytes: a cache line, and one AVX-512 register. The caller deallocates it.
///
/// Large blocks lie in large pages: products and optimiser otherwise miss the address cache on every row.
public func allocateZeroed(byteCount: Int) -> UnsafeMutableRawPointer {
  let isLarge = byteCount >= largePage
  let base = UnsafeMutableRawPointer.allocate(
    byteCount: byteCount, alignment: isLarge ? largePage : 64)
  if isLarge { madvise(base, byteCount, MADV_HUGEPAGE) }
  base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
  return base
}
