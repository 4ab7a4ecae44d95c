import Foundation

/// What of the machine this process may use, beside the cores that it may run on: the limits of control groups, such as
/// those of a container or a job, and what is free.
public struct MachineShare: Sendable, Equatable {
  /// Cores' worth of processor time; nil without a quota.
  public let processors: Double?
  /// Bytes of memory that can still be taken; nil where that is not known.
  public let freeMemory: Int?

  /// Reads the limits that hold for this process.
  public init() { self.init(root: "") }

  /// The same from the files of a system whose root directory is `root`.
  package init(root: String) {
    let groups = Self.groups(root)
    processors = groups.compactMap(Self.quota).min()
    freeMemory = ([Self.available(root)] + groups.map(Self.room)).compactMap(\.self).min()
  }

  /// The directories of the control groups that this process is in, with those around them. Inside a container, the
  /// group that the process is in may be mounted as the root of all.
  private static func groups(_ root: String) -> [String] {
    let text = (try? String(contentsOfFile: root + "/proc/self/cgroup", encoding: .utf8)) ?? ""
    return text.split(separator: "\n").flatMap { line -> [String] in
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { return [] }
      let hierarchies = fields[1].isEmpty ? [""] : ["/" + fields[1]]
      return hierarchies.flatMap { hierarchy -> [String] in
        var path = fields[2].split(separator: "/").map(String.init)
        var directories: [String] = []
        while true {
          directories.append(([root + "/sys/fs/cgroup" + hierarchy] + path).joined(separator: "/"))
          if path.isEmpty { return directories }
          path.removeLast()
        }
      }
    }
  }

  private static func quota(_ group: String) -> Double? {
    // Version 2 has quota and period in one file; version 1 has one each, and -1 for no quota.
    let words = fields(of: group + "/cpu.max")
    let quota =
      words.first.flatMap(Double.init) ?? fields(of: group + "/cpu.cfs_quota_us").first.flatMap(Double.init)
    let period =
      words.dropFirst().first.flatMap(Double.init)
      ?? fields(of: group + "/cpu.cfs_period_us").first.flatMap(Double.init)
    guard let quota, let period, quota > 0, period > 0 else { return nil }
    return quota / period
  }

  private static func room(_ group: String) -> Int? {
    let files = [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]
    for (limitFile, usageFile) in files {
      guard let limit = fields(of: "\(group)/\(limitFile)").first.flatMap({ Int($0) }),
        let usage = fields(of: "\(group)/\(usageFile)").first.flatMap({ Int($0) })
      else { continue }
      // What is cached of files is given back when somebody needs the memory.
      let cached = value(of: "inactive_file", in: "\(group)/memory.stat") ?? 0
      return max(0, limit - usage + cached)
    }
    return nil
  }

  private static func available(_ root: String) -> Int? {
    value(of: "MemAvailable:", in: root + "/proc/meminfo").map { $0 << 10 }
  }

  private static func value(of key: String, in path: String) -> Int? {
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count >= 2, words[0] == key { return Int(words[1]) }
    }
    return nil
  }

  private static func fields(of path: String) -> [Substring] {
    ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(whereSeparator: \.isWhitespace)
  }
}
