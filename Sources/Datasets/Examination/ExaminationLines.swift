extension DatasetExamination {
  /// Of more columns than this, only the suspicious ones have a line of their own.
  private static let mostColumns = 32
  /// Of more columns with the same kind of finding, the rest is counted.
  private static let mostAlike = 5

  /// What is suspicious, a line each.
  ///
  /// - Parameter all: whether each column is told, however many there are.
  public func warnings(all: Bool) -> [String] {
    let findings = self.findings
    return Finding.Kind.allCases.flatMap { kind -> [String] in
      let alike = findings.filter { $0.kind == kind }
      guard !all, kind != .whole, alike.count > Self.mostAlike else { return alike.map(\.text) }
      let rest = alike.count - Self.mostAlike
      return alike.prefix(Self.mostAlike).map(\.text)
        + ["\(rest) more column(s) \(kind.rawValue): --all-columns or --html page.html lists them"]
    }
  }

  /// The episodes, the rewards and the columns, a line each.
  ///
  /// - Parameter all: whether each column has a line, however many there are.
  public func lines(all: Bool) -> [String] {
    let told = Set(findings.compactMap(\.column))
    return episodeLines + [rewardLine]
      + lines(actions, "actions", told, all: all, Self.actionLine)
      + lines(observations, "observations", told, all: all, Self.line)
  }

  /// The lengths, returns and ends of episodes.
  package var episodeLines: [String] {
    let (lengths, returns) = (episodes.lengths, episodes.returns)
    let cut = episodes.count - episodes.empty - episodes.terminated
    return [
      "dataset: episodes: length \(range(lengths.minimum, lengths.maximum)), mean \(brief(lengths.mean)); return \(range(returns.minimum, returns.maximum)), mean \(brief(returns.mean))",
      "dataset: episodes: \(episodes.terminated) end with a mask of 0 (terminal), \(cut) are cut off (timeout); masks of 0 before the end: \(episodes.masksWithin); transitions that change nothing: \(percent(episodes.still, of: episodes.transitions))",
    ]
  }

  private var rewardLine: String {
    let ends =
      rewards.isConstant
      ? ""
      : "; \(percent(rewards.atMinimum)) are the lowest, \(percent(rewards.atMaximum)) the highest"
    return
      "dataset: rewards: \(range(rewards.minimum, rewards.maximum)), mean \(brief(rewards.mean)) ± \(brief(rewards.spread))\(ends)"
  }

  /// The lines of columns: of all, or of those that were told of and one for the rest.
  private func lines(
    _ columns: [ExaminedColumn], _ name: String, _ told: Set<String>, all: Bool,
    _ line: (ExaminedColumn) -> String
  ) -> [String] {
    guard !all, columns.count > Self.mostColumns else { return columns.map(line) }
    let chosen = columns.filter { told.contains($0.name) }.prefix(Self.mostAlike)
    func extent(_ values: [Double]) -> String { range(values.min() ?? .nan, values.max() ?? .nan) }
    let (means, spreads) = (extent(columns.map(\.mean)), extent(columns.map(\.spread)))
    let values = extent(columns.flatMap { [$0.minimum, $0.maximum] })
    return chosen.map(line) + [
      "dataset: \(name): \(columns.count) columns, \(values); means \(means), spreads \(spreads); --all-columns or --html page.html shows each"
    ]
  }

  private static func line(_ column: ExaminedColumn) -> String {
    let isWide = !column.isConstant && max(column.atMinimum, column.atMaximum) >= 0.05
    let ends =
      isWide ? ", \(percent(column.atMinimum)) the lowest and \(percent(column.atMaximum)) the highest" : ""
    return "dataset: \(summary(column))\(ends)"
  }

  private static func actionLine(_ column: ExaminedColumn) -> String {
    "dataset: \(summary(column)); \(brief(column.minimum + 1)) above -1, \(brief(1 - column.maximum)) below 1, \(percent(column.atBounds)) at these bounds"
  }

  private static func summary(_ column: ExaminedColumn) -> String {
    let repeated = column.repeated.map { "; \(percent($0)) as in the row before" } ?? ""
    return
      "\(column.name): \(range(column.minimum, column.maximum)), mean \(brief(column.mean)) ± \(brief(column.spread))\(repeated)"
  }
}

private func range(_ low: Double, _ high: Double) -> String { "\(brief(low)) to \(brief(high))" }
