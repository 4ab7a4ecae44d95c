import ArgumentParser
import Basics
import Checkpoints
import Export
import Foundation

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

  func validate() throws { _ = try out.map(format) }

  func run() throws {
    let policy = PolicyExport(try SavedPolicy(path: checkpoint, acceptsPolicy: true))
    for path in out {
      guard !isSameFile(path, checkpoint) else {
        throw Failure(.usage, "--out \(path): is the checkpoint itself; choose another name")
      }
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

  private func isSameFile(_ first: String, _ second: String) -> Bool {
    let paths = [first, second].map { URL(fileURLWithPath: $0).resolvingSymlinksInPath().standardizedFileURL }
    return paths[0] == paths[1]
  }
}
