import Foundation
import Glibc

/// Size of a large page on x86-64 and most ARM systems.
private let largePage = 2 << 20

/// Bytes of memory that this process and others can still take without swapping: what the system says, or less where a
/// control group allows less; nil where neither is known.
public func availableMemory() -> Int? {
  let system = text(of: "/proc/meminfo").split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
    .flatMap { Int($0.filter(\.isWholeNumber)) }.map { $0 << 10 }
  let group = number(in: "/sys/fs/cgroup/memory.max").map { limit in
    max(0, limit - (number(in: "/sys/fs/cgroup/memory.current") ?? 0))
  }
  return [system, group].compactMap(\.self).min()
}

private func text(of path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

private func number(in path: String) -> Int? { Int(text(of: path).filter { !$0.isWhitespace }) }

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
