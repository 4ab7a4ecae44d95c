import Agents
import ArgumentParser
import Basics
import Environments
import Foundation

/// What `--env` leaves open: how the environment is made, and how its returns are scored. Part of a run's settings.
public struct EnvironmentOptions: ParsableArguments, Sendable {
  @Option(
    help: ArgumentHelp(
      "Arguments for the Gymnasium environment: KEY=VALUE,KEY=VALUE or a JSON object.", valueName: "kwargs"),
    transform: EnvironmentArguments.init)
  public var envKwargs: EnvironmentArguments?

  @Option(
    help: ArgumentHelp(
      "Steps after which an episode of the Gymnasium environment is cut off, in place of its own limit.",
      valueName: "n"))
  public var maxEpisodeSteps: Int?

  @Option(
    help: ArgumentHelp(
      "Python class that the Gymnasium environment is wrapped in.", valueName: "module:class"))
  public var envWrapper: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The two returns that score 0 and 100, such as 0,3000; in place of the benchmark's.",
      valueName: "low,high"), transform: ReferenceReturns.init)
  public var referenceReturns: ReferenceReturns?

  /// Settings that only a parser can fill, as with every `ParsableArguments`.
  public init() {}

  /// Rejects values that are out of range.
  public func validate() throws {
    try require(
      (1...100_000).contains(maxEpisodeSteps ?? 1), "--max-episode-steps must be between 1 and 100000")
    try require(
      envWrapper.map(isModuleAndClass) ?? true,
      "--env-wrapper must name a Python module and a class in it, MODULE:CLASS")
  }

  /// These options where they are given, and `others` where they are not.
  public func over(_ others: EnvironmentOptions) -> EnvironmentOptions {
    var options = self
    options.envKwargs = envKwargs ?? others.envKwargs
    options.maxEpisodeSteps = maxEpisodeSteps ?? others.maxEpisodeSteps
    options.envWrapper = envWrapper ?? others.envWrapper
    options.referenceReturns = referenceReturns ?? others.referenceReturns
    return options
  }

  /// The settings that only environments in Python have.
  var forGymnasium: [Setting] { settings.filter { $0.name != "reference-returns" } }
}

private func isModuleAndClass(_ text: String) -> Bool {
  let parts = text.split(separator: ":", omittingEmptySubsequences: false)
  return parts.count == 2
    && parts[0].split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isName)
    && isName(parts[1])
}

/// Whether a text is a name in Python, of ASCII characters.
private func isName(_ text: Substring) -> Bool {
  text.first.map { $0.isASCII && ($0.isLetter || $0 == "_") } == true
    && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
}

/// Arguments by name for the constructor of an environment, as a JSON object with sorted keys.
public struct EnvironmentArguments: CustomStringConvertible, Equatable, Sendable {
  /// The object's text.
  public let description: String
  /// The values that are texts, also those inside lists and objects; by the name of the argument.
  private let texts: [String: [String]]

  private static let longest = 4096

  /// Parses `KEY=VALUE,KEY=VALUE` or a JSON object. A VALUE that is JSON, such as 3, true or "a", is that; any other is
  /// a text, unless it looks like a value of Python.
  ///
  /// - Throws: `ValidationError` that says what is wrong.
  @Sendable public init(_ argument: String) throws {
    try require(
      argument.utf8.count <= Self.longest, "longer than the \(Self.longest) bytes that are accepted")
    let object = try argument.hasPrefix("{") ? Self.object(argument) : Self.pairs(argument)
    for name in object.keys.sorted() {
      try require(isName(name[...]), "'\(printable(name))' is not a name of an argument")
    }
    texts = object.mapValues(Self.texts)
    description = try Self.json(object)
  }

  /// The text of an argument; nil if there is none or it is no text.
  func text(_ name: String) -> String? { texts[name]?.count == 1 ? texts[name]?.first : nil }

  /// Whether an argument might name a module to import, as `MODULE:ID` does.
  public var mayImport: Bool { texts.values.joined().contains { $0.contains(":") } }

  /// The text of a value, with sorted keys. A number that was written as one with a fraction stays one: Python tells 1.0
  /// from 1, which JSONSerialization writes alike.
  private static func json(_ value: Any) throws -> String {
    switch value {
    case let list as [Any]: return "[\(try list.map(json).joined(separator: ","))]"
    case let object as [String: Any]:
      let pairs = try object.sorted { $0.key < $1.key }.map { "\(try json($0.key)):\(try json($0.value))" }
      return "{\(pairs.joined(separator: ","))}"
    case let number as NSNumber where String(cString: number.objCType) == "d": return "\(number.doubleValue)"
    default:
      let data = try JSONSerialization.data(
        withJSONObject: value, options: [.fragmentsAllowed, .withoutEscapingSlashes])
      return String(decoding: data, as: UTF8.self)
    }
  }

  private static func object(_ text: String) throws -> [String: Any] {
    guard let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
      throw ValidationError("not a JSON object")
    }
    if let key = repeatedKey(json: Data(text.utf8)) {
      throw ValidationError("'\(printable(key))' is given twice")
    }
    return object
  }

  private static func pairs(_ text: String) throws -> [String: Any] {
    var object: [String: Any] = [:]
    for pair in text.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      try require(
        parts.count == 2,
        "'\(printable(String(pair)))' is not KEY=VALUE; values with commas need JSON, {\"key\": [1, 2]}")
      try require(object[parts[0]] == nil, "'\(printable(parts[0]))' is given twice")
      let value = try? JSONSerialization.jsonObject(with: Data(parts[1].utf8), options: .fragmentsAllowed)
      // As a text, False would count as true.
      try require(
        value != nil || !isLikePython(parts[1]),
        "'\(printable(String(pair)))': write false, true, null or a number as JSON has them, such as 0.5, or a text in double quotes"
      )
      object[parts[0]] = value ?? parts[1]
    }
    return object
  }

  /// Whether a text that is no JSON is a number or a constant for Python.
  private static func isLikePython(_ text: String) -> Bool {
    ["False", "True", "None"].contains(text) || Double(text) != nil
  }

  private static func texts(_ value: Any) -> [String] {
    switch value {
    case let text as String: [text]
    case let list as [Any]: list.flatMap(texts)
    case let object as [String: Any]: object.flatMap { [$0.key] + texts($0.value) }
    default: []
    }
  }
}

/// The returns that a normalised score counts as 0 and as 100, written `0,3000`.
public struct ReferenceReturns: CustomStringConvertible, Equatable, Sendable {
  /// Both returns, the lower one first.
  public let values: [Double]

  /// Parses two numbers separated by a comma.
  ///
  /// - Throws: `ValidationError` that says what is wrong.
  @Sendable public init(_ argument: String) throws {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    guard parts.count == 2, let low = parts[0], let high = parts[1], low.isFinite, high.isFinite else {
      throw ValidationError("'\(printable(argument))' is not LOW,HIGH, two numbers")
    }
    try require(
      low < high && (100 / (high - low)).isFinite && (high - low).isFinite,
      "'\(printable(argument))': LOW, which scores 0, must be less than HIGH, which scores 100")
    values = [low, high]
  }

  /// The same text again.
  public var description: String { "\(values[0]),\(values[1])" }
}

/// The name by which a task is known to presets and papers: that of `--env`, or of the older environment that it wraps,
/// as in `gymnasium:shimmy:GymV21Environment-v0` with `env_id=d4rl:pen-human-v1`.
public func benchmarkTask(env: String, kwargs: EnvironmentArguments?) -> String {
  guard let id = kwargs?.text("env_id") else { return env }
  return id.split(separator: ":").last.map(String.init) ?? env
}
