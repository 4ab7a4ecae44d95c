import Basics
import Foundation
import MPI

func checkReductions<T: MPIElement & Numeric & Comparable>(_: T.Type, _ world: Communicator) throws {
  let p = world.size
  // Element i of rank r is (r + 1)·(i mod 7 + 1).
  func values() -> [T] { (0..<1000).map { T(exactly: (world.rank + 1) * ($0 % 7 + 1))! } }
  for (operation, factor) in [(Reduction.sum, p * (p + 1) / 2), (.min, 1), (.max, p)] {
    var result = values()
    try world.allReduce(&result, count: 1000, operation)
    let expected = (0..<1000).map { T(exactly: factor * ($0 % 7 + 1))! }
    try expect(result == expected, "\(operation) begins with \(result[..<7])")
    let single = try world.allReduce(T(exactly: world.rank + 1)!, operation)
    try expect(single == T(exactly: factor)!, "\(operation) of one value is \(single)")
  }
}

func checkBroadcast(_ world: Communicator) throws {
  for root in 0..<world.size {
    for length in [0, 1, 100_003] {
      let expected = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ root) }
      // The other ranks give other numbers of bytes; only those of the root matter.
      let own = world.rank == root ? expected : [UInt8](repeating: 1, count: world.rank)
      let bytes = try world.broadcast(own, from: root)
      try expect(bytes == expected, "\(length) bytes from rank \(root)")
    }
  }
}

func checkSplit(_ world: Communicator) throws {
  let part = try world.split(colour: world.rank % 2)
  try expect(part.size == (world.size + 1 - world.rank % 2) / 2, "size \(part.size)")
  try expect(part.rank == world.rank / 2, "rank \(part.rank)")
  let sum = try part.allReduce(Int64(world.rank))
  let expected = stride(from: world.rank % 2, to: world.size, by: 2).reduce(0, +)
  try expect(sum == Int64(expected), "sum \(sum) instead of \(expected)")
}

func checkNodes(_ world: Communicator) throws {
  let node = try world.splitByNode()
  try expect(node.size == world.size && node.rank == world.rank, "rank \(node.rank) of \(node.size)")
  try expect(try world.nodeCount() == 1, "more than one node")
}

func checkWindow(_ world: Communicator) throws {
  let window = try SharedWindow(world, byteCount: 8 * world.size + 3)
  try expect(Int(bitPattern: window.base) % 64 == 0, "not aligned")
  let bytes = UnsafeRawBufferPointer(start: window.base, count: window.byteCount)
  try expect(bytes.allSatisfy { $0 == 0 }, "not zero at first")
  try window.synchronise()
  let slots = window.base.assumingMemoryBound(to: Int64.self)
  for round in 0..<200 {
    // Each rank writes its neighbour's slot, then all look at all.
    slots[(world.rank + round) % world.size] = Int64(1000 * round + world.rank)
    try window.synchronise()
    for rank in 0..<world.size {
      let seen = slots[(rank + round) % world.size]
      try expect(seen == Int64(1000 * round + rank), "round \(round): \(seen) from rank \(rank)")
    }
    try window.synchronise()
  }
  try window.free()
}

/// Communicators are freed with their last reference, windows when `free` is called.
func checkHoldings(_ world: Communicator) throws {
  let before = MPI.holdings
  do {
    let (half, node) = (try world.split(colour: world.rank % 2), try world.splitByNode())
    let window = try SharedWindow(node, byteCount: 64)
    var expected = before
    expected.communicators += 2
    expected.windows += 1
    try expect(MPI.holdings == expected, "\(MPI.holdings) instead of \(expected)")
    try half.barrier()
    try window.free()
  }
  try expect(MPI.holdings == before, "\(MPI.holdings) instead of \(before)")
}

/// A failure of all ranks frees what the work has taken. A failure of one rank does not: the others are still at work.
func checkReleases(_ world: Communicator) throws {
  for (error, isFreed) in [
    (Failure(.data, "all") as any Error, true), (RankFailure(Failure(.data, "one")), false),
  ] {
    var freed: [Int] = []
    do {
      try Releases.around { releases in
        releases.add { freed.append(1) }
        releases.add { freed.append(2) }
        throw error
      }
      throw Problem(description: "the error is lost")
    } catch is Failure, is RankFailure {}
    try expect(freed == (isFreed ? [2, 1] : []), "\(error): freed \(freed)")
  }
}

func checkErrors(_ world: Communicator) throws {
  for communicator in [world, try world.split(colour: 0)] {
    do {
      var byte: UInt8 = 0
      try communicator.broadcast(&byte, count: 1, from: world.size)
      throw Problem(description: "no error for a root that does not exist")
    } catch let error as MPIError {
      try expect(error.function == "MPI_Bcast", error.function)
      let text = error.description.lowercased()
      try expect(
        error.code != 0 && text.hasPrefix("mpi_bcast: ") && text.contains("invalid root")
          && !text.contains("\n"), error.description)
    }
  }
}

func checkTogether(_ world: Communicator) throws {
  try expect(try world.together { world.rank } == world.rank, "does not give the rank's own result")
  for first in 0..<world.size {
    let expected = Failure(.data, "rank \(first) fails")
    do {
      try world.together {
        if world.rank >= first { throw Failure(.data, "rank \(world.rank) fails") }
      }
      throw Problem(description: "nothing thrown when rank \(first) fails")
    } catch let failure as Failure {
      try expect(failure == expected, "'\(failure)' instead of '\(expected)'")
    }
  }
}

func checkAgreement(_ world: Communicator) throws {
  try world.requireAgreement(on: "the weather", 0xFFFF_FFFF_FFFF_FFFF, advice: "look outside")
  for first in 1..<max(world.size, 1) {
    do {
      try world.requireAgreement(
        on: "the weather", world.rank >= first ? UInt64(world.rank) : 99, advice: "look outside")
      throw Problem(description: "nothing thrown when rank \(first) differs")
    } catch let failure as Failure {
      let text =
        "rank \(first) on \(MPI.processorName) disagrees with rank 0 on the weather: look outside"
      try expect(failure == Failure(.configuration, text), "\(failure)")
    }
  }
}
