import ArgumentParser
import ArrayFiles
import Basics
import Checkpoints
import Export
import Foundation
import Settings

/// `fan-dist export CHECKPOINT`: writes the policy for other programs.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write the policy of a checkpoint for other programs.",
    discussion: """
      A .safetensors file holds the tensors that acting needs, and in its metadata how to act with them. A .onnx \
      file holds what acting computes: observations and noise in, actions out, any number at once.
      """)

  @Argument(help: "A checkpoint, such as RUN/checkpoints/best.safetensors.")
  var checkpoint: String

  @Option(help: "File to write, ending in .safetensors or .onnx; can be given several times.")
  var out = ["policy.safetensors", "policy.onnx"]

  func validate() throws {
    _ = try out.map(format)
    for (index, path) in out.enumerated() where out[..<index].contains(where: { isSamePath($0, path) }) {
      throw ValidationError("--out \(path) is given twice")
    }
  }

  func run() throws {
    for path in out { try requireNoCheckpoint(at: path) }
    let policy = PolicyExport(try SavedPolicy(path: checkpoint, acceptsPolicy: true))
    for path in out {
      try policy.write(format(path), to: path)
      try StandardStream.output.say("\(path): \(policy.inputs) -> \(policy.outputs)")
    }
  }

  private func format(_ path: String) throws -> PolicyExport.Format {
    guard let format = PolicyExport.Format(rawValue: URL(fileURLWithPath: path).pathExtension) else {
      throw ValidationError("--out must end in .safetensors or .onnx")
    }
    return format
  }

  /// Throws when a checkpoint would be replaced: no run could go on from the policy that takes its place.
  private func requireNoCheckpoint(at path: String) throws {
    guard !isSamePath(path, checkpoint) else {
      throw Failure(.usage, "--out \(path): is the checkpoint itself; choose another name")
    }
    // The head of the file tells, whichever version wrote it. What cannot be read is no checkpoint.
    let format = (try? SafetensorsFile(path: path))?.metadata["format"] ?? ""
    guard !format.hasPrefix("fan-dist checkpoint") else {
      throw Failure(
        .cannotCreate,
        "--out \(path): is a checkpoint, from which a run can go on; choose another name, or remove it")
    }
  }
}
