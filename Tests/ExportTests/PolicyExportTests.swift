import Agents
import ArrayFiles
import Basics
import Checkpoints
import Export
import Foundation
import Kernels
import Settings
import TestRuns
import TestSupport
import Testing

/// The sizes of data with images.
private let imageSpec = DataSpec(
  observation: .image(height: 6, width: 7, channels: 3), actionSize: 2, rewards: -1...0)

/// A saved policy with small networks, and the files that it is exported to.
private final class Exported {
  let folder = TemporaryDirectory()
  let configuration: Configuration
  let saved: SavedPolicy
  let export: PolicyExport

  init(_ agent: AgentKind, _ settings: [String] = [], scales: DataScales? = nil) throws {
    configuration = try smallConfiguration(agent, settings)
    let path = folder.file("checkpoint.safetensors")
    let plain = configuration.hyperparameters.encoder == nil ? smallSpec : imageSpec
    let spec = DataSpec(
      observation: plain.observation, actionSize: plain.actionSize, rewards: plain.rewards, scales: scales)
    try writeCheckpoint(configuration, step: 40, spec: spec, to: path)
    saved = try SavedPolicy(path: path)
    export = PolicyExport(saved)
  }

  /// The file as safetensors.
  func tensors() throws -> SafetensorsFile {
    try export.write(.safetensors, to: folder.file("policy.safetensors"))
    return try SafetensorsFile(path: folder.file("policy.safetensors"))
  }

  /// The file as ONNX.
  func model() throws -> ONNXFile {
    try export.write(.onnx, to: folder.file("policy.onnx"))
    return try ONNXFile(path: folder.file("policy.onnx"))
  }
}

/// Inputs for a policy and the actions that it takes, computed by the agent itself.
private struct Acted {
  private(set) var inputs: [String: Tensor] = [:]
  let actions: Tensor
  private static let rows = 5

  init(_ saved: SavedPolicy) {
    let policy = saved.rawPolicy(rows: Self.rows)
    let observations = policy.observations
    for r in 0..<Self.rows {
      if observations.space.isImage {
        let image = observations.row(r).assumingMemoryBound(to: UInt8.self)
        for i in 0..<observations.space.count { image[i] = UInt8((37 * i + 91 * r * (i + 1)) % 256) }
      } else {
        for c in 0..<2 { observations.vectors[r, c] = Float(r) - 1.5 * Float(c) }
      }
    }
    for (index, draw) in policy.draws.enumerated() {
      draw.fill(policy.noise[index], rows: Self.rows, key: SIMD2(3, UInt32(index)), step: 0) { UInt32($0) }
    }
    inputs["observation"] = Self.tensor(observations)
    for (draw, noise) in zip(policy.draws, policy.noise) { inputs[draw.name] = Self.tensor(noise) }
    policy.act(saved.parameters.base, rows: Self.rows)
    actions = Self.tensor(policy.actions)
  }

  private static func tensor(_ observations: Observations<Float>) -> Tensor {
    guard observations.space.isImage else { return tensor(observations.vectors) }
    let bytes = observations.row(0).assumingMemoryBound(to: UInt8.self)
    let count = observations.rows * observations.space.count
    return Tensor([observations.rows] + observations.space.shape, (0..<count).map { Double(bytes[$0]) })
  }

  private static func tensor(_ matrix: Matrix<Float>) -> Tensor {
    Tensor(
      [matrix.rows, matrix.columns],
      (0..<matrix.rows).flatMap { r in (0..<matrix.columns).map { Double(matrix[r, $0]) } })
  }
}

/// Policies as safetensors.
@Suite struct SafetensorsExportTests {
  @Test(arguments: AgentKind.allCases) func theFileHoldsTheTensorsThatThePolicyNeeds(agent: AgentKind) throws
  {
    let exported = try Exported(agent)
    #expect(try exported.tensors().tensors.keys.sorted() == exported.saved.policy(rows: 0).graph.parameters)
  }

  @Test(arguments: AgentKind.allCases) func tensorsAreThoseOfTheCheckpoint(agent: AgentKind) throws {
    let exported = try Exported(agent)
    let file = try exported.tensors()
    let checkpoint = try SafetensorsFile(path: exported.folder.file("checkpoint.safetensors"))
    for (name, tensor) in file.tensors {
      #expect(tensor.shape == checkpoint.tensors[name]?.shape, "\(name)")
      #expect(try file.floats(name) == checkpoint.floats(name), "\(name)")
    }
  }

