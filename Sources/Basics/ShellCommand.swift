/// A command as a shell reads it back.
public func shellCommand(_ words: [String]) -> String { words.map(quoted).joined(separator: " ") }

/// A word with the quotes that a shell needs.
private func quoted(_ word: String) -> String {
  let isPlain = word.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.,_/=:@%".contains($0)) }
  return isPlain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
}
