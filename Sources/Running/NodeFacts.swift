import Basics
import Foundation
import MPI

/// What was found of the machines that a job runs on, in words for people: for the first lines of the log.
public struct NodeFacts {
  /// A line for each node, of the first ones.
  public private(set) var lines: [String] = []
  /// What makes the job slow, a line each.
  public private(set) var warnings: [String] = []

  /// Nodes beyond these are only counted.
  private static let mostLines = 8

  /// Looks at the nodes of a job. Collective.
  ///
  /// - Parameter threads: threads of each rank.
  public init(_ world: Communicator, threads: Int) throws {
    let node = try world.splitByNode()
    let ranks = try Self.gather(node) { $0 = [UInt64(world.rank)] }.map { Int($0[0]) }
    let cores = try Self.gather(node, words: Self.maskWords) { words in
      for core in SpareCores.ofThisProcess where core < Self.maskWords * 64 {
        words[core / 64] |= 1 << UInt64(core % 64)
      }
    }.map(Self.set)
    let isSeveral = try world.nodeCount() > 1
    let own = node.rank == 0 ? Node(ranks, cores, threads: threads, showsNetwork: isSeveral) : nil
    try collect(own, world)
  }

  /// Brings what the first rank of each node knows to all ranks. Collective.
  private mutating func collect(_ own: Node?, _ world: Communicator) throws {
    var next = 0
    var count = 0
    while next < world.size {
      let speaker = Int(
        try world.allReduce(Int64(own != nil && world.rank >= next ? world.rank : world.size), .min))
      guard speaker < world.size else { break }
      func everywhere(_ lines: [String]) throws -> [String] {
        let bytes = try world.broadcast(Array(lines.joined(separator: "\n").utf8), from: speaker)
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
      }
      let line = try everywhere(own.map { [$0.line] } ?? [])
      if count < Self.mostLines { lines += line }
      warnings += try everywhere(own?.warnings ?? [])
      (next, count) = (speaker + 1, count + 1)
    }
    if count > Self.mostLines { lines.append("… and \(count - Self.mostLines) more nodes") }
  }

  /// Words of 64 bits in which a set of cores is sent.
  private static let maskWords = 16

  private static func set(_ words: [UInt64]) -> Set<Int> {
    Set((0..<words.count * 64).filter { words[$0 / 64] >> UInt64($0 % 64) & 1 == 1 })
  }

  /// The words of all ranks, in their order. Collective.
  private static func gather(
    _ node: Communicator, words count: Int = 1, _ fill: (inout [UInt64]) -> Void
  ) throws -> [[UInt64]] {
    var own = [UInt64](repeating: 0, count: count)
    fill(&own)
    var all = [UInt64](repeating: 0, count: count * node.size)
    all.replaceSubrange(node.rank * count..<(node.rank + 1) * count, with: own)
    try node.allReduce(&all, count: all.count)
    return (0..<node.size).map { Array(all[$0 * count..<($0 + 1) * count]) }
  }
}

/// A node, with the ranks on it and the cores that each may run on.
private struct Node {
  let line: String
  private(set) var warnings: [String] = []

  init(_ ranks: [Int], _ cores: [Set<Int>], threads: Int, showsNetwork: Bool) {
    let host = ProcessInfo.processInfo.hostName
    let all = cores.reduce(Set()) { $0.union($1) }
    let share = MachineShare()
    let isBound = Set(cores).count > 1
    let places =
      isBound
      ? "on cores " + cores.map(rangesText).joined(separator: " | ")
      : "not bound, on \(all.count) core(s)"
    var parts = ["rank(s) \(rangesText(Set(ranks))) \(places)"]
    if let quota = share.processors { parts.append("a quota of \(decimals(quota, 1)) core(s)") }
    if let memory = share.freeMemory { parts.append("\(gigabytes(memory)) GB of memory free") }
    if let room = room(in: "/dev/shm") { parts.append("\(gigabytes(room)) GB free in /dev/shm") }
    if showsNetwork { parts.append("network " + networks().joined(separator: ", ")) }
    line = "node \(host): " + parts.joined(separator: "; ")

    let needed = ranks.count * threads
    if let shared = Dictionary(grouping: ranks.indices, by: { cores[$0] }).first(where: {
      $1.count * threads > $0.count && $1.count > 1
    }) {
      let names = shared.value.map { "\(ranks[$0])" }.joined(separator: ", ")
      warnings.append(
        "ranks \(names) on \(host) share core(s) \(rangesText(shared.key)): they take turns, and ranks of one run wait for each other; start fewer, or give each its own cores (mpirun --bind-to core, srun --cpu-bind=cores)"
      )
    } else if ranks.count > 1, needed > whole(all) {
      warnings.append(
        "\(ranks.count) ranks on \(host) share \(whole(all)) core(s) with \(all.count) hardware threads: ranks on one core slow each other down; start as many ranks as there are cores"
      )
    }
    if let quota = share.processors, Double(needed) > quota {
      warnings.append(
        "\(host) gives this job \(decimals(quota, 1)) core(s) of processor time (a quota), less than its \(needed) rank(s) x thread(s) ask for: start as many ranks as the quota has cores"
      )
    }
  }
}

/// Cores as people write them: 0-3,8.
private func rangesText(_ numbers: Set<Int>) -> String {
  var ranges: [ClosedRange<Int>] = []
  for number in numbers.sorted() {
    if let last = ranges.last, last.upperBound + 1 == number {
      ranges[ranges.count - 1] = last.lowerBound...number
    } else {
      ranges.append(number...number)
    }
  }
  return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(
    separator: ",")
}

/// How many cores some hardware threads belong to.
private func whole(_ threads: Set<Int>) -> Int {
  let names = threads.map { thread in
    let path = "/sys/devices/system/cpu/cpu\(thread)/topology/thread_siblings_list"
    return (try? String(contentsOfFile: path, encoding: .utf8)) ?? "\(thread)"
  }
  return Set(names).count
}

/// Bytes that a file system has free.
private func room(in path: String) -> Int? {
  var status = statvfs()
  return statvfs(path, &status) == 0 ? Int(status.f_bavail) * Int(status.f_frsize) : nil
}

/// The network interfaces of this host with their addresses (IPv4), but for the one to itself.
private func networks() -> [String] {
  var first: UnsafeMutablePointer<ifaddrs>?
  guard getifaddrs(&first) == 0 else { return [] }
  defer { freeifaddrs(first) }
  var found: [String] = []
  var next = first
  while let entry = next?.pointee {
    next = entry.ifa_next
    guard let address = entry.ifa_addr, address.pointee.sa_family == AF_INET,
      entry.ifa_flags & UInt32(IFF_LOOPBACK) == 0, entry.ifa_flags & UInt32(IFF_UP) != 0
    else { continue }
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    guard
      getnameinfo(
        address, socklen_t(MemoryLayout<sockaddr_in>.size), &text, socklen_t(text.count), nil, 0,
        NI_NUMERICHOST) == 0
    else { continue }
    let numbers = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    found.append("\(String(cString: entry.ifa_name)) \(numbers)")
  }
  return found
}
