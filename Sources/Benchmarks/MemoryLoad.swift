import Basics
import Foundation
import MPI
import Synchronization

/// Copies memory on every core of a node that no rank computes on, as other programs on a machine do to caches and memory
/// that ranks use, too.
public final class MemoryLoad: Sendable {
  /// Bytes that each core copies from one place to another, more than caches hold.
  private static let bytes = 256 << 20

  private let isOver = Atomic<Bool>(false)

  /// Starts the load on this node; its first rank does it. Collective.
  ///
  /// - Parameter threads: cores that a rank keeps busy.
  /// - Throws: the same `Failure` on all ranks when no core is left for it.
  public init(_ world: Communicator, threads: Int) throws {
    let cores = try SpareCores(world, threads: threads)
    let node = try world.splitByNode()
    try world.together {
      guard cores.count > 0 else {
        throw Failure(.usage, "--load: the ranks have all cores of \(MPI.processorName); start fewer")
      }
    }
    try world.together {
      guard node.rank == 0 else { return }
      for _ in 0..<cores.count {
        try startThread("load") { [self] in
          cores.moveHere(withLessPriority: false)
          copy()
        }
      }
    }
  }

  /// Ends the load.
  public func stop() { isOver.store(true, ordering: .relaxed) }

  private func copy() {
    let from = UnsafeMutableRawPointer.allocate(byteCount: Self.bytes, alignment: 64)
    let to = UnsafeMutableRawPointer.allocate(byteCount: Self.bytes, alignment: 64)
    defer {
      from.deallocate()
      to.deallocate()
    }
    memset(from, 1, Self.bytes)
    while !isOver.load(ordering: .relaxed) {
      to.copyMemory(from: from, byteCount: Self.bytes)
      from.copyMemory(from: to, byteCount: Self.bytes)
    }
  }
}
