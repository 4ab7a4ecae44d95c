import ArrayFiles
import Foundation
import Kernels
import TestSupport
import Testing

/// Cases computed in double precision with the published implementations, cut to their first update; ReBRAC's to its
/// second, the first that trains the actor.
private let cases = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .appendingPathComponent("Cases").path
private let names = [
  "codac-default", "fan-default", "fan-min-normalized", "fan-no-critic-anchor", "faql-default", "fql-default",
  "iqn-default", "nbrac-default", "nfql-default", "rebrac-default", "value-flows-default", "visual-fql",
]
/// Those of them without images.
private let vectorNames = names.filter { !$0.hasPrefix("visual-") }

/// All cases, three updates each, and cases with images.
private let sharedCases = "../shared/parity"
private let sharedImages = "../shared/parity-images"
private let imageNames = ["fan-small", "fan", "faql", "fql", "nbrac", "nfql", "rebrac"].map { "visual-\($0)" }
private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

private func parity(
  _ directory: String, ranks: Int? = nil, _ options: [String] = []
) throws -> CommandResult {
  try run(ranks: ranks, [built("fan-parity"), directory] + options)
}

@Suite(.serialized) struct ParityTests {
  @Test func oneRank() throws { expectAllPass(try parity(cases)) }

  @Test(arguments: ProductKernels.usable) func allKernels(products: ProductKernels) throws {
    expectAllPass(try parity(cases, ["--products", products.rawValue]))
  }

  @Test(
    .enabled(if: hasMPIRun, "\(noMPIRun)"),
    arguments: [
      (2, []), (3, []), (2, ["--ranks-per-node", "1"]), (3, ["--ranks-per-node", "1"]),
      (4, ["--ranks-per-node", "2"]),
    ])
  func severalRanks(ranks: Int, options: [String]) throws {
    expectAllPass(try parity(cases, ranks: ranks, options))
  }

  @Test(
    .enabled(if: hasMPIRun, "\(noMPIRun)"), .enabled(if: ProductKernels.canReproduce, "no AVX2"),
    arguments: [
      (1, []), (2, []), (3, []), (3, ["--ranks-per-node", "1"]), (4, ["--ranks-per-node", "2"]),
    ])
  func reproducible(ranks: Int, options: [String]) throws {
    expectAllPass(try parity(cases, ranks: ranks, options + ["--reproducible-chunks", "4"]))
  }

