import Basics
import Foundation
import TrainingData

/// What each run of a sweep needs of a machine, at most.
package struct RunNeeds {
  /// Cores that its ranks keep busy.
  let cores: Int
  /// Bytes of memory, about.
  let memory: Int

  package init(cores: Int, memory: Int) { (self.cores, self.memory) = (cores, memory) }
}

/// How many runs a machine has room for.
package struct MachineFit {
  /// Cores that the sweep may use; a quota of processor time counts as so many cores.
  let cores: Int
  /// Bytes of memory that are free; nil where that is not known.
  let freeMemory: Int?

  /// A machine of which the sweep may use so many cores and so much memory.
  package init(cores: Int, quota: Double?, freeMemory: Int?) {
    self.cores = max(1, min(cores, quota.map { Int($0.rounded(.down)) } ?? cores))
    self.freeMemory = freeMemory
  }

  /// The share of the memory that is not given away: the estimate is none to the byte.
  private static let reserve = 0.1

  /// The runs that fit at a time: at least one.
  package func jobs(_ needs: RunNeeds) -> Int {
    let byMemory = freeMemory.map { Int(Double($0) * (1 - Self.reserve)) / max(1, needs.memory) }
    return max(1, min(cores / needs.cores, byMemory ?? Int.max))
  }

  /// Says why so many runs train at a time.
  func description(_ jobs: Int, _ needs: RunNeeds) -> String {
    let memory = freeMemory.map { ", \(gigabytes($0)) GB of memory free" } ?? ""
    let crowd = jobs * needs.cores > cores ? "; they share cores" : ""
    return
      "\(jobs) run(s) at a time: \(cores) core(s)\(memory); a run needs \(needs.cores) core(s) and about "
      + "\(gigabytes(needs.memory)) GB\(crowd)"
  }
}

extension ExpectedCosts {
  /// Bytes of a process before it trains.
  private static let process = 100 << 20
  /// Bytes of a process that runs a Gymnasium environment.
  private static let worker = 400 << 20

  /// What each of these runs needs at most.
  mutating func needs(of indices: [Int], of sweep: Sweep) throws -> RunNeeds {
    var memory = 0
    for index in indices {
      let configuration = sweep.runs[index].configuration
      let work = try work(configuration)
      let expected = data(configuration)
      let online = configuration.online
      let bytes = expected.map {
        min($0.byteCount, configuration.datasetBytes) + $0.bufferBytes(online)
      }
      let workers =
        (configuration.evalEpisodes > 0 ? 1 : 0) + (online.onlineSteps > 0 ? online.onlineEnvironments : 0)
      let environments = expected?.needsPython ?? true ? workers * Self.worker : 0
      let networks = work.bytes(batch: configuration.hyperparameters.batchSize, ranks: sweep.ranks)
      memory = max(memory, sweep.ranks * Self.process + networks + (bytes ?? 0) + environments)
    }
    let threads = indices.map { sweep.runs[$0].configuration.threads }.max() ?? 1
    return RunNeeds(cores: sweep.ranks * threads, memory: memory)
  }
}
