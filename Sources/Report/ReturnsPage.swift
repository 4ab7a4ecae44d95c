import Examples
import Foundation

/// The page about `ReturnsExample`: the decision problem, and the values and distributions that its critics
/// learn.
public struct ReturnsPage {
  private let example: ReturnsExample
  private let exact = ExactReturns()

  /// The colours of mean critic, quantile critic, FAN's Q and its Z.
  private enum Style {
    static let mean = 1
    static let quantiles = 2
    static let fan = 0
    static let z = 3
  }

  /// Makes the page about an example.
  public init(_ example: ReturnsExample) { self.example = example }

  /// Writes the page to the file `path`. Throws `Failure` with code 73 if it cannot be written.
  public func write(to path: String) throws { try save(html, to: path) }

  private var html: String {
    page(
      title: "fan-dist: what critics see of returns",
      """
      <header><h1>What critics see of returns</h1>
      <p class="lead">A mean critic, a critic of quantiles and FAN's noise-conditioned critic value the same policy from \
      the same data.</p></header>

      \(problem)\(values)\(distributions)\(progress)
      """)
  }

  private var problem: Markup {
    section(
      "The problem",
      """
      There are two steps, left or right at each. Rewards are written at the steps, their sums at the ends. The \
      policy that the critics value goes left or right with equal probability. The best return, \(signed(best)), is \
      one path of four. The average hides it: going left first gives \(signed(exact.mean(after: left))) on average, \
      going right \(signed(exact.mean(after: right))).
      """, [figure(tree)])
  }

  // MARK: Values

  private let left = TwoSteps.Step(.start, .left)
  private let right = TwoSteps.Step(.start, .right)

  private var best: Double {
    TwoSteps.Action.allCases.map { exact.supremum(after: .init(.start, $0)) }.max()!
  }

  private var values: Markup {
    let rows: [[DataTable.Cell]] = example.table.map { row in
      [
        .init(row.name, style: style(row.critic)), .init(short(row.learned.left)),
        .init(short(row.learned.right)), .init("\(row.choice)", isMarked: row.choice == .right),
        .init(fixed(row.exact.left, 0)), .init(fixed(row.exact.right, 0)),
      ]
    }
    return section(
      "At the start",
      """
      The value that each critic gives the first step. An agent that follows the mean goes left and never sees \
      \(signed(best)). High quantiles see it, and so does FAN's Z, one number from one forward pass. Z is the \
      \(ReturnsExample.expectile) expectile of Q over noise: a little below the supremum that it approximates.
      """, [DataTable(header: ["", "left", "right", "goes", "exact left", "exact right"], rows: rows).markup])
  }

  private func style(_ critic: ReturnsExample.Critic) -> Int {
    switch critic {
    case .mean: Style.mean
    case .quantiles: Style.quantiles
    case .fan: Style.fan
    case .z: Style.z
    }
  }

  // MARK: Distributions

  private var distributions: Markup {
    let charts = [left, right].map { step -> Markup in
      let chart = LineChart(
        description: "returns after going \(step.action) first, by level", x: "level, share of noise",
        y: "return after \(step.action)", series: series(step), including: [-20, 30], width: 470, height: 330)
      return figure(chart.svg)
    }
    return section(
      "Distributions",
      """
      The critic of quantiles over their levels, and FAN's Q(s, a, ε) over the share of noise below ε; both go from \
      the lowest to the highest return, as noise below 0 makes the policy go left. Dotted grey: the exact returns, which \
      are the fixed point of FAN's operator too. Horizontal: the mean critic and Z.
      """, ["<div class=\"pair\">\(charts)</div>"])
  }

