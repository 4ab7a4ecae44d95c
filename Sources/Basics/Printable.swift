/// Text from a file as it may be shown: on one line, without control or invisible formatting characters, cut to
/// `limit` characters.
public func printable(_ text: String, limit: Int = 96) -> String {
  var result = String.UnicodeScalarView()
  for (index, scalar) in text.unicodeScalars.enumerated() {
    if index == limit { return String(result) + "…" }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
      result.append("?")
    default: result.append(scalar)
    }
  }
  return String(result)
}

/// A text as part of a file's name: characters that a path or a shell might interpret become "_".
public func pathComponent(_ text: String) -> String {
  text.map { character -> String in
    character.isASCII && (character.isLetter || character.isNumber || "+-._".contains(character))
      ? String(character) : "_"
  }.joined()
}
