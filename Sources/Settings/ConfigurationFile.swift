import ArrayFiles
import Basics
import Foundation
import Yams

/// The text of a configuration file or a sweep.
///
/// - Throws: `Failure` that says why it cannot be read.
public func textOfSettings(_ path: String) throws(Failure) -> String {
  let data: Data?
  do {
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    defer { try? file.close() }
    data = try file.read(upToCount: largestFile + 1)
  } catch { throw Failure(.noInput, "\(path): cannot be read: \(systemReason(error))") }
  guard let data else { return "" }
  guard data.count <= largestFile else {
    throw Failure(.usage, "\(path): has more than \(largestFile >> 20) MiB; settings take less")
  }
  return String(decoding: data, as: UTF8.self)
}

/// The largest file of settings that is read, in bytes.
private let largestFile = 4 << 20

/// Settings from a configuration file as arguments for the command line's parser, so that a file and flags are
/// checked by the same rules.
///
/// - Parameter text: YAML: a mapping from setting names, with underscores or dashes, to values. Lists are read
///   as values separated by commas.
/// - Throws: `Failure` naming the file, the line and the key.
public func arguments(ofConfiguration text: String, file: String) throws -> [String] {
  guard let root = try yaml(text, file: file) else { return [] }
  guard let mapping = root.mapping else {
    throw Failure(.usage, "\(file): not a mapping of settings to values")
  }
  return try merged(mapping, file: file).flatMap { try arguments(setting: $0, to: $1, file: file) }
}

/// The entries of a mapping and of those that its merge keys (`<<: *name`) name, as YAML 1.1 has them: what the mapping
/// says itself wins, then what is named first.
///
/// - Throws: `Failure` naming the file and the line, when a merge key has something else, or a setting is there twice.
public func merged(_ mapping: Node.Mapping, file: String) throws -> [(key: Node, value: Node)] {
  var merges = 0
  return try merged(mapping, file: file, &merges)
}

/// A few lines of merge keys that name each other can stand for more mappings than there is time for.
private let mostMerges = 1000

private func merged(
  _ mapping: Node.Mapping, file: String, _ merges: inout Int
) throws -> [(key: Node, value: Node)] {
  func isMerge(_ key: Node) -> Bool { key.scalar?.style == .plain && key.string == "<<" }
  func plain(_ name: String?) -> String? { name?.replacing("-", with: "_") }
  var entries = mapping.filter { !isMerge($0.key) }.map { ($0.key, $0.value) }
  var names: Set<String> = []
  for (key, _) in entries {
    guard let name = plain(key.string), !names.insert(name).inserted else { continue }
    throw Failure(.usage, "\(file):\(key.mark?.line ?? 0): '\(printable(name))' is set twice")
  }
  for (key, value) in mapping where isMerge(key) {
    let sources = value.sequence.map { Array($0) } ?? [value]
    for source in sources {
      guard let source = source.mapping else {
        throw Failure(
          .usage, "\(file):\(key.mark?.line ?? 0): '<<' needs a mapping, such as *name, or a list of them")
      }
      merges += 1
      guard merges <= mostMerges else {
        throw Failure(.usage, "\(file):\(key.mark?.line ?? 0): more than \(mostMerges) mappings are merged")
      }
      let others = try merged(source, file: file, &merges).filter {
        !names.contains(plain($0.key.string) ?? "")
      }
      names.formUnion(others.compactMap { plain($0.key.string) })
      entries += others.map { ($0.key, $0.value) }
    }
  }
  return entries.map { (key: $0.0, value: $0.1) }
}

/// A YAML document; nil when it is empty.
///
/// - Throws: `Failure` naming the file and what is wrong with it.
public func yaml(_ text: String, file: String) throws -> Node? {
  try refuseKeysThatAreLists(text, file: file)
  do {
    return try Yams.compose(yaml: text)
  } catch YamlError.duplicatedKeysInMapping(let names, _) {
    throw Failure(.usage, "\(file): '\(printable(names.first ?? "?"))' is there twice; leave one out")
  } catch {
    let line = "\(error)".split(separator: "\n").first.map(String.init) ?? "not YAML"
    throw Failure(.usage, "\(file): not a YAML file: \(line)")
  }
}

/// Throws when a key looks like a list, a mapping or an alias (`*name`), also where a text has such characters. No file
/// needs such keys. The parser compares them number by number, and a few lines of aliases can stand for more numbers than
/// there is time for.
private func refuseKeysThatAreLists(_ text: String, file: String) throws(Failure) {
  var isHead = true
  for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated()
  {
    isHead = isHead && (line.first == "#" || line.isEmpty)
    guard !isHead, looksLikeKeyThatIsList(withoutComment(line)) else { continue }
    throw Failure(.usage, "\(file):\(index + 1): a key that is no single word; write NAME: VALUE")
  }
}

/// Whether a line may have a key that is a list, a mapping or an alias.
func looksLikeKeyThatIsList(_ line: some StringProtocol) -> Bool {
  String(line).contains(#/^[ \t]*(- +)*\?([ \t\r]|$)|[\[{,][ \t]*\?[ \t]|[\]}][ \t]*:|\*[\w-]+[ \t]*:/#)
}

/// A line without the comment at its end. A comment with a quotation mark stays: what looks like one may stand in a text
/// that begins in an earlier line, and this mark may end the text.
private func withoutComment(_ line: Substring) -> Substring {
  line.firstMatch(of: #/(^|[ \t])#[^'"]*$/#).map { line[..<$0.range.lowerBound] } ?? line
}

/// The arguments that give a setting the value that a YAML file has for it; none for null, which leaves it alone.
///
/// - Throws: `Failure` naming the file, the line and the key.
public func arguments(setting key: Node, to value: Node, file: String) throws -> [String] {
  let place = "\(file):\(key.mark?.line ?? 0)"
  let name = (key.string ?? "").replacing("_", with: "-")
  guard Configuration.allSettingNames.contains(name) else {
    throw Failure(
      .usage, "\(place): unknown setting '\(printable(key.string ?? "?"))'; see fan-dist train --help")
  }
  guard (value.sequence.map(Array.init) ?? [value]).allSatisfy({ $0.string?.contains("\0") != true }) else {
    throw Failure(.usage, "\(place): '\(name)' has the character NUL, which no setting can hold")
  }
  if let list = value.sequence {
    guard list.allSatisfy({ $0.scalar != nil }) else {
      throw Failure(.usage, "\(place): '\(name)' needs a list of single values")
    }
    return ["--\(name)=\(list.compactMap(\.string).joined(separator: ","))"]
  }
  guard let scalar = value.scalar else { throw Failure(.usage, "\(place): '\(name)' needs a single value") }
  if scalar.style == .plain, value.null != nil { return [] }
  if scalar.style == .plain, let on = value.bool { return [on ? "--\(name)" : "--no-\(name)"] }
  return ["--\(name)=\(scalar.string)"]
}
