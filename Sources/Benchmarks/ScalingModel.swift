import Basics
import Foundation

/// How long an update takes on any number of ranks, from constants measured on this machine.
///
/// An update on p ranks, g of them on each of N nodes, is modelled as
///
///     compute(B / p)                     losses and gradients of a rank's rows, measured for 1, 2, 4, … rows
///     + moved bytes / bandwidth          sum of the node's gradients, Adam and target, shared by its ranks
///     + two barriers, τ · log₂ g each
///     + 2 (N − 1) / N · gradient bytes / network + 2 · log₂ N · latency
///
/// with B samples over all ranks. The last line is a ring's or a halving's bandwidth term, which every all-reduce
/// has (Thakur, Rabenseifner and Gropp, 2005), and a tree's latency. Nothing overlaps. Ranks that wait for slower
/// ones, and networks that others use too, are not in the model.
public struct ScalingModel: Codable, Sendable {
  /// Seconds of one rank's losses and gradients, by its rows: 1, 2, 4, … in order.
  public var compute: [Double]
  /// Bytes that one rank of a node moves in a second while it sums and optimises, all ranks at once.
  public var bytesPerSecond: Double
  /// Seconds of a barrier between two ranks.
  public var barrier: Double
  /// Trained parameters.
  public var parameters: Int
  /// Parameters that a target follows.
  public var followed: Int

  /// A model with these constants.
  public init(
    compute: [Double], bytesPerSecond: Double, barrier: Double, parameters: Int, followed: Int
  ) {
    self.compute = compute
    self.bytesPerSecond = bytesPerSecond
    self.barrier = barrier
    self.parameters = parameters
    self.followed = followed
  }

  /// Bytes a second that all ranks of a node move together at most: a common server's. One rank does not reach it.
  public static let nodeBandwidth = 100e9
  /// Seconds until a message of another node begins to arrive, over TCP.
  public static let latency = 20e-6

  /// Seconds of an update.
  ///
  /// - Parameters:
  ///   - ranks: all ranks, p.
  ///   - perNode: ranks of a node, g; p when they are fewer.
  ///   - batch: samples over all ranks, B.
  ///   - gigabits: 10⁹ bits a second that a node sends, and at the same time receives.
  public func seconds(ranks: Int, perNode: Int, batch: Int, gigabits: Double) -> Double {
    let g = min(ranks, perNode)
    let nodes = (ranks + g - 1) / g
    // With several nodes their sum of gradients is written and read again.
    let moved =
      Self.movedBytes(parameters: parameters, followed: followed, ranks: g)
      + (nodes > 1 ? 2 * gradientBytes : 0)
    let bandwidth = min(Double(g) * bytesPerSecond, max(Self.nodeBandwidth, bytesPerSecond))
    var time = compute(rows: Double(batch) / Double(ranks)) + moved / bandwidth
    time += 2 * barrier * log2(Double(g)).rounded(.up)
    if nodes > 1 {
      time += 2 * Double(nodes - 1) / Double(nodes) * gradientBytes / (gigabits * 1e9 / 8)
      time += 2 * log2(Double(nodes)).rounded(.up) * Self.latency
    }
    return time
  }

  /// Bytes that the ranks of a node read and write together while they sum and optimise: parameters, two moments and
  /// the target are read and written, and each rank's gradient is read.
  static func movedBytes(parameters: Int, followed: Int, ranks: Int) -> Double {
    4 * Double((6 + ranks) * parameters + 2 * followed)
  }

  private var gradientBytes: Double { 4 * Double(parameters) }

  /// How many times faster than one rank an update of the same batch is.
  public func speedUp(ranks: Int, perNode: Int, batch: Int, gigabits: Double) -> Double {
    seconds(ranks: 1, perNode: 1, batch: batch, gigabits: gigabits)
      / seconds(ranks: ranks, perNode: perNode, batch: batch, gigabits: gigabits)
  }

  /// The smallest batch, a power of two, at which the ranks do at least half of what as many would without any
  /// exchange; nil when none up to 2²⁴ does.
  public func smallestBatchThatPays(ranks: Int, perNode: Int, gigabits: Double) -> Int? {
    (0...24).map { 1 << $0 }.first {
      $0 >= ranks
        && speedUp(ranks: ranks, perNode: perNode, batch: $0, gigabits: gigabits) >= Double(ranks) / 2
    }
  }

