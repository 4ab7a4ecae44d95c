import ArrayFiles
import Datasets
import Foundation
import TrainingData

/// A page about a dataset: what is suspicious, its episodes, and each column with its distribution.
public struct DatasetPage {
  private let data: ExaminedDataset
  private var examination: DatasetExamination { data.examination }

  /// Of more columns in a field, the suspicious and the first ones have charts.
  private static let mostCharts = 200
  /// Of more findings, the first ones are listed.
  private static let mostFindings = 500

  /// Makes the page of a dataset.
  public init(_ data: ExaminedDataset) { self.data = data }

  /// Writes the page to the file `path`. Throws `FileError` with code 73 if it cannot be written.
  public func write(to path: String) throws { try save(html, to: path) }

  private var name: String { URL(fileURLWithPath: data.path).lastPathComponent }

  private var html: String {
    let findings = examination.findings
    let suspicious = Set(findings.compactMap(\.column))
    return page(
      title: "fan-dist: \(name)",
      """
      <header><h1>\(name)</h1><p class="lead">\(plain(data.headline))</p></header>

      \(list(findings))\(facts)\(episodes)\
      \(columns("Actions", examination.actions, suspicious, style: 1, """
        Actions of the transitions: training needs them in [−1, 1].
        """))\
      \(columns("Observations", examination.observations, suspicious, style: 0, ""))\(table(suspicious))
      """)
  }

  /// A line without the word that begins it in a terminal.
  private func plain(_ line: String) -> String {
    line.hasPrefix("dataset: ") ? String(line.dropFirst("dataset: ".count)) : line
  }

  private func list(_ findings: [Finding]) -> Markup {
    guard !findings.isEmpty else {
      return section("What is suspicious", "Nothing was found.", [""])
    }
    let rest = findings.count - Self.mostFindings
    let items = findings.prefix(Self.mostFindings).map { "<li>\($0.text)</li>" as Markup }
    let more: Markup = rest > 0 ? "<li>and \(rest) more</li>" : ""
    return section("What is suspicious", "", ["<ul class=\"notes\">\(items)\(more)</ul>"])
  }

  private var facts: Markup {
    section("Facts", "", ["<ul>\(data.facts.map { "<li>\(plain($0))</li>" as Markup })</ul>"])
  }

  // MARK: Episodes

  private var episodes: Markup {
    let found = examination.episodes
    let charts = [
      histogram("length", "transitions of an episode", found.lengths.histogram, style: 2),
      overEpisodes("length", found.lengths.series, style: 2),
      histogram("return", "sum of an episode's rewards", found.returns.histogram, style: 3),
      overEpisodes("return", found.returns.series, style: 3),
      histogram("reward", "reward of a transition", examination.rewards.histogram, style: 4),
      overEpisodes("reward", examination.rewards.episodes, style: 4),
    ]
    let lines = examination.episodeLines.map { "<li>\(plain($0))</li>" as Markup }
    return section(
      "Episodes",
      """
      To the left, how often each value occurs; to the right, the mean over the episodes in the order of the data, with a \
      band from the smallest to the largest.
      """, ["<ul>\(lines)</ul><div class=\"pair\">\(charts)</div>"])
  }

  private func histogram(_ name: String, _ x: String, _ histogram: Histogram, style: Int) -> Markup {
    let chart = HistogramChart(
      description: "distribution of the \(name)", x: x, y: name, histogram: histogram, style: style,
      width: 460, height: 190)
    return figure(chart.svg)
  }

  private func overEpisodes(_ name: String, _ series: EpisodeSeries, style: Int) -> Markup {
    figure(lines(name, series, style: style, x: "episode", width: 460, height: 190))
  }

  private func lines(
    _ name: String, _ series: EpisodeSeries, style: Int, x: String, width: Double, height: Double
  ) -> Markup {
    let points = series.points.map {
      LineChart.Point(x: Double($0.first), y: $0.mean, low: $0.minimum, high: $0.maximum)
    }
    var chart = LineChart(
      description: "\(name) over the episodes", x: x, y: name,
      series: [.init(name: name, style: style, points: points, isMain: false)])
    (chart.width, chart.height, chart.hasLabels) = (width, height, false)
    return chart.svg
  }

  // MARK: Columns

  private func columns(
    _ title: String, _ columns: [ExaminedColumn], _ suspicious: Set<String>, style: Int, _ text: Markup
  ) -> Markup {
    let changing = columns.filter { !$0.isConstant && $0.count > 0 }
    let sorted =
      changing.filter { suspicious.contains($0.name) } + changing.filter { !suspicious.contains($0.name) }
    let charts = sorted.prefix(Self.mostCharts).map { column -> Markup in
      let chart = HistogramChart(
        description: "distribution of \(column.name)", x: "", y: column.name, histogram: column.histogram,
        style: style)
      let series = lines(column.name, column.episodes, style: style, x: "", width: 300, height: 130)
      return figure("\(chart.svg)\(series)")
    }
    let rest = sorted.count - charts.count
    let more: Markup = rest > 0 ? " \(rest) further columns are in the table only." : ""
    return section(
      title,
      """
      \(text) The distribution of each column that changes, and below it the values over the episodes: the mean, and a band \
      from the smallest to the largest. Suspicious columns come first.\(more)
      """, charts.isEmpty ? [] : ["<div class=\"charts\">\(charts)</div>"])
  }

  private func table(_ suspicious: Set<String>) -> Markup {
    // Only actions have bounds.
    let columns =
      examination.actions.map { ($0, percent($0.atBounds)) }
      + ([examination.rewards] + examination.observations).map { ($0, "–") }
    let table = DataTable(
      header: [
        "", "smallest", "mean", "largest", "spread", "as in the row before", "at the smallest",
        "at the largest", "at ±1", "not finite",
      ],
      rows: columns.map { column, atBounds in
        [.init(column.name, isMarked: suspicious.contains(column.name))]
          + [column.minimum, column.mean, column.maximum, column.spread].map { .init(short($0)) }
          + [column.repeated, column.atMinimum, column.atMaximum].map { .init($0.map(percent) ?? "–") }
          + [.init(atBounds), .init("\(column.notFinite)")]
      })
    return section(
      "Numbers", "Suspicious columns are marked. Spread is the standard deviation.", [table.markup])
  }
}
