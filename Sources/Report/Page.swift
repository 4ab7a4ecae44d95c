import Basics
import Foundation

/// The frame of a page: everything it needs is in it, and a browser is told to fetch and run nothing.
func page(title: String, _ body: Markup) -> String {
  let page: Markup = """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"/>
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
    <meta name="viewport" content="width=device-width, initial-scale=1"/>
    <title>\(title)</title>
    <style>\(stylesheet)</style></head>
    <body><main>\(body)</main></body></html>

    """
  return page.html
}

/// Writes a page to a file.
func save(_ page: String, to path: String) throws {
  do {
    try Data(page.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch {
    throw Failure(.cannotCreate, "\(path): cannot write: \(error.localizedDescription)")
  }
}

/// A part of the page under a heading; nothing when it has no content.
func section(_ title: String, _ introduction: Markup = "", _ content: [Markup]) -> Markup {
  guard !content.isEmpty else { return "" }
  let paragraph: Markup = introduction.html.isEmpty ? "" : "<p>\(introduction)</p>"
  return "<section><h2>\(title)</h2>\(paragraph)\(content)</section>\n"
}

/// A chart with what it shows, and its numbers for those who cannot see it. On a narrow screen a large chart scrolls.
func figure(_ chart: Markup, _ caption: Markup = "", numbers: DataTable? = nil) -> Markup {
  let text: Markup = caption.html.isEmpty ? "" : "<figcaption>\(caption)</figcaption>"
  return "<figure><div class=\"scroll\">\(chart)</div>\(text)\(numbers.map(\.folded) ?? "")</figure>\n"
}

/// A table of texts: names on the left, numbers in the other columns.
struct DataTable {
  /// A cell.
  struct Cell: ExpressibleByStringInterpolation {
    var text: String
    /// In the colour of the group of this style.
    var style: Int?
    /// Whether it is meant to be seen first.
    var isMarked = false

    init(stringLiteral value: String) { text = value }
    init(_ text: String, style: Int? = nil, isMarked: Bool = false) {
      (self.text, self.style, self.isMarked) = (text, style, isMarked)
    }
  }

  var header: [String]
  var rows: [[Cell]]

  /// The table, to be unfolded.
  var folded: Markup { "<details><summary>Numbers</summary>\(markup)</details>" }

  /// The table; wide ones scroll.
  var markup: Markup {
    """
    <div class="wide"><table><thead><tr>\(header.map { "<th scope=\"col\">\($0)</th>" as Markup })</tr></thead>\
    <tbody>\(rows.map(row))</tbody></table></div>
    """
  }

  private func row(_ cells: [Cell]) -> Markup {
    let columns = cells.enumerated().map { index, cell -> Markup in
      let swatch: Markup = cell.style.map { "<span class=\"swatch \(styleClass($0))\"></span>" } ?? ""
      let content: Markup = cell.isMarked ? "<mark>\(cell.text)</mark>" : "\(cell.text)"
      return index == 0 ? "<th scope=\"row\">\(swatch)\(content)</th>" : "<td>\(swatch)\(content)</td>"
    }
    return "<tr>\(columns)</tr>\n"
  }
}

/// The colours of the groups by name, for charts that do not name their lines.
func legend(_ groups: [RunGroup]) -> Markup {
  guard groups.count > 1 else { return "" }
  let entries = groups.map { group -> Markup in
    "<li><span class=\"swatch \(styleClass(group.style))\"></span>\(group.name)</li>"
  }
  return "<ul class=\"legend\">\(entries)</ul>"
}
