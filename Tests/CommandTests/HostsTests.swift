import Foundation
import TestSupport
import Testing

/// Jobs over two hosts, in network namespaces: the short form of `launch/drill-hosts`.
@Suite(.enabled(if: problem == nil, "\(problem ?? "")")) struct HostsTests {
  /// Two ranks on one host and one on the other, through `launch/slurm.sbatch` with mpirun.
  @Test func aJobOverUnevenHostsGoesOnToTheSameBits() throws {
    let result = try drill("--uneven", "1")
    #expect(result.code == 0 && result.output.contains("uneven"), "\(result)")
  }
}

private func drill(_ arguments: String...) throws -> CommandResult {
  let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../launch/drill-hosts").standardized.path
  return try run("python3", [script] + arguments, environment: ["DRILL_PROGRAM": built("fan-dist")])
}

/// Why there can be no hosts here, as the script says; nil if there can.
private let problem: String? = {
  guard let result = try? drill("--uneven", "0") else { return "there is no python3" }
  if result.code != 0 { return "launch/drill-hosts: \(result.errors)" }
  return result.output.hasPrefix("skipped: ") ? result.output : nil
}()
