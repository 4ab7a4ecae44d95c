import ArrayFiles
import Basics
import Settings

/// A checkpoint that has been opened, whose checksums hold and whose numbers are finite.
public struct Checkpoint {
  /// What the file says beside its tensors.
  public let state: CheckpointState
  private let file: SafetensorsFile

  /// Opens and verifies a checkpoint.
  ///
  /// - Parameter acceptsPolicy: whether a file that holds the policy alone will do.
  public init(path: String, acceptsPolicy: Bool = false) throws {
    file = try SafetensorsFile(path: path)
    state = try CheckpointState(file)
    guard state.format == .checkpoint || acceptsPolicy else {
      throw FileError(
        .malformed, file: path, reason: "holds an exported policy alone; this needs the checkpoint")
    }
    // No other numbers are saved.
    try file.verify(requiresFinite: true)
  }

  /// The settings that its policy was trained with; their task is a known one.
  public func configuration() throws -> Configuration {
    do {
      let configuration = try Configuration.parse(
        try arguments(ofConfiguration: state.configuration, file: file.path))
      do { _ = try namedTask(configuration.env) } catch {
        throw Failure(.data, "\(file.path): was trained for a task that is not known: \(error)")
      }
      return configuration
    } catch let failure as Failure {
      throw Failure(.data, failure.message)
    } catch {
      throw Failure(
        .data, "\(file.path): its configuration does not parse: \(Configuration.message(for: error))")
    }
  }

  /// Throws unless the checkpoint has a tensor of this shape.
  public func require(_ name: String, shape: [Int]) throws {
    guard let tensor = file.tensors[name] else {
      throw FileError(.malformed, file: file.path, member: name, reason: "this tensor is missing")
    }
    guard tensor.shape == shape else {
      throw FileError(
        .malformed, file: file.path, member: name,
        reason: "shape \(tensor.shape) does not fit the networks, which have \(shape)")
    }
  }

  /// Reads one tensor; its shape must be the expected one.
  public func read(_ name: String, shape: [Int], into base: UnsafeMutablePointer<Float>) throws {
    try require(name, shape: shape)
    try file.read(name, into: UnsafeMutableBufferPointer(start: base, count: shape.reduce(1, *)))
  }

  /// Reads all tensors of a run.
  public func read(into memory: NamedTensors) throws {
    for tensor in memory.tensors { try read(tensor.name, shape: tensor.shape, into: tensor.base) }
  }

  /// Writes a file, which is there whole or not at all.
  public static func write(_ path: String, _ state: CheckpointState, _ memory: NamedTensors) throws {
    try SafetensorsWriter.write(
      path: path, metadata: state.metadata,
      tensors: memory.tensors.map {
        ($0.name, $0.shape, UnsafeBufferPointer(start: $0.base, count: $0.count))
      })
  }
}
