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
      given, such as {"observation": [0.5, 1], "noise": [0, 0]}; the inputs are those of `fan-dist export`. Each line \
      out, written at once, is an array of numbers, the action, or {"error": "what is wrong with the line"}. With \
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
    let inputs: [String: [Float]]

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let observation = try? container.decode([Float].self) {
        inputs = ["observation": observation]
      } else {
        inputs = try container.decode([String: [Float]].self)
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
    policy = saved.policy(rows: 1)
  }

  /// The action as JSON. Noise that the line does not give is drawn, as for this step of an evaluation's first
  /// episode.
  func answer(_ line: LineReader.Line, step: Int) throws(Refusal) -> String {
    guard case .text(let text) = line else { throw Refusal(reason: "is too long") }
    guard let request = try? decoder.decode(Request.self, from: text) else {
      throw Refusal(reason: "is neither an array of numbers nor an object of such arrays, in JSON")
    }
    var given = request.inputs
    guard try take("observation", from: &given, into: policy.observations.vectors) else {
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

  /// Moves an input's numbers into a matrix; false when the input is not given.
  private func take(
    _ name: String, from given: inout [String: [Float]], into matrix: Matrix<Float>
  ) throws(Refusal) -> Bool {
    guard let values = given.removeValue(forKey: name) else { return false }
    let count = matrix.rows * matrix.columns
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