  private func expectAllPass(_ result: CommandResult, _ names: [String] = names) {
    #expect(result.code == 0 && result.errorLines == [], "\(result)")
    for name in names { #expect(line(name, result)?.hasSuffix("ok") == true, "\(result)") }
  }

  private func line(_ name: String, _ result: CommandResult) -> Substring? {
    result.output.split(separator: "\n").first { $0.hasPrefix(name + " ") }
  }

  @Test(
    .enabled(if: exists(sharedCases), "../shared/parity, with all published cases, is not there"),
    .enabled(if: hasMPIRun, "\(noMPIRun)"), arguments: 1...3)
  func allPublishedCases(ranks: Int) throws {
    expectAllPass(try parity(sharedCases, ranks: ranks), vectorNames)
  }

  @Test(
    .enabled(if: exists(sharedImages), "../shared/parity-images, with the published cases, is not there"),
    .enabled(if: hasMPIRun, "\(noMPIRun)"), arguments: 1...3)
  func allPublishedCasesWithImages(ranks: Int) throws {
    expectAllPass(try parity(sharedImages, ranks: ranks), imageNames)
  }

  // MARK: What must fail

  /// A number that is 1 % off is found, and its tensor named.
  @Test(arguments: [
    "step0/grads/critic/dense0/weight", "step0/grads/actor_onestep_flow/dense2/bias",
    "step0/params/target_critic/norm0/scale", "step0/params/critic_z/dense1/weight",
    "step0/info/actor/bc_flow_loss",
  ]) func aWrongNumberIsFound(member: String) throws {
    let folder = TemporaryDirectory()
    try copyCase("fan-default", to: folder) { name, values in
      if name == member {
        let largest = values.indices.max { abs(values[$0]) < abs(values[$1]) }!
        values[largest] *= 1.01
      }
    }
    let result = try parity(folder.path)
    #expect(result.code == 1, "\(result)")
    #expect(line("fan-default", result)?.hasSuffix("FAILED at \(member)") == true, "\(result)")
  }

  /// A NaN compares with nothing; it must not pass.
  @Test func aNaNIsFound() throws {
    let folder = TemporaryDirectory()
    try copyCase("fan-default", to: folder) { name, values in
      if name == "step0/grads/critic/dense1/bias" { values[3] = .nan }
    }
    #expect(try parity(folder.path).code == 1)
  }

  @Test(arguments: [nil, 2]) func aDamagedFileIsRefused(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let folder = TemporaryDirectory()
    try copyFiles("fan-default", to: folder)
    try edit(folder.file("fan-default.npz")) { data in
      for i in 20_000..<90_000 { data[i] ^= 0x55 }
    }
    let result = try parity(folder.path, ranks: ranks)
    #expect(!result.timedOut && result.code == 65, "\(result)")
    #expect((result.output + result.errors).contains("fan-default"), "\(result)")
  }

  /// Only some ranks read the parameters; all must end when these are missing.
  @Test(arguments: [nil, 2]) func missingParametersAreRefused(ranks: Int?) throws {
    if ranks != nil && !hasMPIRun { return }
    let folder = TemporaryDirectory()
    try copyCase("fan-default", to: folder, without: "params/critic/dense0/weight") { _, _ in }
    let result = try parity(folder.path, ranks: ranks)
    #expect(!result.timedOut && result.code == 65, "\(result)")
    #expect((result.output + result.errors).contains("params/critic/dense0/weight"), "\(result)")
  }

  @Test(.enabled(if: hasMPIRun, "\(noMPIRun)")) func moreRanksThanRowsAreRefused() throws {
    let folder = TemporaryDirectory()
    try copyCase("fan-no-critic-anchor", to: folder) { _, _ in }
    let result = try parity(folder.path, ranks: 9)
    #expect(!result.timedOut && result.code == 64, "\(result)")
    #expect(result.output.contains("fan-no-critic-anchor.json: 9 ranks share a batch of 8"), "\(result)")
  }

  @Test func noCases() throws {
    let folder = TemporaryDirectory()
    for path in [folder.path, folder.file("nowhere")] {
      let result = try parity(path)
      #expect(result.code == 66 && (result.output + result.errors).contains(path), "\(result)")
    }
  }

  @Test func unknownAgentsDoNotFail() throws {
    let folder = TemporaryDirectory()
    for name in names { try copyFiles(name, to: folder) }
    try edit(folder.file("fan-default.json")) { data in
      let text = String(decoding: data, as: UTF8.self)
      data = Data(text.replacing("\"agent\": \"fan\"", with: "\"agent\": \"nobody\"").utf8)
    }
    let result = try parity(folder.path)
    #expect(result.code == 0, "\(result)")
    #expect(line("fan-default", result)?.hasSuffix("agent 'nobody' is not built yet") == true, "\(result)")
    #expect(
      result.output.contains("\(names.count - 1) passed, 0 failed, 1 of agents not built yet"), "\(result)")
  }

  // MARK: Copies of cases

  private func copyFiles(_ name: String, to folder: TemporaryDirectory) throws {
    for end in ["json", "npz"] {
      try FileManager.default.copyItem(
        atPath: "\(cases)/\(name).\(end)", toPath: folder.file("\(name).\(end)"))
    }
  }

  private func copyCase(
    _ name: String, to folder: TemporaryDirectory, without: String = "",
    _ change: (String, inout [Float]) -> Void
  ) throws {
    try copyFiles(name, to: folder)
    let source = try NpzFile(path: "\(cases)/\(name).npz")
    let copy = try NpzWriter(path: folder.file("\(name).npz"))
    for member in source.memberNames where member != without {
      var values = try source.floats(member)
      change(member, &values)
      try copy.add(member, values, shape: try source.header(member).shape)
    }
    try copy.finish()
  }
}