  @Test func networksThatOnlyTrainingNeedsAreLeftOut() throws {
    let names = try Exported(.fan).tensors().tensors.keys
    #expect(!names.isEmpty && names.allSatisfy { $0.hasPrefix("actor_onestep_flow/") })
  }

  @Test func theMetadataSayWhatWasTrained() throws {
    let metadata = try Exported(.fan, ["--seed=7"]).tensors().metadata
    #expect(metadata["format"] == "fan-dist policy 1" && metadata["step"] == "40")
    #expect(metadata["agent"] == "fan" && metadata["env"] == "pointmaze-u-stitch-singletask-v0")
    #expect(metadata["observation_size"] == "2" && metadata["action_size"] == "2")
    #expect(metadata["configuration"]?.contains("seed: 7\n") == true)
  }

  @Test(arguments: AgentKind.allCases) func theMetadataSayHowToAct(agent: AgentKind) throws {
    let exported = try Exported(agent)
    let metadata = try exported.tensors().metadata
    #expect(metadata["acting"] == exported.saved.policy(rows: 0).rule)
    #expect(metadata["networks"]?.contains("gelu") == true)
    #expect(metadata["inputs"] == exported.export.inputs && metadata["outputs"] == "action (batch, 2)")
  }

  @Test(arguments: AgentKind.allCases, [[], ["--encoder=impala_debug"]])
  func thePolicyInTheFileActsLikeTheCheckpoint(agent: AgentKind, settings: [String]) throws {
    let exported = try Exported(agent, settings)
    let again = try SavedPolicy(path: exported.tensors().path, acceptsPolicy: true)
    #expect(Acted(again).actions == Acted(exported.saved).actions)
  }

  @Test func theMetadataSayWhatAnEncoderComputes() throws {
    let metadata = try Exported(.fan, ["--encoder=impala_debug"]).tensors().metadata
    #expect(metadata["networks"]?.contains("encoder: ") == true)
    #expect(metadata["inputs"] == "observation (batch, 6, 7, 3) of uint8, noise (batch, 2)")
  }

  @Test func theFileIsNoCheckpoint() throws {
    let exported = try Exported(.fan)
    let path = try exported.tensors().path
    let error = #expect(throws: FileError.self) { try SavedPolicy(path: path) }
    #expect(error?.kind == .malformed && error?.reason.contains("exported policy") == true)
  }

  @Test(arguments: PolicyExport.Format.allCases)
  func theSamePolicyGivesTheSameBytes(format: PolicyExport.Format) throws {
    let (first, second) = (try Exported(.iqn), try Exported(.iqn))
    let files = try [first, second].map { exported in
      try exported.export.write(format, to: exported.folder.file("policy"))
      return try Data(contentsOf: URL(fileURLWithPath: exported.folder.file("policy")))
    }
    #expect(files[0] == files[1])
  }

  @Test(arguments: PolicyExport.Format.allCases)
  func aPlaceThatCannotBeWrittenIsRefused(format: PolicyExport.Format) throws {
    let exported = try Exported(.fan)
    let path = exported.folder.file("no/policy")
    let error = #expect(throws: FileError.self) { try exported.export.write(format, to: path) }
    #expect(error?.kind == .unwritable && error?.file.contains("no/policy") == true)
  }
}

/// Policies as ONNX.
@Suite struct ONNXExportTests {
  /// The inputs of every agent's policy with their shapes, for observations and actions of two numbers, three
  /// candidates and three quantiles.
  private static let inputs: [AgentKind: [String: [String]]] = [
    .fan: ["observation": ["batch", "2"], "noise": ["batch", "2"]],
    .faql: ["observation": ["batch", "2"], "noise": ["batch", "2"]],
    .nfql: ["observation": ["batch", "2"], "noise": ["batch", "2"]],
    .nbrac: ["observation": ["batch", "2"], "noise": ["batch", "2"]],
    .fql: ["observation": ["batch", "2"], "noise": ["batch", "2"]],
    .rebrac: ["observation": ["batch", "2"]],
    .iqn: ["observation": ["batch", "2"], "noise": ["batch", "6"], "taus": ["3", "3"]],
    .codac: ["observation": ["batch", "2"], "noise": ["batch", "2"]],
    .valueFlows: ["observation": ["batch", "2"], "noise": ["batch", "6"], "return_noise": ["batch", "3"]],
  ]