  /// Seconds for any number of rows: on a straight line between two that were measured, in proportion beyond the last.
  private func compute(rows: Double) -> Double {
    let last = compute.count - 1
    let position = log2(max(rows, 1))
    let low = min(Int(position), last)
    guard low < last else { return compute[last] * rows / Double(1 << last) }
    let share = (rows - Double(1 << low)) / Double(1 << low)
    return compute[low] + max(0, share) * (compute[low + 1] - compute[low])
  }
}

extension ScalingModel {
  /// Ranks of the table.
  public static let ranks = [1, 2, 4, 8, 16, 32, 64, 128, 256]
  /// Networks of the table, 10⁹ bits a second.
  public static let networks = [10.0, 25, 100]

  /// The tables as text: milliseconds of an update against ranks, with the speed-up over one rank.
  ///
  /// - Parameters:
  ///   - batch: samples over all ranks of the first table, and of each rank in the second.
  ///   - perNode: ranks of a node where there are several.
  public func table(batch: Int, perNode: Int) -> String {
    let constants = """
      losses and gradients: \(milliseconds(compute[0])) ms for 1 row, \(milliseconds(compute.last!)) ms for \
      \(1 << (compute.count - 1)); \
      \(decimals(bytesPerSecond / 1e9, 1)) GB/s a rank, at most \
      \(decimals(Self.nodeBandwidth / 1e9, 0)) a node; barrier \
      \(decimals(1e6 * barrier, 1)) µs; gradient \(decimals(1e-6 * gradientBytes, 1)) MB; \
      latency between nodes \(decimals(1e6 * Self.latency, 0)) µs
      """
    return [
      constants,
      section("batch \(batch) over all ranks", perNode: perNode) { _ in batch },
      section("batch \(batch) on each rank", perNode: perNode) { batch * $0 },
      paying(perNode: perNode),
    ].joined(separator: "\n\n")
  }

  private func section(_ title: String, perNode: Int, batch: (Int) -> Int) -> String {
    let header = ["ranks", "one node"] + Self.networks.map { "\(Int($0)) Gb/s" }
    let rows = Self.ranks.map { ranks in
      ["\(ranks)"]
        + columns(perNode: perNode).map { column in
          let time = seconds(
            ranks: ranks, perNode: column.perNode, batch: batch(ranks), gigabits: column.gigabits)
          let samples = Double(batch(ranks)) / Double(batch(1))
          let alone = seconds(ranks: 1, perNode: 1, batch: batch(1), gigabits: column.gigabits)
          return "\(milliseconds(time)) (\(decimals(samples * alone / time, 1))x)"
        }
    }
    return "\(title): ms/update (times the samples/s of one rank), \(perNode) ranks a node\n"
      + aligned([header] + rows)
  }

  private func paying(perNode: Int) -> String {
    let header = ["ranks", "one node"] + Self.networks.map { "\(Int($0)) Gb/s" }
    let rows = Self.ranks.dropFirst().map { ranks in
      ["\(ranks)"]
        + columns(perNode: perNode).map { column in
          smallestBatchThatPays(ranks: ranks, perNode: column.perNode, gigabits: column.gigabits).map {
            "\($0)"
          } ?? "none"
        }
    }
    return "smallest batch over all ranks that gives at least half of the ideal speed-up\n"
      + aligned([header] + rows)
  }

  private func columns(perNode: Int) -> [(perNode: Int, gigabits: Double)] {
    [(Int.max, Self.networks[0])] + Self.networks.map { (perNode, $0) }
  }

  private func aligned(_ rows: [[String]]) -> String {
    let widths = rows[0].indices.map { c in rows.map { $0[c].count }.max()! }
    return rows.map { row in
      zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
    }.joined(separator: "\n")
  }

  private func milliseconds(_ seconds: Double) -> String {
    decimals(1e3 * seconds, seconds < 0.00995 ? 2 : 1)
  }
}
