import Datasets

/// A histogram of values: bars over a linear axis, as high as there are values in each bin.
struct HistogramChart {
  var description: String
  var x: String
  var y: String
  var histogram: Histogram
  var style = 0
  var width = 300.0
  var height = 150.0

  var svg: Markup {
    let bins = histogram.bins
    let isSmall = width < 500
    // A single bin is as narrow as rounding; it stands for one value.
    let ends = bins.count == 1 ? [(bins[0].low + bins[0].high) / 2] : bins.flatMap { [$0.low, $0.high] }
    let plot = Plot(
      x: Axis(x, over: ends, isRounded: false, ticks: isSmall ? 3 : 8),
      y: Axis(y, over: bins.map { Double($0.count) }, including: [0], ticks: 3), width: width, height: height)
    let bars = bins.filter { $0.count > 0 && $0.high.isPlottable && $0.low.isPlottable }.map {
      bin -> Markup in
      let (left, top) = (plot.across(bin.low), plot.up(Double(bin.count)))
      return """
        <rect class="bar" x="\(left)" y="\(top)" width="\(max(2, plot.across(bin.high) - left))" \
        height="\(plot.bottom - top)"/>
        """
    }
    return picture(
      width, height, description, "\(plot.axes)<g class=\"\(styleClass(style))\">\(bars)</g>")
  }
}
