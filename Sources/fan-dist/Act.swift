import Agents
import ArgumentParser
import Basics
import Checkpoints
import Foundation
import Kernels
import Randomness

/// `fan-dist act CHECKPOINT`: answers observations with actions.
struct Act: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer observations on standard input with the policy's actions.",
    discussion: """
      Each line in is JSON: an array of numbers, the observation, or an object with an array for each input that is \
      given, such as {"observation": [0.5, 1], "noise": [0, 0]}; the inputs are those of `fan-dist export`. An image is \
      a text, base64 of its bytes row by row, or nested arrays of height, width and channels. Each line out, written at once, is an array of numbers, the action, or {"error": "what is wrong with the line"}. With \
      wrong lines the exit code is 65 at the end.
      """)

  @Argument(help: "A checkpoint, or a policy that `fan-dist export` wrote as .safetensors.")
  var checkpoint: String

  @Option(help: "Seed of the noise; the run's own by default. The same seed gives the same actions again.")
  var seed: UInt32?

  func run() throws {
    let saved = try SavedPolicy(path: checkpoint, acceptsPolicy: true)
    let actor = LineActor(saved, seed: seed ?? saved.configuration.seed)
    var lines = LineReader(descriptor: STDIN_FILENO, limit: 16 << 20)
    var (count, wrong) = (0, 0)
    while let line = try lines.next() {
      let answer: String
      do throws(LineActor.Refusal) {
        answer = try actor.answer(line, step: count)
      } catch {
        answer = encoded(["error": "line \(count + 1): \(error.reason)"])
        wrong += 1
      }
      try StandardStream.output.say(answer)
      count += 1
    }
    guard wrong == 0 else {
      throw Failure(.data, "\(wrong) of \(count) lines were wrong; the answers to them say why")
    }
  }
}

/// Chooses an action for each line.
private final class LineActor {
  /// What is wrong with a line.
  struct Refusal: Error {
    let reason: String
  }

  /// A line's observation and noise, in one of the two forms that it can have.
  private struct Request: Decodable {
    let inputs: [String: Input]

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let observation = try? container.decode(Input.self) {
        inputs = ["observation": observation]
      } else {
        inputs = try container.decode([String: Input].self)
      }
    }
  }

  /// An input of a line: an array of numbers, of arrays of the same form, or bytes as base64.
  private struct Input: Decodable {
    /// In double precision, because the decoder refuses numbers too small or too large for what it decodes.
    let values: [Double]
    /// The dimensions of an array; nil for bytes.
    let shape: [Int]?

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let values = try? container.decode([Double].self) {
        (self.values, shape) = (values, [values.count])
      } else if let text = try? container.decode(String.self) {
        guard let bytes = Data(base64Encoded: text) else { throw Refusal(reason: "is not base64") }
        (values, shape) = (bytes.map { Double($0) }, nil)
      } else {
        let parts = try container.decode([Input].self)
        guard let first = parts.first, let inner = first.shape, parts.allSatisfy({ $0.shape == inner }) else {
          throw Refusal(reason: "has arrays of different lengths")
        }
        (values, shape) = (parts.flatMap(\.values), [parts.count] + inner)
      }
    }
  }

  private let saved: SavedPolicy
  private let policy: any Policy<Float>
  private let seed: UInt32
  private let decoder = JSONDecoder()

  init(_ saved: SavedPolicy, seed: UInt32) {
    self.saved = saved
    self.seed = seed
    policy = saved.rawPolicy(rows: 1)
  }

  /// The action as JSON. Noise that the line does not give is drawn, as for this step of an evaluation's first
  /// episode.
  func answer(_ line: LineReader.Line, step: Int) throws(Refusal) -> String {
    guard case .text(let text) = line else { throw Refusal(reason: "is too long") }
    guard let request = try? decoder.decode(Request.self, from: text) else {
      throw Refusal(
        reason:
          "is neither an array of numbers, nor base64 of an image, nor an object of these, in JSON with numbers of double precision"
      )
    }
    if let key = repeatedKey(json: text) { throw Refusal(reason: "has '\(printable(key))' twice") }
    var given = request.inputs
    guard try takeObservation(from: &given) else {
      throw Refusal(reason: "has no 'observation'")
    }
    for (index, (draw, noise)) in zip(policy.draws, policy.noise).enumerated() {
      if try take(draw.name, from: &given, into: noise) { continue }
      draw.fill(noise, rows: 1, key: SIMD2(seed, RandomStream.acting(index).rawValue), step: step) { _ in 0 }
    }
    if let unknown = given.keys.min() {
      let names = ["observation"] + policy.draws.map(\.name)
      throw Refusal(
        reason: "has an input '\(unknown.prefix(80))'; there are \(names.joined(separator: ", "))")
    }
    policy.act(saved.parameters.base, rows: 1)
    return encoded((0..<policy.actions.columns).map { policy.actions[0, $0] })
  }

  /// Moves the observation to the policy's; false when it is not given.
  private func takeObservation(from given: inout [String: Input]) throws(Refusal) -> Bool {
    let space = policy.observations.space
    guard space.isImage else {
      return try take("observation", from: &given, into: policy.observations.vectors)
    }
    guard let input = given.removeValue(forKey: "observation") else { return false }
    guard input.values.count == space.count, input.shape ?? space.shape == space.shape else {
      let here = input.shape.map { "shape \($0)" } ?? "\(input.values.count) bytes"
      throw Refusal(
        reason: "'observation' has \(here), not \(space.count) bytes of shape \(space.shape)\(stackAdvice)")
    }
    let bytes = policy.observations.row(0).assumingMemoryBound(to: UInt8.self)
    for (i, value) in input.values.enumerated() {
      guard let byte = UInt8(exactly: value) else {
        throw Refusal(reason: "'observation' has \(value), not a whole number from 0 to 255")
      }
      bytes[i] = byte
    }
    return true
  }

  private var stackAdvice: String {
    let frames = saved.configuration.frameStack
    return frames > 1 ? ": \(frames) frames with their channels behind each other, the oldest first" : ""
  }

  /// Moves an input's numbers into a matrix; false when the input is not given.
  private func take(
    _ name: String, from given: inout [String: Input], into matrix: Matrix<Float>
  ) throws(Refusal) -> Bool {
    guard let input = given.removeValue(forKey: name) else { return false }
    let (values, count) = (input.values.map { Float($0) }, matrix.rows * matrix.columns)
    guard input.shape?.count == 1 else { throw Refusal(reason: "'\(name)' is not an array of numbers") }
    guard values.count == count else {
      throw Refusal(reason: "'\(name)' has \(values.count) numbers, not \(count)")
    }
    guard values.allSatisfy(\.isFinite) else { throw Refusal(reason: "'\(name)' has numbers too large") }
    for (i, value) in values.enumerated() { matrix[i / matrix.columns, i % matrix.columns] = value }
    return true
  }
}

/// JSON on one line.
private func encoded(_ value: some Encodable) -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.withoutEscapingSlashes]
  return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
}
