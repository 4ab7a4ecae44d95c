import Basics
import Settings
import Yams

/// The contents of a sweep's file.
struct SweepFile {
  let path: String
  private(set) var common: [Choice] = []
  private(set) var ranks = 1
  private(set) var seeds: [Choice] = []
  private var grid: [[Choice]] = []
  private var variants: [[Choice]] = [[]]

  /// The largest number of runs that is accepted, to catch mistakes.
  private static let limit = 10_000

  /// Parses the text of a file and checks each setting by itself. `path` is for messages. Throws `Failure`.
  init(text: String, path: String) throws {
    self.path = path
    let root = try yaml(text, file: path)
    guard let mapping = root?.mapping else {
      throw Failure(.usage, "\(path): not a mapping; see fan-dist sweep --help")
    }
    for (key, value) in mapping {
      switch key.string {
      case "settings": common = try choices(value, of: key)
      case "grid":
        let lists = try merged(try list(value.mapping, key, "a mapping of settings to lists"), file: path)
        // Before the values are looked at, which takes a while.
        try requireFew(lists.map { max($0.value.sequence?.count ?? 1, 1) })
        grid = try lists.map { try alternatives($0.key, $0.value) }
      case "runs":
        let runs = try list(value.sequence, key, "a list of settings of single runs")
        try requireFew([runs.count])
        variants = try runs.map { try choices($0, of: key) }
      case "seeds":
        seeds = try list(value.sequence, key, "a list such as [0, 1, 2]").map(seed)
        guard !seeds.isEmpty else { throw wrong(key, "needs at least one value") }
      case "ranks":
        guard let ranks = value.int, (1...65_536).contains(ranks) else {
          throw wrong(key, "needs a number of ranks")
        }
        self.ranks = ranks
      default: throw wrong(key, "unknown; a sweep has settings, grid, runs, seeds and ranks")
      }
    }
    if seeds.isEmpty { seeds = [Choice(key: "seed", label: "seed=0", arguments: ["--seed=0"])] }
    try requireOnePlace(mapping)
  }

  /// All combinations of one entry of `runs` and one value for each setting of the grid. The grid's last
  /// setting changes fastest.
  var combinations: [[Choice]] {
    grid.reduce(variants) { combinations, values in
      combinations.flatMap { choices in values.map { choices + [$0] } }
    }
  }

  // MARK: Choices

  private func alternatives(_ key: Node, _ value: Node) throws -> [Choice] {
    let values = try list(value.sequence, key, "a list of values")
    guard !values.isEmpty else { throw wrong(key, "needs at least one value") }
    return try values.map { try choice(key, $0) }
  }

  private func choices(_ value: Node, of key: Node) throws -> [Choice] {
    guard let mapping = value.mapping else {
      throw wrong(key, "needs a mapping of settings to values", at: value)
    }
    return try merged(mapping, file: path).map { try choice($0.key, $0.value) }
  }

  /// A setting and its value, checked by itself so that the message can name the line of a mistake.
  private func choice(_ key: Node, _ value: Node) throws -> Choice {
    if key.string == "seed" { throw wrong(key, "give all seeds as seeds: [0, 1, 2]") }
    let arguments = try arguments(setting: key, to: value, file: path)
    do { _ = try Configuration.parse(arguments) } catch { throw wrong(key, oneLine(error), at: value) }
    let name = (key.string ?? "").replacing("-", with: "_")
    return Choice(key: name, label: "\(name)=\(directoryName(value))", arguments: arguments)
  }

  private func seed(_ value: Node) throws -> Choice {
    guard let seed = value.int, (0...Int(UInt32.max)).contains(seed) else {
      throw wrong("seeds", "'\(printable(value.string ?? "?"))' is not a seed", at: value)
    }
    return Choice(key: "seed", label: "seed=\(seed)", arguments: ["--seed=\(seed)"])
  }

  // MARK: Rules

  /// Throws if a setting of the grid also appears under `settings` or `runs`, because its value would be
  /// ambiguous, or if there are too many runs. A setting under both `settings` and `runs` is
  /// allowed; `runs` takes precedence.
  private func requireOnePlace(_ mapping: Node.Mapping) throws {
    let elsewhere = Set((common + variants.joined()).map(\.key))
    for (key, _) in try mapping["grid"]?.mapping.map({ try merged($0, file: path) }) ?? [] {
      guard elsewhere.contains((key.string ?? "").replacing("-", with: "_")) else { continue }
      throw wrong(key, "is in the grid and under settings or runs")
    }
    try requireFew([variants.count, seeds.count] + grid.map(\.count))
  }

  /// Throws unless lists of these lengths have few enough combinations, and at least one.
  private func requireFew(_ counts: [Int]) throws {
    let count = counts.reduce(1) { min($0, Self.limit + 1) * $1 }
    guard (1...Self.limit).contains(count) else {
      throw Failure(.usage, "\(path): \(count == 0 ? "no" : "more than \(Self.limit)") runs")
    }
  }

  private func list<List>(_ value: List?, _ key: Node, _ form: String) throws -> List {
    guard let value else { throw wrong(key, "needs \(form)") }
    return value
  }

  /// A failure that names the file, the line and the key.
  private func wrong(_ key: Node, _ problem: String, at value: Node? = nil) -> Failure {
    let line = (value ?? key).mark?.line ?? key.mark?.line ?? 0
    return Failure(.usage, "\(path):\(line): \(printable(key.string ?? "?")): \(problem)")
  }
}

/// A value as part of a directory's name: elements of a list are joined by "x", and characters that a path or
/// a shell might interpret become "_".
private func directoryName(_ value: Node) -> String {
  let parts =
    value.sequence.map { $0.compactMap(\.string) }
    ?? (value.string ?? "").split(separator: ",").map(String.init)
  return pathComponent(parts.joined(separator: "x"))
}
