import Foundation
import Glibc

/// Size of a large page on x86-64 and most ARM systems.
private let largePage = 2 << 20

/// Bytes of memory that this process and others can still take without swapping: what the system says, or less where a
/// control group allows less; nil where neither is known.
public func availableMemory() -> Int? {
  let system = number("MemAvailable:", in: "/proc/meminfo").map { $0 << 10 }
  let group = "/sys/fs/cgroup/memory"
  let left = number("", in: "\(group).max").map { limit in
    // Copies of files that nobody uses are given up when memory is needed.
    let used = (number("", in: "\(group).current") ?? 0) - (number("inactive_file", in: "\(group).stat") ?? 0)
    return max(0, limit - used)
  }
  return [system, left].compactMap(\.self).min()
}

/// The number in the line of a system's file that begins with a word.
private func number(_ word: String, in path: String) -> Int? {
  let lines = ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n")
  return lines.first { $0.hasPrefix(word) }.flatMap { Int($0.filter(\.isWholeNumber)) }
}

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
