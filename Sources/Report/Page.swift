import ArrayFiles

/// A whole HTML page around `body`. The page needs no other files, and its security policy keeps browsers
/// from loading or running anything.
func page(title: String, _ body: Markup) -> String {
  let page: Markup = """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"/>
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"/>
    <meta name="viewport" content="width=device-width, initial-scale=1"/>
    <title>\(title)</title>
    <style>\(stylesheet)</style></head>
    <body><main>\(body)</main></body></html>

    """
  return page.html
}

/// Writes a page to the file `path`. Throws `FileError` with code 73 if it cannot be written.
func save(_ page: String, to path: String) throws { try writeFile(Array(page.utf8), path: path) }

/// A section of the page under a heading; empty if `content` is empty.
func section(_ title: String, _ introduction: Markup = "", _ content: [Markup]) -> Markup {
  guard !content.isEmpty else { return "" }
  let paragraph: Markup = introduction.html.isEmpty ? "" : "<p>\(introduction)</p>"
  return "<section><h2>\(title)</h2>\(paragraph)\(content)</section>\n"
}

/// A chart with its caption, and a folded table with its numbers for readers who cannot see the chart. Large
/// charts scroll on narrow screens.
func figure(_ chart: Markup, _ caption: Markup = "", numbers: DataTable? = nil) -> Markup {
  let text: Markup = caption.html.isEmpty ? "" : "<figcaption>\(caption)</figcaption>"
  return "<figure><div class=\"scroll\">\(chart)</div>\(text)\(numbers.map(\.folded) ?? "")</figure>\n"
}

/// A table with names in the first column and numbers in the others.
struct DataTable {
  /// A cell.
  struct Cell: ExpressibleByStringInterpolation {
    var text: String
    /// The style whose colour is shown before the text, if any.
    var style: Int?
    /// Whether the text is highlighted.
    var isMarked = false

    init(stringLiteral value: String) { text = value }
    init(_ text: String, style: Int? = nil, isMarked: Bool = false) {
      (self.text, self.style, self.isMarked) = (text, style, isMarked)
    }
  }

  var header: [String]
  var rows: [[Cell]]

  /// The table, folded until the reader opens it.
  var folded: Markup { "<details><summary>Numbers</summary>\(markup)</details>" }

  /// The table. It scrolls if it is wider than the page.
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

/// The names of the groups with their colours, for charts that do not name their lines; empty for a single
/// group.
func legend(_ groups: [RunGroup]) -> Markup {
  guard groups.count > 1 else { return "" }
  let entries = groups.map { group -> Markup in
    "<li><span class=\"swatch \(styleClass(group.style))\"></span>\(group.name)</li>"
  }
  return "<ul class=\"legend\">\(entries)</ul>"
}
