import ArrayFiles
import Basics
import Environments
import Foundation
import Settings

/// The section on the best policies in embedded mazes: their paths, and the returns that their critics
/// expect.
struct PolicySection {
  /// The section; empty if no run is in an embedded maze.
  private(set) var markup: Markup = ""
  /// One line for each checkpoint that could not be read.
  private(set) var notes: [String] = []

  /// A group's policy.
  private struct Entry {
    let group: RunGroup
    let run: RecordedRun
    let played: PlayedPolicy
  }

  /// The number of groups that are shown; further groups are left out.
  private static let limit = 9

  /// Plays the best policy of one run of each group: the run whose last success is in the middle.
  init(_ groups: [RunGroup]) {
    let tasks = groups.compactMap { group in
      group.middle["env"].flatMap { try? PointMazeTask(name: $0) }.map { (group, $0) }
    }
    var entries: [Entry] = []
    for (group, task) in tasks.prefix(Self.limit) {
      do {
        entries.append(Entry(group: group, run: group.middle, played: try PlayedPolicy(group.middle, task)))
      } catch {
        notes.append("\(group.middle.name): no best policy to draw: \(Failure(error).message)")
      }
    }
    guard !tasks.isEmpty else { return }
    let list: Markup =
      notes.isEmpty ? "" : "<ul class=\"notes\">\(notes.map { "<li>\($0)</li>" as Markup })</ul>"
    let pictures: [Markup] =
      entries.isEmpty
      ? []
      : ["<div class=\"charts\">\(entries.map(Self.map))</div>"] + entries.compactMap(Self.strip)
        + [Self.expectations(entries)]
    markup = section(
      "Policies",
      """
      The best policy of a run of each setting: of several seeds, the run whose last success is in the middle\
      \(tasks.count > Self.limit ? "; the first \(Self.limit) of \(tasks.count) settings" : ""). The maps \
      show the first episodes of its evaluation; paths that do not reach the goal are grey and dashed.
      """, pictures + [list])
  }

  private static func map(_ entry: Entry) -> Markup {
    let (name, episodes) = (entry.group.name, entry.played.episodes)
    let map = MazeMap(
      description: "ways of \(name) through the maze", environment: entry.played.environment,
      style: entry.group.style,
      ways: episodes.map { MazeMap.Way(places: $0.positions, arrives: $0.isSolved) })
    return figure(
      map.svg,
      """
      <span class="swatch \(styleClass(entry.group.style))"></span>\(name): run \(entry.run.name), update \
      \(grouped(entry.played.step)), \(episodes.count { $0.isSolved }) of \(episodes.count) reach the goal
      """)
  }

  /// The number of images of a strip.
  private static let stripLength = 8

  /// What the policy saw on its way; nil where that were no images.
  private static func strip(_ entry: Entry) -> Markup? {
    let seen = entry.played.images
    guard !seen.isEmpty, case .image(let height, let width, _) = entry.played.frame else { return nil }
    let steps = (0..<stripLength).map { $0 * (seen.count - 1) / (stripLength - 1) }.unique()
    let images = steps.map { step -> Markup in
      let file = Data(PNGFile.bytes(seen[step], height: height, width: width)).base64EncodedString()
      return """
        <figure><img alt="what the policy saw in step \(step)" width="\(96 * width / max(width, height))" \
        height="\(96 * height / max(width, height))" src="data:image/png;base64,\(file)"/>\
        <figcaption>\(step)</figcaption></figure>
        """
    }
    return """
      <figure><div class="strip">\(images)</div><figcaption>What \(entry.group.name) sees in the first episode, with \
      the step: images of \(width) × \(height) pixels, the newest frame of each.</figcaption></figure>

      """
  }

  /// The chart and table of the returns that the critics expect, beside the actual return.
  private static func expectations(_ entries: [Entry]) -> Markup {
    let rows = entries.map { entry in
      let (expected, actual) = (entry.played.expected, entry.played.episodes[0].discountedReturn)
      return DistributionChart.Row(
        name: entry.group.name, style: entry.group.style, samples: expected.samples,
        marks: [(expected.name, expected.value), ("actual", actual)])
    }
    let chart = DistributionChart(
      description: "returns that the critics expect at the start", x: "discounted return", rows: rows)
    let numbers = DataTable(
      header: ["", "samples", "smallest", "mean", "largest", "learned by", "actual"],
      rows: zip(entries, rows).map { entry, row in
        let samples = row.samples
        return [
          .init(row.name, style: row.style), .init("\(samples.count)"), .init(short(samples.min() ?? .nan)),
          .init(short(samples.isEmpty ? .nan : mean(samples))), .init(short(samples.max() ?? .nan)),
          .init("\(row.marks[0].name) \(short(row.marks[0].value))"), .init(short(row.marks[1].value)),
        ]
      })
    return figure(
      chart.svg,
      """
      The return that the critics expect from the start of the first episode, given its first action: its \
      distribution over noise or quantiles, if they learn one, and the number that they learn from, Z or Q. “actual” \
      is the discounted return of that episode. Critics that count the distance to the data as a cost expect less.
      """, numbers: numbers)
  }
}

extension RunGroup {
  /// The run whose last success is in the middle; for an even number of runs, the lower of the two in the
  /// middle.
  fileprivate var middle: RecordedRun {
    func success(_ run: RecordedRun) -> Double {
      let last = run.evaluations?.values("success").last?.value ?? 0
      return last.isFinite ? last : 0
    }
    return runs.enumerated().sorted { (success($0.element), $0.offset) < (success($1.element), $1.offset) }[
      (runs.count - 1) / 2
    ].element
  }
}
