/// The rectangle of a chart in which curves are drawn, and its axes.
struct Plot {
  let x: Axis
  let y: Axis
  let width: Double
  let height: Double
  let left: Double
  let right: Double
  let top: Double
  let bottom: Double

  /// Makes the plot of a picture of `width` × `height`. Room for ticks and titles is left around the
  /// rectangle, and `margin` on its right for labels.
  init(x: Axis, y: Axis, width: Double, height: Double, margin: Double = 16) {
    (self.x, self.y, self.width, self.height) = (x, y, width, height)
    let widest = y.ticks.map { textWidth(y.label($0)) }.max() ?? 0
    left = widest + 12
    right = width - max(margin, 16)
    top = y.title.isEmpty ? 8 : 30
    bottom = height - (x.title.isEmpty ? 24 : 42)
  }

  /// The horizontal position of a value in the picture.
  func across(_ value: Double) -> Double { left + x.fraction(value) * (right - left) }
  /// The vertical position of a value in the picture.
  func up(_ value: Double) -> Double { bottom - y.fraction(value) * (bottom - top) }

  /// Grid lines, ticks and titles. The title of the y axis is above the axis, where it reads like a heading.
  var axes: Markup {
    """
    <g class="axes">\(y.ticks.map(yTick))\(x.ticks.map(xTick))\
    <line class="base" x1="\(left)" x2="\(right)" y1="\(bottom)" y2="\(bottom)"/>\
    \(y.title.isEmpty ? "" : title(y.title, at: 0, 13, anchor: "start"))\
    \(x.title.isEmpty ? "" : title(x.title, at: right, bottom + 36, anchor: "end"))</g>
    """
  }

  private func yTick(_ tick: Double) -> Markup {
    """
    <line class="grid" x1="\(left)" x2="\(right)" y1="\(up(tick))" y2="\(up(tick))"/>\
    <text class="tick" x="\(left - 6)" y="\(up(tick) + 4)" text-anchor="end">\(y.label(tick))</text>
    """
  }

  private func xTick(_ tick: Double) -> Markup {
    """
    <line class="mark" x1="\(across(tick))" x2="\(across(tick))" y1="\(bottom)" y2="\(bottom + 4)"/>\
    <text class="tick" x="\(across(tick))" y="\(bottom + 18)" text-anchor="middle">\(x.label(tick))</text>
    """
  }

  private func title(_ text: String, at x: Double, _ y: Double, anchor: String) -> Markup {
    "<text class=\"axis\" x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\">\(text)</text>"
  }
}

/// An SVG picture of the given size. Screen readers read `description`. On narrow screens, pictures wider
/// than 500 scroll and others shrink.
func picture(_ width: Double, _ height: Double, _ description: String, _ content: Markup) -> Markup {
  let size: Markup = width > 500 ? "class=\"large\" " : ""
  return """
    <svg \(size)viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" role="img" \
    aria-label="\(description)">\(content)</svg>
    """
}

/// The approximate width of a text in the font size of tick labels.
func textWidth(_ text: String) -> Double { 7 * Double(text.count) }

/// The approximate width of a text in the font size of names.
func nameWidth(_ text: String) -> Double { 8 * Double(text.count) }

/// The name, with its end replaced by an ellipsis if it is wider than `width`.
package func shortened(_ name: String, to width: Double) -> String {
  let count = max(1, Int(width / nameWidth("m")))
  return name.count <= count ? name : name.prefix(count - 1) + "…"
}
