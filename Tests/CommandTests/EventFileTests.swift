import Foundation
import TestSupport
import Testing

/// TensorBoard's event files, read by TensorBoard.
@Suite(.serialized) struct EventFileTests {
  /// A value of a scalar, when it was written and at which update.
  private struct Value: Decodable {
    let step: Int
    let value: Float
    let time: Double
  }

  /// What TensorBoard makes of a run: values by tag.
  private func scalars(_ directory: String) throws -> [String: [Value]] {
    let script = """
      import json, sys
      from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
      run = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
      print(json.dumps({
        tag: [{"step": e.step, "value": e.value, "time": e.wall_time} for e in run.Scalars(tag)]
        for tag in run.Tags()["scalars"]}))
      """
    let result = try TestSupport.run(#require(pythonWithPackages), ["-c", script, directory])
    try #require(result.code == 0, "\(result)")
    return try JSONDecoder().decode([String: [Value]].self, from: Data(result.output.utf8))
  }

  /// Columns of a table as TensorBoard should show them, by tag.
  private func scalars(_ table: Table, group: ([String]) -> String) -> [String: [[Float]]] {
    var result: [String: [[Float]]] = [:]
    for row in table.rows {
      for (column, text) in zip(table.columns, row).dropFirst() {
        guard let value = Float(text), let step = Float(row[0]) else { continue }
        result[group(row) + column, default: []].append([step, value])
      }
    }
    return result
  }

  /// Its event files; a run has one more each time it is continued, whatever its ranks.
  private func files(_ runs: Runs) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: runs.folder.file("run")).filter {
      $0.hasPrefix("events.out.tfevents.")
    }.sorted()
  }

  /// A run that lost its last checkpoints, was killed while it wrote, and then was continued twice.
  @Test(.enabled(if: pythonWithPackages != nil, "\(noPythonWithPackages)"))
  func holdWhatTheTablesHold() throws {
    let start = Date().timeIntervalSince1970
    let runs = Runs()
    let options = ["--log-interval", "5", "--eval-interval", "20", "--save-interval", "10"]
    func part(ranks: Int?, steps: Int) throws {
      let command = runs.command("run", options + ["--steps", "\(steps)", "--resume", "auto"])
      let result = try TestSupport.run(ranks: ranks, command)
      try #require(result.code == 0, "\(result)")
    }
    try part(ranks: hasMPIRun ? 2 : nil, steps: 40)
    for step in [30, 40] { try FileManager.default.removeItem(atPath: runs.checkpoint("run", step)) }
    try edit(runs.folder.file("run/" + files(runs)[0])) { $0.removeLast(7) }
    try part(ranks: nil, steps: 50)
    try part(ranks: nil, steps: 50)
    #expect(try files(runs).count == 3)

    let expected = try scalars(runs.table("run")) { _ in "" }.merging(
      scalars(runs.table("run", "eval.csv")) { "eval/\($0[1])/" }
    ) { first, _ in first }
    let shown = try scalars(runs.folder.file("run"))
    // A tag whose values all belong to what was repeated stays, without values.
    let values = shown.mapValues { $0.map { [Float($0.step), $0.value] } }.filter { !$0.value.isEmpty }
    #expect(values == expected)
    #expect(expected["critic/q_loss"]?.map { $0[0] } == (1...10).map { Float(5 * $0) })
    #expect(expected["eval/policy/success"]?.map { $0[0] } == [20, 40, 50])
    #expect(
      shown.values.joined().allSatisfy { (start...Date().timeIntervalSince1970).contains($0.time) })
  }
}