  private func series(_ step: TwoSteps.Step) -> [LineChart.Series] {
    let estimate = example.estimates[step]!
    let returns = exact.returns(after: step)
    let share = 1 / Double(returns.count)
    let steps = returns.enumerated().flatMap { index, value in
      [Double(index), Double(index + 1)].map { LineChart.Point(x: $0 * share, y: value) }
    }
    func level(_ y: Double, _ name: String, _ style: Int) -> LineChart.Series {
      .init(name: name, style: style, points: [.init(x: 0, y: y), .init(x: 1, y: y)])
    }
    return [
      .init(
        name: "exact", style: LineChart.neutral, points: steps, isDashed: true, isMain: false),
      level(estimate.mean, "mean", Style.mean),
      .init(
        name: "quantiles", style: Style.quantiles,
        points: zip(ReturnsExample.levels, estimate.quantiles).map { .init(x: $0, y: $1) }),
      .init(
        name: "FAN's Q", style: Style.fan,
        points: zip(ReturnsExample.noise, estimate.q).map { .init(x: normalShare(below: $0), y: $1) }),
      level(estimate.z, "FAN's Z", Style.z),
    ]
  }

  // MARK: Progress

  private var progress: Markup {
    func line(_ name: String, _ style: Int, _ value: (ReturnsExample.Estimate) -> Double) -> LineChart.Series
    {
      .init(
        name: name, style: style,
        points: example.progress.map { .init(x: Double($0.update), y: value($0.estimates[right]!)) })
    }
    let lines = [
      line("mean", Style.mean) { $0.mean },
      line("0.9 quantile", Style.quantiles) { $0.quantile(level: 0.9) },
      line("FAN's Z", Style.z) { $0.z },
    ]
    let levels = [exact.mean(after: right), exact.supremum(after: right)].map { level in
      LineChart.Series(
        name: "exact", style: LineChart.neutral,
        points: [.init(x: 0, y: level), .init(x: Double(ReturnsExample.updates), y: level)],
        isDashed: true, isMain: false)
    }
    let chart = LineChart(
      description: "values of going right first, over updates", x: "updates", y: "value of going right first",
      series: levels + lines)
    return section(
      "Learning", "Dotted grey: the exact mean, and the supremum that FAN's operator arrives at.",
      [figure(chart.svg)])
  }

  // MARK: The tree

  /// The problem as a tree from left to right.
  private var tree: Markup {
    let tree = TwoSteps.Action.allCases.enumerated().map { index, action -> Markup in
      let first = TwoSteps.Step(.start, action)
      let middle = (x: 190.0, y: 60 + 140 * Double(index))
      let leaves = TwoSteps.Action.allCases.enumerated().map { leaf, action -> Markup in
        let second = TwoSteps.Step(first.next!, action)
        let end = (x: 360.0, y: middle.y - 35 + 70 * Double(leaf))
        let total = first.reward + second.reward
        return """
          <g class="\(total == best ? styleClass(Style.fan) : "neutral")">\(branch(middle, end, second))\
          <text class="name" x="\(end.x + 12)" y="\(end.y + 4)">return \(signed(total))</text></g>
          """
      }
      return """
        <g class="\(first.next == bestFirst.next ? styleClass(Style.fan) : "neutral")">\
        \(branch((x: 30, y: 130), middle, first))</g>\(leaves)
        """
    }
    return picture(470, 260, "the decision problem as a tree of two steps", "\(tree)")
  }

  /// The first step of the best path.
  private var bestFirst: TwoSteps.Step { exact.supremum(after: left) == best ? left : right }

  private func branch(
    _ from: (x: Double, y: Double), _ to: (x: Double, y: Double), _ step: TwoSteps.Step
  ) -> Markup {
    let (x, y) = ((from.x + to.x) / 2, (from.y + to.y) / 2)
    return """
      <path class="line" d="M\(from.x) \(from.y)L\(to.x) \(to.y)"/><circle class="dot" cx="\(from.x)" cy="\(from.y)" \
      r="5"/><circle class="dot" cx="\(to.x)" cy="\(to.y)" r="5"/>\
      <text class="place" x="\(x)" y="\(y + (to.y < from.y ? -12 : 22))" text-anchor="middle">\
      \(String(describing: step.action)) \(signed(step.reward))</text>
      """
  }
}

/// The probability that a draw from N(0, 1) is below `value`.
private func normalShare(below value: Double) -> Double { erfc(-value / 2.0.squareRoot()) / 2 }

/// A number with its sign.
private func signed(_ value: Double) -> String { (value > 0 ? "+" : "") + fixed(value, 0) }
