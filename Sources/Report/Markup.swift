/// A piece of HTML or SVG, also well-formed as XML.
///
/// String literals are markup. Interpolated text is escaped, because it may come from anywhere, such as a
/// file that somebody else wrote; only interpolated `Markup` is inserted unchanged.
///
///     let cell: Markup = "<td class=\"name\">\(name)</td>"
struct Markup: ExpressibleByStringInterpolation {
  let html: String

  init(stringLiteral value: String) { html = value }
  init(stringInterpolation: StringInterpolation) { html = stringInterpolation.html }

  struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var html = ""

    init(literalCapacity: Int, interpolationCount: Int) { html.reserveCapacity(literalCapacity) }

    mutating func appendLiteral(_ literal: String) { html += literal }
    mutating func appendInterpolation(_ markup: Markup) { html += markup.html }
    mutating func appendInterpolation(_ parts: [Markup]) { for part in parts { html += part.html } }
    mutating func appendInterpolation(_ text: String) { html += escaped(text) }
    mutating func appendInterpolation(_ count: Int) { html += "\(count)" }
    /// Appends a coordinate with two decimals, more than a screen or a printer shows.
    mutating func appendInterpolation(_ coordinate: Double) { html += decimals(coordinate, upTo: 2) }
  }
}

extension Array where Element == Markup {
  /// The concatenated pieces.
  var joined: Markup { "\(self)" }
}

/// Escapes text for use between tags and in quoted attributes.
///
/// Control characters, which XML forbids, and characters that change the direction of text become �. Text is
/// cut after 2,000 characters.
private func escaped(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars.prefix(2000) {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "'": result += "&#39;"
    case "\n", "\t": result += " "
    case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}",
      "\u{FFFE}"..."\u{FFFF}":
      result += "\u{FFFD}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}
