import Basics

/// The section on the speed of updates and the shares of their time.
func time(_ groups: [RunGroup]) -> Markup {
  let timed = groups.filter { !$0.updateRates.isEmpty }
  guard !timed.isEmpty else { return "" }
  let rates = timed.map { group in
    LineChart.Series(
      name: group.name, style: group.style,
      points: Curve(group.runs.compactMap(\.training), RecordedRun.rateColumn).points, isMain: true)
  }
  let lines = LineChart(
    description: "updates a second over updates", x: "updates", y: "updates a second", series: rates,
    including: [0], height: 240)
  return section(
    "Time",
    """
    Medians over the lines of train.csv, means over runs; evaluation is not counted. The share of the environment is that \
    of the online phase.
    """,
    [figure(bars(timed).svg, numbers: table(timed)), figure(lines.svg)])
}

/// Bars of the time of an update, divided into the shares that train.csv contains.
private func bars(_ groups: [RunGroup]) -> BarChart {
  let shares = shareColumns(groups)
  return BarChart(
    description: "time of an update by setting", x: "milliseconds an update",
    partNames: shares.isEmpty ? [] : ["computing"] + shares.map(partName),
    bars: groups.map { group in
      let time = 1000 / median(group.updateRates)
      let parts = shares.map { time * group.share($0) }
      return BarChart.Bar(
        name: group.name, style: group.style, parts: [time - parts.reduce(0, +)] + parts,
        label: "\(short(time)) ms")
    })
}

private func table(_ groups: [RunGroup]) -> DataTable {
  let shares = shareColumns(groups)
  return DataTable(
    header: ["", "updates/s", "ms an update"] + shares.map { "\(partName($0)), %" },
    rows: groups.map { group in
      let rate = median(group.updateRates)
      return [.init(group.name, style: group.style), .init(short(rate)), .init(short(1000 / rate))]
        + shares.map { .init(short(100 * group.share($0))) }
    })
}

/// The columns of train.csv that hold shares of the time.
private func shareColumns(_ groups: [RunGroup]) -> [String] {
  groups.flatMap(\.runs).flatMap { $0.training?.columns ?? [] }.unique()
    .filter { $0.hasPrefix("time/") && $0.hasSuffix("_share") }
}

/// The share's name in a column's name: `communication` in `time/communication_share`.
private func partName(_ column: String) -> String { String(column.dropFirst(5).dropLast(6)) }

extension RunGroup {
  /// The updates a second: the median of each run that has any rates.
  var updateRates: [Double] {
    runs.compactMap { run in
      let rates = (run.training?.values(RecordedRun.rateColumn) ?? []).map(\.value).filter {
        $0 > 0 && $0.isPlottable
      }
      return rates.isEmpty ? nil : median(rates)
    }
  }

  /// The share of the time in `column`: the median over each run's rows, averaged over runs.
  fileprivate func share(_ column: String) -> Double {
    let shares = runs.compactMap { run -> Double? in
      let values = (run.training?.values(column) ?? []).map(\.value).filter(\.isFinite)
      return values.isEmpty ? nil : max(0, min(1, median(values)))
    }
    return shares.isEmpty ? 0 : mean(shares)
  }
}

extension RecordedRun {
  static let rateColumn = "time/updates_per_second"

  /// A function that gives the seconds that the first `step` updates took, integrated from the rates in
  /// train.csv; it returns nil beyond the last rate. Nil if there are no rates.
  var clock: ((_ step: Double) -> Double?)? {
    var (times, last) = ([(step: 0.0, seconds: 0.0)], 0.0)
    for (step, rate) in training?.values(Self.rateColumn) ?? [] where rate > 0 && step > last {
      times.append((step, times.last!.seconds + (step - last) / rate))
      last = step
    }
    guard times.count > 1 else { return nil }
    return { [times] step in
      guard let next = times.firstIndex(where: { $0.step >= step }) else { return nil }
      guard next > 0 else { return 0 }
      let (a, b) = (times[next - 1], times[next])
      return a.seconds + (b.seconds - a.seconds) * (step - a.step) / (b.step - a.step)
    }
  }
}