  @Test(arguments: AgentKind.allCases) func inputsAreTheObservationAndTheDraws(agent: AgentKind) throws {
    let model = try Exported(agent).model()
    #expect(Dictionary(uniqueKeysWithValues: model.inputs.map { ($0.name, $0.shape) }) == Self.inputs[agent])
    #expect(model.inputs.first?.name == "observation")
  }

  @Test(arguments: AgentKind.allCases) func theOutputIsTheAction(agent: AgentKind) throws {
    let outputs = try Exported(agent).model().outputs
    #expect(outputs.map(\.name) == ["action"] && outputs.map(\.shape) == [["batch", "2"]])
  }

  @Test(arguments: AgentKind.allCases) func portsAreDescribedAsTheyAre(agent: AgentKind) throws {
    let exported = try Exported(agent)
    func text(_ ports: [ONNXFile.Port]) -> String {
      ports.map { "\($0.name) (\($0.shape.joined(separator: ", ")))" }.joined(separator: ", ")
    }
    let model = try exported.model()
    #expect(exported.export.inputs == text(model.inputs) && exported.export.outputs == text(model.outputs))
  }

  @Test func imagesAreAnInputOfBytes() throws {
    let input = try #require(Exported(.fan, ["--encoder=impala_debug"]).model().inputs.first)
    #expect(input.name == "observation" && input.isBytes && input.shape == ["batch", "6", "7", "3"])
  }

  @Test func theFileSaysWhichVersionsItFollows() throws {
    let model = try Exported(.fan).model()
    #expect(model.formatVersion == 7 && model.operatorSets == ["": 13] && model.producer == "fan-dist")
  }

  @Test func theFileHasTheMetadataOfSafetensors() throws {
    let exported = try Exported(.fan)
    let metadata = try exported.tensors().metadata.filter { !$0.key.hasPrefix("crc32") }
    #expect(try exported.model().metadata == metadata)
  }

  @Test(arguments: AgentKind.allCases) func parametersAreThoseOfTheCheckpoint(agent: AgentKind) throws {
    let exported = try Exported(agent)
    let model = try exported.model()
    let names = exported.saved.policy(rows: 0).graph.parameters
    for (name, tensor) in exported.saved.tensors(names) {
      #expect(model.constants[name] == Tensor(tensor.shape, tensor.values.map(Double.init)), "\(name)")
    }
  }

  /// An independent reader computes the file's operators one by one.
  @Test(
    arguments: AgentKind.allCases.map { ($0, []) } + [
      (.fan, ["--actor-layer-norm"]), (.rebrac, ["--no-tanh-squash"]), (.iqn, ["--quantile-agg=min"]),
      (.iqn, ["--no-clip-flow-actions"]), (.valueFlows, ["--q-agg=min"]),
      (.valueFlows, ["--no-clip-flow-returns"]),
    ] + AgentKind.allCases.map { ($0, ["--encoder=impala_debug"]) } as [(AgentKind, [String])])
  func theFilesOperatorsComputeThePolicysActions(agent: AgentKind, settings: [String]) throws {
    let exported = try Exported(agent, settings)
    let (model, acted) = (try exported.model(), Acted(exported.saved))
    let values = try compute(model.operators, model.constants.merging(acted.inputs) { $1 })
    let action = try #require(values["action"])
    #expect(action.shape == acted.actions.shape)
    let errors = zip(action.values, acted.actions.values).map { abs($0 - $1) }
    #expect(errors.allSatisfy { $0 < 1e-5 }, "\(errors)")
    #expect(Set(action.values).count > 2, "\(action)")
  }

  /// The file takes observations and gives actions in the data's own units, as the policy in this program does.
  @Test(arguments: AgentKind.allCases) func scalesArePartOfTheComputation(agent: AgentKind) throws {
    let scales = DataScales(
      observations: .init(shift: [300, -1], scale: [100, 0.25]), actions: .init(ranges: [0...5, -3...1]),
      rewards: nil)
    let exported = try Exported(agent, scales: scales)
    let (model, acted) = (try exported.model(), Acted(exported.saved))
    let values = try compute(model.operators, model.constants.merging(acted.inputs) { $1 })
    let action = try #require(values["action"])
    let errors = zip(action.values, acted.actions.values).map { abs($0 - $1) }
    #expect(errors.allSatisfy { $0 < 1e-5 }, "\(errors)")
    #expect(action.values.contains { abs($0) > 1 }, "\(action)")
  }
}
